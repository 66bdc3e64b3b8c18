/** Requests as clients send them, for tests that need one. */
import { parseMac } from '../../../src/netboot/address.ts'
import { MESSAGE, OPTION, type Options } from '../../../src/netboot/dhcp/options.ts'
import { BOOTREQUEST, type Packet } from '../../../src/netboot/dhcp/packet.ts'

export const MAC = '52:54:00:aa:bb:00'

export function makePacket(
  type: keyof typeof MESSAGE | undefined,
  options: Iterable<readonly [number, Buffer]> = [],
  fields: Partial<Packet> = {},
): Packet {
  const all: Options = new Map(type === undefined ? [] : [[OPTION.messageType, Buffer.of(MESSAGE[type])]])
  for (const [code, value] of options) all.set(code, value)
  return {
    op: BOOTREQUEST,
    htype: 1,
    hops: 0,
    xid: 0x12345678,
    secs: 4,
    flags: 0,
    ciaddr: 0,
    yiaddr: 0,
    siaddr: 0,
    giaddr: 0,
    chaddr: parseMac(MAC)!,
    sname: '',
    file: '',
    options: all,
    ...fields,
  }
}

/** What firmware of an architecture sends besides. */
export function firmware(arch: number, kind: 'PXEClient' | 'HTTPClient' = 'PXEClient'): [number, Buffer][] {
  return [
    [OPTION.parameterRequestList, Buffer.of(1, 3, 6, 12, 15, 43, 60, 66, 67, 97)],
    [OPTION.clientMachineId, Buffer.from('0011111111222233334444555555555500', 'hex')],
    [OPTION.clientArchitecture, Buffer.of(arch >> 8, arch & 255)],
    [OPTION.vendorClass, Buffer.from(`${kind}:Arch:${String(arch).padStart(5, '0')}:UNDI:003000`)],
  ]
}

export const IPXE: [number, Buffer][] = [
  ...firmware(7),
  [OPTION.userClass, Buffer.from('iPXE')],
  [OPTION.ipxe, Buffer.from('b105011af41000', 'hex')],
]
