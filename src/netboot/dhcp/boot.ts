/** What a client is told to load. */
import { formatIp4, type Ip4 } from '../address.ts'
import type { Client } from './client.ts'
import type { Machine } from './network.ts'
import { OPTION, type Options, subOptions } from './options.ts'

/** Each kind of client takes the part that it understands; a client whose part is missing is not netbooted. */
export interface BootAnswer {
  /** TFTP file name, for firmware (`pxe`) and the Raspberry Pi. */
  readonly file?: string | undefined
  /** Absolute URL, for UEFI HTTP boot. */
  readonly url?: string | undefined
  /** URL (or TFTP file name) of a script, for iPXE. */
  readonly script?: string | undefined
  /** The TFTP server; ours if not given. */
  readonly nextServer?: Ip4 | undefined
}

/** The site's decision. `server` is our address as the client sees it. Undefined: boot from the local disk. */
export type Boot = (client: Client, machine: Machine | undefined, server: Ip4) => BootAnswer | undefined

/** First-stage loaders by the names that Debian's packages and ipxe.org's builds have. */
const LOADERS: Readonly<Record<string, string>> = {
  'bios x86': 'undionly.kpxe',
  'uefi x86': 'ipxe-i386.efi',
  'uefi x64': 'ipxe.efi',
  'uefi arm32': 'ipxe-arm32.efi',
  'uefi arm64': 'ipxe-arm64.efi',
  'uefi riscv64': 'ipxe-riscv64.efi',
  'uefi loong64': 'ipxe-loong64.efi',
  'u-boot arm32': 'ipxe-arm32.efi',
  'u-boot arm64': 'ipxe-arm64.efi',
}

/** The loader for a client's architecture; undefined for one that iPXE does not exist for. */
export function loaderFor({ arch, architecture }: Client): string | undefined {
  // PXE firmware from before RFC 4578 sends no architecture; all of it was BIOS.
  if (arch === undefined) return LOADERS['bios x86']
  return architecture && LOADERS[`${architecture.firmware} ${architecture.cpu}`]
}

/** Everyone gets iPXE, by TFTP or HTTP, and iPXE gets the script at `/boot.ipxe`. `port` is the HTTP server's. */
export function defaultBoot({ port = 80 }: { port?: number } = {}): Boot {
  return (client, _machine, server) => {
    const base = `http://${formatIp4(server)}${port === 80 ? '' : `:${port}`}`
    // The Pi's ROM asks for file names of its own; the reply has only to look like a boot server's.
    const file = client.kind === 'raspberry-pi' ? '' : loaderFor(client)
    return {
      file,
      url: file === undefined ? undefined : `${base}/${file}`,
      // iPXE expands the variable, so that the script's URL names the NIC that booted; it would escape colons.
      script: `${base}/boot.ipxe?mac=\${netX/mac:hexhyp}`,
    }
  }
}

/** What `client` loads of an answer, or undefined if the answer has nothing for its kind. */
export function bootfileFor(client: Client, answer: BootAnswer): string | undefined {
  switch (client.kind) {
    case 'pxe':
    case 'raspberry-pi':
      return answer.file
    case 'http':
      return answer.url
    case 'ipxe':
      return answer.script
    case 'os':
      return undefined
  }
}

/** PXE_DISCOVERY_CONTROL = 8: use the boot file name of this reply, look for no boot servers (PXE 2.1, table 2-1). */
const USE_BOOTFILE = [6, Buffer.of(8)] as const
/** What the Pi's ROM looks for in option 43: a boot menu (9) of one entry of this name, and a prompt (10). */
const RASPBERRY_PI_MENU = Buffer.from('\0\0\x11Raspberry Pi Boot', 'latin1')
const RASPBERRY_PI_PROMPT = Buffer.from('\0PXE', 'latin1')
/** Feature `no-pxedhcp`: do not wait 3 seconds for a proxyDHCP server (iPXE, src/include/ipxe/dhcp.h, 0xb0). */
const IPXE_NO_PXEDHCP = subOptions([[0xb0, Buffer.of(1)]])

const PXE_CLIENT = Buffer.from('PXEClient')
const HTTP_CLIENT = Buffer.from('HTTPClient')
const PXE_CONTROL = subOptions([USE_BOOTFILE], true)
const RASPBERRY_PI_CONTROL = subOptions([USE_BOOTFILE, [9, RASPBERRY_PI_MENU], [10, RASPBERRY_PI_PROMPT]], true)

/** How the boot answer is given: with an address (`server`), beside one (`proxy`), or on port 4011 (`boot-server`). */
export type BootRole = 'server' | 'proxy' | 'boot-server'

/**
 * The vendor options that make firmware accept a reply as a boot answer (60, 43, 175).
 *
 * EDK2 takes an OFFER that has an address and option 60 but no option 43 for a BINL server: it ignores the boot file
 * and asks port 4011 (UefiPxeBcDxe/PxeBcDhcp4.c). So a full reply to PXE carries no option 60, and a proxy's, which
 * must carry it, is followed by a question on 4011. Some UEFI ROMs ignore a proxy's offer with the bypass in option 43;
 * BIOS ROMs need it.
 */
export function addVendorOptions(options: Options, client: Client, role: BootRole): void {
  switch (client.kind) {
    case 'http':
      options.set(OPTION.vendorClass, HTTP_CLIENT)
      break
    case 'raspberry-pi':
      options.set(OPTION.vendorClass, PXE_CLIENT)
      options.set(OPTION.vendorSpecific, RASPBERRY_PI_CONTROL)
      break
    case 'ipxe':
      if (role === 'server') options.set(OPTION.ipxe, IPXE_NO_PXEDHCP)
      else options.set(OPTION.vendorClass, PXE_CLIENT)
      break
    case 'pxe':
      if (role === 'server') break
      options.set(OPTION.vendorClass, PXE_CLIENT)
      if (role === 'proxy' && (client.architecture?.firmware ?? 'bios') === 'bios') {
        options.set(OPTION.vendorSpecific, PXE_CONTROL)
      }
      break
    case 'os':
      break
  }
}
