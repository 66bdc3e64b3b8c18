import t from 'tap'
import { parseIp4, parseSubnet } from '../../../src/netboot/address.ts'
import { defaultBoot } from '../../../src/netboot/dhcp/boot.ts'
import { describe, explain } from '../../../src/netboot/dhcp/explain.ts'
import { LeaseTable } from '../../../src/netboot/dhcp/leases.ts'

const known = {
  settings: {
    mode: 'server',
    unknown: 'ignore',
    networks: [{ name: 'rack', subnet: parseSubnet('10.77.0.0/24')!, router: parseIp4('10.77.0.1')! }],
  },
  locals: [parseIp4('10.77.0.1')!],
  leases: new LeaseTable(),
  machine: ({ mac }: { mac: string }) =>
    mac === '52:54:00:aa:bb:00' ? { name: 'node-1', address: parseIp4('10.77.0.10') } : undefined,
  boot: defaultBoot({ port: 8080 }),
  now: 0,
} as const

t.test('an offer for a machine, as text', async (t) => {
  const { machine, client, decisions } = explain({ mac: '52-54-00-AA-BB-00', client: 'http' }, known)!
  t.equal(machine?.name, 'node-1')
  t.equal(client.kind, 'http')
  t.equal(decisions.length, 1)
  t.strictSame(describe(decisions[0]!.reply!), [
    'yiaddr: 10.77.0.10',
    'siaddr: 10.77.0.1',
    'file: http://10.77.0.1:8080/ipxe.efi',
    'option 53 (messageType): 2',
    'option 54 (serverIdentifier): 10.77.0.1',
    'option 51 (leaseTime): 3600',
    'option 58 (renewalTime): 1800',
    'option 59 (rebindingTime): 3150',
    'option 1 (subnetMask): 255.255.255.0',
    'option 3 (router): 10.77.0.1',
    'option 67 (bootfileName): "http://10.77.0.1:8080/ipxe.efi"',
    'option 66 (tftpServerName): "10.77.0.1"',
    'option 60 (vendorClass): "HTTPClient"',
    'option 12 (hostname): "node-1"',
  ])
  t.equal(known.leases.size, 0, 'nothing was given')
})

t.test('each kind of client, and a relay', async (t) => {
  for (const [question, file] of [
    [{ client: 'bios' }, 'undionly.kpxe'],
    [{ client: 'uefi' }, 'ipxe.efi'],
    [{ client: 'uefi', arch: 11 }, 'ipxe-arm64.efi'],
    [{ client: 'ipxe' }, 'http://10.77.0.1:8080/boot.ipxe?mac=${netX/mac:hexhyp}'],
    [{ client: 'os' }, ''],
    [{ client: 'uefi', relay: parseIp4('10.77.0.9')! }, 'ipxe.efi'],
  ] as const) {
    const { decisions } = explain({ mac: '52:54:00:aa:bb:00', ...question }, known)!
    t.equal(decisions[0]?.reply?.file, file, JSON.stringify(question))
  }
  t.equal(explain({ mac: '52:54:00:00:00:01', client: 'uefi' }, known)?.decisions[0]?.reason, 'unknown machine')
  const strange = explain({ mac: '52:54:00:aa:bb:00', client: 'uefi', relay: parseIp4('10.66.0.1')! }, known)
  t.match(strange?.decisions[0]?.reason, /relay 10\.66\.0\.1 is in none of the networks/)
  t.equal(explain({ mac: 'nonsense', client: 'uefi' }, known), undefined)
})
