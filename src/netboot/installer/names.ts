/** Where the installer stands, below the files folder. */
export const INSTALLER = { folder: 'installer', kernel: 'installer/linux', initrd: 'installer/initrd' } as const
