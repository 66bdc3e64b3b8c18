/** The folder of what runs on machines. In the bundle too: this file stands as deep there (build.ts). */
export const SCRIPTS = new URL('../netboot/installer/', import.meta.url)
