/** What kind of client sent a packet: which firmware on which processor, iPXE, or an operating system. */
import { formatMac } from '../address.ts'
import { OPTION, readMachineId, readText, readUserClasses } from './options.ts'
import type { Packet } from './packet.ts'

/**
 * What the client can do with a boot answer.
 * - `pxe`: firmware, loads a file by TFTP
 * - `http`: firmware, loads a URL (UEFI HTTP boot)
 * - `ipxe`: runs a script from a URL
 * - `raspberry-pi`: the Pi's own boot ROM, TFTP with file names of its own
 * - `os`: not booting from the network
 */
export type ClientKind = 'pxe' | 'http' | 'ipxe' | 'raspberry-pi' | 'os'

export type Cpu = 'x86' | 'x64' | 'arm32' | 'arm64' | 'riscv32' | 'riscv64' | 'riscv128' | 'loong32' | 'loong64'

export interface Architecture {
  readonly cpu: Cpu
  readonly firmware: 'bios' | 'uefi' | 'u-boot' | 'rpiboot'
  /** Set for the architectures of UEFI HTTP boot. */
  readonly http?: true
}

/** Option 93: the IANA registry "Processor Architecture Types" (begun by RFC 4578, section 2.1). */
const ARCHITECTURES: Readonly<Record<number, Architecture>> = {
  0: { cpu: 'x86', firmware: 'bios' },
  6: { cpu: 'x86', firmware: 'uefi' },
  7: { cpu: 'x64', firmware: 'uefi' },
  // EBC, EFI byte code: what early x64 firmware sends.
  9: { cpu: 'x64', firmware: 'uefi' },
  10: { cpu: 'arm32', firmware: 'uefi' },
  11: { cpu: 'arm64', firmware: 'uefi' },
  15: { cpu: 'x86', firmware: 'uefi', http: true },
  16: { cpu: 'x64', firmware: 'uefi', http: true },
  17: { cpu: 'x64', firmware: 'uefi', http: true },
  18: { cpu: 'arm32', firmware: 'uefi', http: true },
  19: { cpu: 'arm64', firmware: 'uefi', http: true },
  20: { cpu: 'x86', firmware: 'bios', http: true },
  21: { cpu: 'arm32', firmware: 'u-boot' },
  22: { cpu: 'arm64', firmware: 'u-boot' },
  23: { cpu: 'arm32', firmware: 'u-boot', http: true },
  24: { cpu: 'arm64', firmware: 'u-boot', http: true },
  25: { cpu: 'riscv32', firmware: 'uefi' },
  26: { cpu: 'riscv32', firmware: 'uefi', http: true },
  27: { cpu: 'riscv64', firmware: 'uefi' },
  28: { cpu: 'riscv64', firmware: 'uefi', http: true },
  29: { cpu: 'riscv128', firmware: 'uefi' },
  30: { cpu: 'riscv128', firmware: 'uefi', http: true },
  37: { cpu: 'loong32', firmware: 'uefi' },
  38: { cpu: 'loong32', firmware: 'uefi', http: true },
  39: { cpu: 'loong64', firmware: 'uefi' },
  40: { cpu: 'loong64', firmware: 'uefi', http: true },
  41: { cpu: 'arm64', firmware: 'rpiboot' },
}

/** MAC prefixes of Raspberry Pi (IEEE registry). Their boot ROM claims architecture 0, so this is how it is known. */
const RASPBERRY_PI_OUIS = new Set(['28:cd:c1', '2c:cf:67', '88:a2:9e', 'b8:27:eb', 'd8:3a:dd', 'dc:a6:32', 'e4:5f:01'])

export interface Client {
  /** `52:54:00:aa:bb:00`, what leases and machines are found by. */
  readonly mac: string
  readonly kind: ClientKind
  /** Option 93's first code, or what the vendor class says; undefined for an operating system. */
  readonly arch?: number | undefined
  readonly architecture?: Architecture | undefined
  /** Option 97, as sent; compare with `sameUuid`. */
  readonly uuid?: string | undefined
  readonly vendorClass?: string | undefined
  readonly userClasses: readonly string[]
  readonly hostname?: string | undefined
}

export function architectureOf(arch: number | undefined): Architecture | undefined {
  return arch === undefined ? undefined : ARCHITECTURES[arch]
}

/** Classifies a request. `kind` is `os` for all that does not say it boots from the network. */
export function identify(packet: Packet): Client {
  const { options } = packet
  const mac = formatMac(packet.chaddr)
  const vendorClass = readText(options, OPTION.vendorClass)
  const userClasses = readUserClasses(options.get(OPTION.userClass))
  const arch = readArchitecture(packet, vendorClass)
  const architecture = architectureOf(arch)
  return {
    mac,
    kind: kindOf({ mac, vendorClass, userClasses, architecture, ipxe: options.has(OPTION.ipxe) }),
    arch,
    architecture,
    uuid: readMachineId(options.get(OPTION.clientMachineId)),
    vendorClass,
    userClasses,
    hostname: readText(options, OPTION.hostname),
  }
}

function readArchitecture({ options }: Packet, vendorClass: string | undefined): number | undefined {
  const value = options.get(OPTION.clientArchitecture)
  // RFC 4578 allows a list; the first is what the firmware runs as.
  if (value !== undefined && value.length >= 2) return value.readUInt16BE(0)
  const match = /^(?:PXE|HTTP)Client:Arch:(\d{1,5})/.exec(vendorClass ?? '')
  return match ? Number(match[1]) : undefined
}

interface Signs {
  readonly mac: string
  readonly vendorClass: string | undefined
  readonly userClasses: readonly string[]
  readonly architecture: Architecture | undefined
  readonly ipxe: boolean
}

function kindOf({ mac, vendorClass = '', userClasses, architecture, ipxe }: Signs): ClientKind {
  // FlexBoot is iPXE without the user class; its encapsulated options give it away.
  if (ipxe || userClasses.includes('iPXE')) return 'ipxe'
  if (vendorClass.startsWith('HTTPClient')) return 'http'
  if (!vendorClass.startsWith('PXEClient')) return 'os'
  if (architecture?.http) return 'http'
  if (architecture?.firmware === 'rpiboot') return 'raspberry-pi'
  const biosOrNone = architecture === undefined || architecture.firmware === 'bios'
  return biosOrNone && RASPBERRY_PI_OUIS.has(mac.slice(0, 8)) ? 'raspberry-pi' : 'pxe'
}
