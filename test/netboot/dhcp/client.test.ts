import t from 'tap'
import { parseMac } from '../../../src/netboot/address.ts'
import { bootfileFor, defaultBoot } from '../../../src/netboot/dhcp/boot.ts'
import { identify } from '../../../src/netboot/dhcp/client.ts'
import { OPTION, readUserClasses, sameUuid } from '../../../src/netboot/dhcp/options.ts'
import { decode } from '../../../src/netboot/dhcp/packet.ts'
import { readPcap } from '../pcap.ts'
import { firmware, IPXE, makePacket } from './packets.ts'

const PI = { chaddr: parseMac('dc:a6:32:01:02:03')! }
const url = 'http://10.77.0.1'

t.test('kinds of clients and what they load', async (t) => {
  for (const [name, options, fields, kind, file] of [
    ['BIOS', firmware(0), {}, 'pxe', 'undionly.kpxe'],
    ['ia32', firmware(6), {}, 'pxe', 'ipxe-i386.efi'],
    ['x64', firmware(7), {}, 'pxe', 'ipxe.efi'],
    ['EBC is x64', firmware(9), {}, 'pxe', 'ipxe.efi'],
    ['arm32', firmware(10), {}, 'pxe', 'ipxe-arm32.efi'],
    ['arm64', firmware(11), {}, 'pxe', 'ipxe-arm64.efi'],
    ['riscv64', firmware(27), {}, 'pxe', 'ipxe-riscv64.efi'],
    ['U-Boot arm64', firmware(22), {}, 'pxe', 'ipxe-arm64.efi'],
    ['an architecture without a loader', firmware(37), {}, 'pxe', undefined],
    ['an unknown architecture', firmware(999), {}, 'pxe', undefined],
    ['HTTP x64', firmware(16, 'HTTPClient'), {}, 'http', `${url}/ipxe.efi`],
    ['HTTP ia32', firmware(15, 'HTTPClient'), {}, 'http', `${url}/ipxe-i386.efi`],
    ['HTTP arm64', firmware(19, 'HTTPClient'), {}, 'http', `${url}/ipxe-arm64.efi`],
    ['HTTP BIOS', firmware(20, 'HTTPClient'), {}, 'http', `${url}/undionly.kpxe`],
    ['HTTP architecture that says PXEClient', firmware(24), {}, 'http', `${url}/ipxe-arm64.efi`],
    ['Raspberry Pi boot ROM', firmware(0), PI, 'raspberry-pi', ''],
    ['Raspberry Pi with UEFI', firmware(11), PI, 'pxe', 'ipxe-arm64.efi'],
    ['rpiboot', firmware(41), {}, 'raspberry-pi', ''],
    ['iPXE', IPXE, {}, 'ipxe', `${url}/boot.ipxe?mac=\${netX/mac:hexhyp}`],
    [
      'iPXE with a user class by RFC 3004',
      [...firmware(0), [OPTION.userClass, Buffer.from('\x04iPXE')]],
      {},
      'ipxe',
      `${url}/boot.ipxe?mac=\${netX/mac:hexhyp}`,
    ],
    [
      'FlexBoot: no user class',
      [...firmware(0), [OPTION.ipxe, Buffer.of(1, 1, 1)]],
      {},
      'ipxe',
      `${url}/boot.ipxe?mac=\${netX/mac:hexhyp}`,
    ],
    ['Linux', [[OPTION.vendorClass, Buffer.from('udhcp 1.35')]], {}, 'os', undefined],
    ['nothing said', [], {}, 'os', undefined],
    ['Linux on a Pi', [[OPTION.vendorClass, Buffer.from('dhcpcd-9')]], PI, 'os', undefined],
    ['architecture in the vendor class only', [firmware(7)[3]!], {}, 'pxe', 'ipxe.efi'],
    ['PXE without any architecture', [[OPTION.vendorClass, Buffer.from('PXEClient')]], {}, 'pxe', 'undionly.kpxe'],
  ] as [string, [number, Buffer][], object, string, string | undefined][]) {
    const client = identify(makePacket('discover', options, fields))
    t.equal(client.kind, kind, name)
    t.equal(bootfileFor(client, defaultBoot()(client, undefined, 0x0a4d0001)!), file, `${name}: file`)
  }
})

t.test('the real ones', async (t) => {
  for (const [capture, kinds] of [
    ['uefi', ['pxe', 'pxe', 'ipxe', 'ipxe', 'ipxe']],
    ['bios', ['ipxe', 'ipxe', 'ipxe']],
    ['http', ['http', 'http', 'ipxe', 'ipxe', 'ipxe']],
    ['shim', ['pxe', 'pxe']],
    ['proxy', ['pxe', 'pxe', 'pxe', 'ipxe', 'ipxe']],
    ['fast', ['pxe', 'pxe', 'ipxe', 'ipxe']],
  ] as const) {
    const clients = readPcap(capture)
      .filter(({ port, sourcePort }) => (port === 67 || port === 4011) && sourcePort !== 67)
      .map(({ payload }) => decode(payload)!)
      .filter(({ op }) => op === 1)
      .map(identify)
    t.strictSame(
      clients.map(({ kind }) => kind),
      kinds,
      capture,
    )
    for (const client of clients) {
      t.equal(client.mac, '52:54:00:aa:bb:00')
      t.equal(client.uuid, '11111111-2222-3333-4444-555555555500')
    }
  }
})

t.test('user classes', async (t) => {
  for (const [hex, classes] of [
    ['', []],
    ['69505845', ['iPXE']],
    ['0469505845', ['iPXE']],
    ['0461626364026566', ['abcd', 'ef']],
    ['0561626364', ['\x05abcd']],
    ['00', ['\0']],
  ] as const) {
    t.strictSame(readUserClasses(Buffer.from(hex, 'hex')), classes, hex)
  }
})

t.test('UUIDs in either byte order', async (t) => {
  const uuid = '00112233-4455-6677-8899-aabbccddeeff'
  t.ok(sameUuid(uuid, uuid.toUpperCase()))
  t.ok(sameUuid(uuid, '33221100-5544-7766-8899-aabbccddeeff'))
  t.notOk(sameUuid(uuid, '33221100-5544-7766-8899-aabbccddee00'))
})
