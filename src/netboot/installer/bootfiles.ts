/** Loaders that machines ask for, from Debian's packages into the files folder. */
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Packages } from './packages.ts'

/** Package: path in it to name in the files folder. */
const LOADERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ipxe: { 'usr/lib/ipxe/ipxe.efi': 'ipxe.efi', 'usr/lib/ipxe/undionly.kpxe': 'undionly.kpxe' },
  'shim-signed': { 'usr/lib/shim/shimx64.efi.signed': 'shimx64.efi' },
  // shim asks for a file of this name beside itself.
  'grub-efi-amd64-signed': { 'usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed': 'grubx64.efi' },
}

/** Gives the names of the files, which were written. */
export async function fetchBootfiles(packages: Packages, files: string): Promise<string[]> {
  const work = await mkdtemp(join(tmpdir(), 'runbook-bootfiles-'))
  try {
    await mkdir(files, { recursive: true })
    const names: string[] = []
    for (const [name, wanted] of Object.entries(LOADERS)) {
      await packages.unpack(name, join(work, name))
      for (const [from, to] of Object.entries(wanted)) {
        const fresh = join(files, `.${to}.new`)
        await copyFile(join(work, name, from), fresh)
        await chmod(fresh, 0o644)
        await rename(fresh, join(files, to))
        names.push(to)
      }
    }
    return names
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
