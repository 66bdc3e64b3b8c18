/** Requests as clients send them: for `explain`, and for the probe for other servers. */
import { type Ip4, parseMac } from '../address.ts'
import { architectureOf } from './client.ts'
import { MESSAGE, OPTION, type Options, textOption, uint16Option } from './options.ts'
import { BOOTREQUEST, FLAG_BROADCAST, type Packet } from './packet.ts'

export interface Question {
  readonly mac: string
  readonly client: 'bios' | 'uefi' | 'http' | 'ipxe' | 'os'
  /** Option 93; that of an x64 machine if not given. */
  readonly arch?: number | undefined
  /** The relay that it comes through. */
  readonly relay?: Ip4 | undefined
  readonly xid?: number | undefined
}

const X64 = { bios: 0, uefi: 7, http: 16, ipxe: 7 } as const
/** What EDK2 asks for, as far as a boot server has it. */
const ASKED = Buffer.of(
  OPTION.subnetMask,
  OPTION.router,
  OPTION.domainServer,
  OPTION.hostname,
  OPTION.domainName,
  OPTION.vendorSpecific,
  OPTION.vendorClass,
  OPTION.tftpServerName,
  OPTION.bootfileName,
)

/** A DISCOVER of such a client. Undefined when the MAC address is none. */
export function makeDiscover({ mac, client, arch, relay = 0, xid = 0 }: Question): Packet | undefined {
  const chaddr = parseMac(mac)
  if (chaddr === undefined) return undefined
  const options: Options = new Map([
    [OPTION.messageType, Buffer.of(MESSAGE.discover)],
    [OPTION.maxMessageSize, uint16Option(1472)],
    [OPTION.parameterRequestList, ASKED],
  ])
  if (client !== 'os') {
    const code = arch ?? X64[client]
    const name = client === 'http' || architectureOf(code)?.http ? 'HTTPClient' : 'PXEClient'
    options.set(OPTION.clientArchitecture, uint16Option(code))
    options.set(OPTION.clientInterface, Buffer.of(1, 3, 0))
    options.set(OPTION.vendorClass, textOption(`${name}:Arch:${String(code).padStart(5, '0')}:UNDI:003000`))
    if (client === 'ipxe') options.set(OPTION.userClass, textOption('iPXE'))
  }
  return {
    op: BOOTREQUEST,
    htype: 1,
    hops: 0,
    xid,
    secs: 0,
    flags: FLAG_BROADCAST,
    ciaddr: 0,
    yiaddr: 0,
    siaddr: 0,
    giaddr: relay,
    chaddr,
    sname: '',
    file: '',
    options,
  }
}
