import { join } from 'node:path'
import t from 'tap'
import { profileNameOf, readConfig } from '../../src/netboot/config.ts'
import { LeaseTable } from '../../src/netboot/dhcp/leases.ts'
import { Directory } from '../../src/netboot/directory.ts'
import type { NetbootMachine } from '../../src/netboot/profile.ts'

const GOOD = `
interfaces: [eth1]
unknown: enroll
networks:
  - subnet: 10.77.0.0/24
    router: 10.77.0.1
    pool: 10.77.0.100-10.77.0.199
    lease: 10m
files: boot
profiles:
  debian:
    kernel: debian/linux
    initrd: debian/initrd.gz
    cmdline: auto=true url={{ seed }}/preseed.cfg
    seed: {preseed.cfg: preseed.cfg}
  talos: {uki: talos.efi}
  keep: {local: true}
  disk: {image: debian.raw.zst, sha256: ${'a'.repeat(64)}, disk: {serial: S1}, cmdline: console=ttyS0, apply: site.yml}
assign:
  machines: {n1: talos}
  groups: {workers: debian}
  default: keep
repave: {retries: 1}
`

const machine = (name: string, more: Partial<NetbootMachine> = {}): NetbootMachine => ({
  name,
  macs: [],
  groups: [],
  sshKeys: [],
  ...more,
})

t.test('a whole one', async (t) => {
  const folder = t.testdir({ 'netboot.yml': GOOD })
  const config = readConfig(join(folder, 'netboot.yml'))
  t.match(config, {
    dhcp: { mode: 'server', unknown: 'enroll', networks: [{ name: '10.77.0.0/24', leaseTime: 600 }] },
    http: { port: 80, downloads: 64 },
    files: join(folder, 'boot'),
    repave: { valid: 86_400_000, timeout: 1_800_000, retries: 1 },
  })
  t.match(config.profiles.get('debian'), {
    kind: 'kernel',
    kernel: 'debian/linux',
    initrd: ['debian/initrd.gz'],
    reports: true,
    seed: new Map([['preseed.cfg', join(folder, 'preseed.cfg')]]),
    apply: undefined,
  })
  t.match(config.profiles.get('disk'), {
    kind: 'kernel',
    kernel: 'installer/linux',
    initrd: ['installer/initrd'],
    image: { file: 'debian.raw.zst', sha256: 'a'.repeat(64), disk: 'serial:S1', wipe: false, inject: true, grow: true },
    apply: join(folder, 'site.yml'),
  })
  t.equal(config.dhcp.relays, undefined)
  const more = t.testdir({ 'netboot.yml': `${GOOD}relays: [10.88.0.1, 10.89.0.0/16]` })
  t.strictSame(readConfig(join(more, 'netboot.yml')).dhcp.relays, [
    { address: 0x0a580001, prefix: 32 },
    { address: 0x0a590000, prefix: 16 },
  ])
  for (const [one, name] of [
    [machine('n1', { groups: ['workers'] }), 'talos'],
    [machine('n2', { groups: ['workers'] }), 'debian'],
    [machine('n3'), 'keep'],
    [machine('n1', { profile: 'debian' }), 'debian'],
  ] as const) {
    t.equal(profileNameOf(config, one), name)
  }
})

t.test('what is wrong, and where', async (t) => {
  for (const [change, message] of [
    [['interfaces: [eth1]', 'interfaces: []'], /netboot\.yml:2:13: interfaces: /],
    [['files: boot', ''], /files is missing/],
    [['files: boot', 'files: .'], /:9:8: the files folder holds netboot\.yml/],
    [['files: boot', 'files: ..'], /:9:8: the files folder holds netboot\.yml/],
    [['unknown: enroll', 'unkown: enroll'], /:3:1: unknown key "unkown".*did you mean "unknown"/s],
    [['lease: 10m', 'leese: 10m'], /:8:5: unknown key "leese".*did you mean "lease"/s],
    [['10.77.0.0/24', '10.77.0.0'], /:5:13: networks\.0\.subnet: must be a subnet/],
    [['10.77.0.100-', '10.78.0.100-'], /must be a range/],
    [['-10.77.0.199', '-10.78.0.199'], /is not inside 10\.77\.0\.0\/24/],
    [['router: 10.77.0.1', 'router: 10.1.0.1'], /:6:13: the router is not inside/],
    [['files: boot', 'files: boot\nrelays: [10.88.0.1, router]'], /:10:21: relays\.1: must be an address or a network/],
    [['lease: 10m', 'lease: soon'], /must be a duration/],
    [
      ['files: boot', '  - subnet: 10.77.0.128/25\nfiles: boot'],
      /:9:13: the networks 10.77.0.0\/24 and 10.77.0.128\/25 overlap/,
    ],
    [
      ['files: boot', '  - subnet: 10.0.0.0/8\nfiles: boot'],
      /:9:13: the networks 10.77.0.0\/24 and 10.0.0.0\/8 overlap/,
    ],
    [['kernel: debian/linux', 'kernel: ../linux'], /:12:13: profiles\.debian\.kernel: must be a file below/],
    [['{{ seed }}', '{{ seed'], /:14:14: template: this mustache is not closed/],
    [['auto=true url={{ seed }}/preseed.cfg', '"a\\nchain http:"'], /:14:14: cmdline must be one line/],
    [['keep: {local: true}', 'keep: {local: true, uki: x}'], /a profile has one of/],
    [['keep: {local: true}', 'keep: {local: true, cmdline: x}'], /cmdline belongs to a profile with a kernel or image/],
    [['{n1: talos}', '{n1: talso}'], /:20:18: there is no profile "talso".*did you mean "talos"/s],
    [['keep: {local: true}', 'keep: {local: true, wipe: true}'], /wipe belongs to a profile with a image/],
    [['disk: {serial: S1}, ', ''], /:18:17: an image needs the disk that it is written to/],
    [[`sha256: ${'a'.repeat(64)}, `, ''], /:18:17: an image needs its sha256/],
    [['{serial: S1}', 'biggest'], /must be smallest, \{serial: …\}/],
    [['{serial: S1}', '{serial: "a b"}'], /must be smallest|printable/],
    [['{serial: S1}', '{size: 500GB}'], /must be smallest|range of sizes/],
    [['{serial: S1}', '{size: 500GB-400GB}'], /must be smallest|range of sizes/],
    [['unknown: enroll', 'discover: true'], /:3:11: discover needs unknown machines to be answered/],
    [['{preseed.cfg: preseed.cfg}', '{"../x": y}'], /plain file name|seed/],
  ] as const) {
    const text = GOOD.replace(change[0], change[1])
    t.not(text, GOOD, change[0])
    const folder = t.testdir({ 'netboot.yml': text })
    t.throws(() => readConfig(join(folder, 'netboot.yml')), { message }, change[1])
  }
})

t.test('which disk, in the form of the installer', async (t) => {
  for (const [disk, selector] of [
    ['smallest', 'smallest'],
    ['{wwn: naa.5000c500}', 'wwn:naa.5000c500'],
    ['{path: "pci-0000:00:17.0-ata-1"}', 'path:pci-0000:00:17.0-ata-1'],
    ['{size: 400GB-0.5TiB}', 'size:400000000000-549755813888'],
  ] as const) {
    const folder = t.testdir({ 'netboot.yml': GOOD.replace('{serial: S1}', disk) })
    const profile = readConfig(join(folder, 'netboot.yml')).profiles.get('disk')
    t.equal(profile?.kind === 'kernel' && profile.image?.disk, selector)
  }
})

t.test('what pools never give away', async (t) => {
  const text = GOOD.replace(
    'pool: 10.77.0.100-10.77.0.199',
    'pool: 10.77.0.0-10.77.0.255\n    dns: [10.77.0.2]\n    ntp: [10.77.0.3]',
  )
  const config = readConfig(join(t.testdir({ 'netboot.yml': text }), 'netboot.yml'))
  const directory = new Directory(config, [machine('n1', { address: '10.77.0.4' })])
  const leases = new LeaseTable((address) => directory.reserved(address))
  const given: number[] = []
  for (let i = 0; i < 300; i++) {
    const address = leases.free(config.dhcp.networks[0]!, undefined, 0)
    if (address === undefined) break
    leases.set({ mac: `m${i}`, address, state: 'bound', expires: 1 })
    given.push(address & 255)
  }
  t.strictSame(
    given,
    Array.from({ length: 250 }, (_, i) => i + 5),
    'neither the ends of the network, nor its router and servers, nor what a machine has',
  )
  t.not(leases.free(config.dhcp.networks[0]!, 0x0a4d0001, 2), 0x0a4d0001, 'nor when asked for it')
})

t.test('machines are found by MAC in any spelling, and by UUID in both byte orders', async (t) => {
  const config = readConfig(join(t.testdir({ 'netboot.yml': GOOD }), 'netboot.yml'))
  const uuid = '11223344-5566-7788-99aa-bbccddeeff00'
  const directory = new Directory(config, [
    machine('n1', { macs: ['52-54-00-AA-BB-01', '5254.00aa.bb02'], address: '10.77.0.11', uuid }),
    machine('n2', { macs: ['525400aabb03'] }),
  ])
  t.equal(directory.find({ mac: '52:54:00:aa:bb:02' })?.name, 'n1')
  t.equal(directory.find({ mac: '00:00:00:00:00:00', uuid })?.name, 'n1')
  t.equal(directory.find({ uuid: '443322116655887799aabbccddeeff00' })?.name, 'n1')
  t.equal(directory.find({ mac: '00:00:00:00:00:00' }), undefined)
  const client = { kind: 'pxe', userClasses: [] } as const
  t.strictSame(directory.machineOf({ ...client, mac: '52:54:00:aa:bb:01' }), { name: 'n1', address: 0x0a4d000b })
  t.strictSame(directory.machineOf({ ...client, mac: '52:54:00:aa:bb:02' }), { name: 'n1', address: undefined })
  t.ok(directory.reserved(0x0a4d000b))
  t.equal(directory.unanswered(machine('n1', { address: '10.77.0.11' })), undefined)
  t.equal(directory.unanswered(machine('n1')), undefined)
  t.match(directory.unanswered(machine('n1', { address: '192.168.1.5' })), /192\.168\.1\.5 is in none of the networks/)
  t.throws(
    () =>
      new Directory(config, [machine('a', { macs: ['525400aabb03'] }), machine('b', { macs: ['52:54:00:aa:bb:03'] })]),
    /machines a and b have the same MAC address 52:54:00:aa:bb:03/,
  )
  t.throws(() => new Directory(config, [machine('a', { macs: ['x'] })]), /"x" is no MAC address/)
  t.throws(
    () => new Directory(config, [machine('a', { profile: 'debain' })]),
    /no profile "debain".*did you mean "debian"/s,
  )
})
