/** Our installer: Debian's kernel, and an initial RAM disk of its modules, busybox and our scripts. No root needed. */
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { constants, zstdCompress } from 'node:zlib'
import { UserError } from '../../shared/errors.ts'
import { SCRIPTS } from '../installer-scripts.ts'
import { type CpioEntry, cpio, MODE } from './cpio.ts'
import { chooseModules, type KernelModule, moduleTables, readModule } from './kernel-modules.ts'
import { INSTALLER } from './names.ts'
import type { Packages } from './packages.ts'

/** Programs, and the libraries that these are linked with (`objdump -p`), by package. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'busybox-static': 'bin/busybox',
  zstd: 'usr/bin/zstd',
  ipmitool: 'usr/bin/ipmitool',
  fdisk: 'sbin/sfdisk',
  e2fsprogs: 'sbin/resize2fs',
  xfsprogs: 'usr/sbin/xfs_growfs',
  'btrfs-progs': 'bin/btrfs',
}
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  libc6: ['ld-linux-x86-64.so.2', 'libc.so.6', 'libm.so.6'],
  zlib1g: ['libz.so.1'],
  liblzma5: ['liblzma.so.5'],
  'liblz4-1': ['liblz4.so.1'],
  libfreeipmi17: ['libfreeipmi.so.17'],
  libgcrypt20: ['libgcrypt.so.20'],
  'libgpg-error0': ['libgpg-error.so.0'],
  libreadline8: ['libreadline.so.8'],
  libtinfo6: ['libtinfo.so.6'],
  libssl3: ['libcrypto.so.3'],
  libfdisk1: ['libfdisk.so.1'],
  libsmartcols1: ['libsmartcols.so.1'],
  libblkid1: ['libblkid.so.1'],
  libuuid1: ['libuuid.so.1'],
  libext2fs2: ['libext2fs.so.2', 'libe2p.so.2'],
  'libcom-err2': ['libcom_err.so.2'],
  liburcu8: ['liburcu.so.8'],
  libudev1: ['libudev.so.1'],
  'liblzo2-2': ['liblzo2.so.2'],
  libzstd1: ['libzstd.so.1'],
}

const SCRIPT_NAMES = [
  'common.sh',
  'dhcp.sh',
  'discover.sh',
  'grow.sh',
  'inject.sh',
  'install.sh',
  'phone-home.service',
  'phone-home.sh',
]
const RUNNABLE = ['dhcp.sh']

export interface Built {
  /** `6.1.0-56-amd64`. */
  readonly kernel: string
  readonly modules: number
  /** Bytes of the compressed RAM disk. */
  readonly size: number
  readonly sha256: string
}

/** Builds into `files`/installer. The same packages give the same bytes. */
export async function buildInstaller(packages: Packages, files: string): Promise<Built> {
  const work = await mkdtemp(join(tmpdir(), 'runbook-installer-'))
  try {
    const name = await packages.dependency('linux-image-amd64', /^linux-image-[\d.]+-\d+-amd64$/)
    const kernel = name.replace('linux-image-', '')
    await packages.unpack(name, join(work, name))
    const { entries, count } = await moduleEntries(join(work, name), kernel)
    for (const [one, path] of Object.entries(PROGRAMS)) {
      await packages.unpack(one, join(work, one))
      entries.push({ path, mode: MODE.program, data: await read(join(work, one), [path]) })
    }
    for (const [one, names] of Object.entries(LIBRARIES)) {
      await packages.unpack(one, join(work, one))
      for (const library of names) {
        const data = await read(join(work, one), [
          `lib/x86_64-linux-gnu/${library}`,
          `usr/lib/x86_64-linux-gnu/${library}`,
        ])
        // The loader's path stands in every program.
        const folder = library.startsWith('ld-') ? 'lib64' : 'lib'
        entries.push({ path: `${folder}/${library}`, mode: MODE.program, data })
      }
    }
    for (const script of SCRIPT_NAMES) {
      const mode = RUNNABLE.includes(script) ? MODE.program : MODE.file
      entries.push({ path: `runbook/${script}`, mode, data: await readFile(new URL(script, SCRIPTS)) })
    }
    entries.push({ path: 'init', mode: MODE.program, data: await readFile(new URL('init.sh', SCRIPTS)) })
    // The kernel opens it for the first process before anything is mounted.
    entries.push({ path: 'dev/console', mode: MODE.device, device: [5, 1] })
    const initrd = await promisify(zstdCompress)(cpio(entries), {
      params: { [constants.ZSTD_c_compressionLevel]: 9 },
    })
    const folder = join(files, INSTALLER.folder)
    await mkdir(folder, { recursive: true })
    // Each at once: a machine that boots meanwhile gets the old one or the new one.
    await copyFile(join(work, name, `boot/vmlinuz-${kernel}`), join(folder, '.linux.new'))
    await writeFile(join(folder, '.initrd.new'), initrd)
    for (const one of ['linux', 'initrd']) {
      await chmod(join(folder, `.${one}.new`), 0o644)
      await rename(join(folder, `.${one}.new`), join(folder, one))
    }
    return { kernel, modules: count, size: initrd.length, sha256: createHash('sha256').update(initrd).digest('hex') }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function moduleEntries(root: string, kernel: string): Promise<{ entries: CpioEntry[]; count: number }> {
  const base = join(root, 'lib/modules', kernel)
  const names = (await readdir(join(base, 'kernel'), { recursive: true })).filter((one) => one.endsWith('.ko')).sort()
  const all: KernelModule[] = []
  for (const name of names) all.push(readModule(`kernel/${name}`, await readFile(join(base, 'kernel', name))))
  const chosen = chooseModules(all)
  const folder = `lib/modules/${kernel}`
  const entries: CpioEntry[] = Object.entries(moduleTables(chosen)).map(([name, text]) => ({
    path: `${folder}/modules.${name}`,
    mode: MODE.file,
    data: Buffer.from(text),
  }))
  for (const name of ['modules.builtin', 'modules.order']) {
    entries.push({ path: `${folder}/${name}`, mode: MODE.file, data: await readFile(join(base, name)) })
  }
  for (const { path } of chosen) {
    entries.push({ path: `${folder}/${path}`, mode: MODE.file, data: await readFile(join(base, path)) })
  }
  return { entries, count: chosen.length }
}

/** The first of these files that a package has: Debian moves them from /lib to /usr/lib. */
async function read(root: string, paths: readonly string[]): Promise<Buffer> {
  for (const path of paths) {
    const data = await readFile(join(root, path)).catch(() => undefined)
    if (data) return data
  }
  throw new UserError(`package ${basename(root)} does not hold ${paths.join(' or ')}, which was expected`)
}
