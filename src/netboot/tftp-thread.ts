/** The program of a thread that sends. In the bundle too: this file stands as deep there (build.ts). */
const EXTENSION = import.meta.filename.endsWith('.ts') ? '.ts' : '.js'
export const THREAD = new URL(`../netboot/tftp/sender-thread${EXTENSION}`, import.meta.url)
