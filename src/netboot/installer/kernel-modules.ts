/**
 * Which kernel modules an installer needs, and the tables that modprobe reads. Debian's packages hold modules and no
 * tables, as depmod makes those on the machine; what depmod reads is in each module's section `.modinfo`.
 */

export interface KernelModule {
  /** Below `lib/modules/VERSION/`, e.g. `kernel/drivers/block/virtio_blk.ko`. */
  readonly path: string
  /** With underscores. */
  readonly name: string
  /** Names of the modules that it needs. */
  readonly depends: readonly string[]
  /** Devices that it drives, e.g. `virtio:d00000002v*`. */
  readonly aliases: readonly string[]
  /** Modules that should be loaded before it, where they exist. */
  readonly soft: readonly string[]
}

/** Reads a module. Throws Error for a file that is no 64-bit little-endian ELF with `.modinfo`. */
export function readModule(path: string, elf: Buffer): KernelModule {
  const info = modinfo(elf).map((line) => {
    const at = line.indexOf('=')
    return [line.slice(0, at), line.slice(at + 1)] as const
  })
  const all = (key: string): string[] => info.flatMap(([name, value]) => (name === key && value !== '' ? [value] : []))
  return {
    path,
    name: plainName(path.slice(path.lastIndexOf('/') + 1).replace(/\.ko$/, '')),
    depends: all('depends').flatMap((value) => value.split(',').map(plainName)),
    aliases: all('alias'),
    soft: all('softdep').flatMap((value) =>
      value
        .replace(/post:.*$/, '')
        .replace(/pre:/g, '')
        .split(/\s+/)
        .filter(Boolean)
        .map(plainName),
    ),
  }
}

/** The strings of section `.modinfo` (include/linux/moduleinfo.h: `key=value`, each with a NUL at its end). */
function modinfo(elf: Buffer): string[] {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) {
    throw new Error('not a 64-bit little-endian ELF file')
  }
  // ELF-64: e_shoff at 40, e_shentsize at 58, e_shnum at 60, e_shstrndx at 62; sh_offset at 24, sh_size at 32.
  const [table, size] = [Number(elf.readBigUInt64LE(40)), elf.readUInt16LE(58)]
  const [count, names] = [elf.readUInt16LE(60), elf.readUInt16LE(62)]
  const section = (i: number): { name: number; data: Buffer } => {
    const at = table + i * size
    const from = Number(elf.readBigUInt64LE(at + 24))
    return { name: elf.readUInt32LE(at), data: elf.subarray(from, from + Number(elf.readBigUInt64LE(at + 32))) }
  }
  const strings = section(names).data
  for (let i = 0; i < count; i++) {
    const { name, data } = section(i)
    if (strings.toString('latin1', name, strings.indexOf(0, name)) !== '.modinfo') continue
    return data.toString('latin1').split('\0').filter(Boolean)
  }
  throw new Error('it has no section .modinfo')
}

/** Disks, NICs, the buses that they hang on, file systems of images, TPM and BMC. */
const WANTED = [
  'drivers/acpi/',
  'drivers/ata/',
  'drivers/block/virtio_blk',
  'drivers/block/loop',
  'drivers/char/ipmi/',
  'drivers/char/tpm/',
  'drivers/char/hw_random/',
  'drivers/firmware/',
  'drivers/hid/hid-generic',
  'drivers/hid/usbhid/',
  'drivers/hv/',
  'drivers/md/dm-mod',
  'drivers/message/fusion/',
  'drivers/mmc/',
  'drivers/net/bonding/',
  'drivers/net/ethernet/',
  'drivers/net/hyperv/',
  'drivers/net/mdio/',
  'drivers/net/pcs/',
  'drivers/net/phy/',
  'drivers/net/virtio_net',
  'drivers/net/vmxnet3/',
  'drivers/net/xen-netfront',
  'drivers/nvme/',
  'drivers/pci/',
  'drivers/scsi/',
  'drivers/usb/host/',
  'drivers/usb/storage/',
  'drivers/usb/core/',
  'drivers/virtio/',
  'drivers/xen/',
  'fs/btrfs/',
  'fs/efivarfs/',
  'fs/ext4/',
  'fs/fat/',
  'fs/nls/nls_ascii',
  'fs/nls/nls_cp437',
  'fs/nls/nls_iso8859-1',
  'fs/nls/nls_utf8',
  'fs/xfs/',
  // xfs and btrfs look for checksums by name, which no dependency tells.
  'crypto/crc32c',
  'arch/x86/crypto/crc32c',
  'lib/',
]

/** The modules of `all` that an installer needs, with all that they depend on; sorted by path. */
export function chooseModules(all: readonly KernelModule[]): KernelModule[] {
  const byName = new Map(all.map((one) => [one.name, one]))
  const chosen = new Map<string, KernelModule>()
  const add = (one: KernelModule): void => {
    if (chosen.has(one.name)) return
    chosen.set(one.name, one)
    for (const name of [...one.depends, ...one.soft]) {
      const other = byName.get(name)
      if (other) add(other)
    }
  }
  for (const one of all) if (WANTED.some((start) => one.path.startsWith(`kernel/${start}`))) add(one)
  return [...chosen.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** modules.dep(5), modules.alias and modules.softdep for these modules. */
export function moduleTables(modules: readonly KernelModule[]): Record<'dep' | 'alias' | 'softdep', string> {
  const byName = new Map(modules.map((one) => [one.name, one]))
  // Nearest first, each after all that needs it: modprobe loads from the end of the line.
  const needs = (one: KernelModule, seen: Set<string>): Set<string> => {
    for (const name of one.depends) {
      const other = byName.get(name)
      if (!other) continue
      seen.delete(other.path)
      seen.add(other.path)
      needs(other, seen)
    }
    return seen
  }
  return {
    dep: lines(modules.map((one) => `${one.path}:${[...needs(one, new Set())].map((path) => ` ${path}`).join('')}`)),
    alias: lines(modules.flatMap(({ name, aliases }) => aliases.map((alias) => `alias ${alias} ${name}`))),
    softdep: lines(
      modules.flatMap(({ name, soft }) => (soft.length > 0 ? [`softdep ${name} pre: ${soft.join(' ')}`] : [])),
    ),
  }
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('')
}

function plainName(name: string): string {
  return name.trim().replaceAll('-', '_')
}
