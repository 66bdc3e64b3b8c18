/** The desk: what each machine is told, whatever happened before. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Desk } from '../../src/netboot/boot.ts'
import { readConfig } from '../../src/netboot/config.ts'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import { identify } from '../../src/netboot/dhcp/client.ts'
import { makeDiscover, type Question } from '../../src/netboot/dhcp/request.ts'
import { Directory } from '../../src/netboot/directory.ts'
import { explainBoot } from '../../src/netboot/explain.ts'
import { hostOf } from '../../src/netboot/facts.ts'
import { segmentsOf } from '../../src/netboot/http/request.ts'
import { Machines } from '../../src/netboot/machines.ts'
import { grubLoad, ipxeLoad } from '../../src/netboot/scripts.ts'
import { Tokens } from '../../src/netboot/tokens.ts'
import fc from '../property.ts'

const CONFIG = `
interfaces: [eth9]
unknown: enroll
networks: [{subnet: 10.77.0.0/24, pool: 10.77.0.100-10.77.0.110}]
files: boot
profiles:
  kernel: {kernel: linux, cmdline: "seed={{ seed }} report={{ report }}"}
  uki: {uki: u.efi}
  local: {local: true}
  disk:
    image: images/a b.raw.zst
    sha256: ${'b'.repeat(64)}
    disk: {size: 1GB-2GB}
    wipe: true
assign: {machines: {k: kernel, u: uki, l: local, d: disk}}
`
const MACS = {
  k: '52:54:00:77:00:01',
  u: '52:54:00:77:00:02',
  l: '52:54:00:77:00:03',
  n: '52:54:00:77:00:04',
  d: '52:54:00:77:00:05',
}
const FACTS = {
  ...{ vendor: 'V', product: 'P', serial: 'S', uuid: '', firmware: 'uefi', firmware_version: '1', secure_boot: false },
  ...{ tpm: '2', bmc: '10.0.0.1', cpu: { model: 'C', sockets: 1, threads: 2 }, memory: 2 ** 30 },
  disks: [{ name: 'vda', serial: 'ONE', wwn: '', path: 'pci-0000:00:04.0', model: '', size: 1e9, rotational: false }],
  nics: [{ name: 'eth0', mac: '52:54:00:77:99:9a', driver: 'virtio_net', link: true, speed: null }],
}
const BASE = 'http://10.77.0.1'
const SERVER = 0x0a4d0001

function setUp(t: Test) {
  const config = readConfig(join(t.testdir({ 'netboot.yml': CONFIG }), 'netboot.yml'))
  const list = Object.entries(MACS).map(([name, mac], i) => ({
    name,
    macs: [mac],
    address: `10.77.0.1${i}`,
    groups: [],
    sshKeys: ['ssh-ed25519 AAAA me'],
  }))
  const directory = new Directory(config, list)
  const make = () => {
    const db = openNetbootDatabase(undefined)
    const clock = { now: 1000 }
    const parts = { config, directory, machines: new Machines(db), tokens: new Tokens(db), now: () => clock.now }
    return { ...parts, parts, db, clock, desk: new Desk(parts) }
  }
  return make
}

const REPAVE = { valid: 1000, timeout: 200, retries: 1, giveUp: 'leave' as const }

t.test('offers', async (t) => {
  const { desk, machines, tokens, directory } = setUp(t)()
  const offer = (mac: string, client: Question['client']) => {
    const asks = identify(makeDiscover({ mac, client })!)
    return desk.dhcp(asks, directory.machineOf(asks), SERVER)!
  }
  const own = (name: string) => `${BASE}/m/${name}/${tokens.tag(name)}`
  t.strictSame(offer(MACS.k, 'uefi').file, 'ipxe.efi')
  t.strictSame(offer(MACS.k, 'bios').file, 'undionly.kpxe')
  t.equal(offer(MACS.k, 'ipxe').script, `${own('k')}/boot.ipxe`)
  t.equal(offer(MACS.u, 'http').url, `${BASE}/files/ipxe.efi`)
  machines.repave('u', 1000, REPAVE)
  t.equal(offer(MACS.u, 'http').url, `${own('u')}/uki.efi`)
  t.equal(offer(MACS.u, 'uefi').file, 'ipxe.efi')
  t.equal(offer('02:00:00:00:00:01', 'ipxe').script, `${BASE}/local.ipxe`)
  t.strictSame([...machines.all().keys()], ['02:00:00:00:00:01', 'u'], 'a stranger is remembered')
})

t.test('explain uses nothing up', async (t) => {
  const { parts, machines } = setUp(t)()
  machines.repave('k', 1000, REPAVE)
  const explain = (mac: string, client: Question['client']) => explainBoot({ mac, client }, parts, [SERVER])
  for (const client of ['uefi', 'bios', 'http', 'ipxe'] as const) {
    t.match(explain(MACS.k, client), {
      machine: 'k',
      profile: 'kernel',
      offers: [{ answer: 'OFFER', script: /^kernel .*TOKEN/m }],
    })
  }
  t.match(explain(MACS.l, 'uefi'), { offers: [{ script: /l has no repave pending/ }] })
  t.match(explain('02:00:00:00:00:01', 'uefi'), { machine: undefined, offers: [{ script: /not in the inventory/ }] })
  t.equal(explain('x', 'uefi'), undefined)
  t.strictSame([...machines.all().keys()], ['k'])
  t.equal(machines.boot('k', 1001).boot, 'installer')
})

t.test('scripts', async (t) => {
  const loads = {
    title: 'n1\necho $x',
    kernel: '/k',
    initrd: ['/a', '/b'],
    cmdline: "x=1 ds=nocloud;s=http://h/ a='b c'",
  }
  t.match(ipxeLoad(loads), /^echo runbook: n1_echo _x\n/m)
  t.match(
    ipxeLoad(loads),
    /^kernel \/k initrd=initrd0 initrd=initrd1 x=1 ds=nocloud;s=http:\/\/h\/ .* && goto done0 \|\|$/m,
  )
  t.match(ipxeLoad(loads), /^initrd --name initrd1 \/b && goto done2 \|\|$/m)
  const grub = grubLoad(loads)
  t.match(grub, /^linux \/k x=1 'ds=nocloud;s=http:\/\/h\/' 'a='\\''b' 'c'\\'''$/m)
  t.match(grub, /^initrd \/a \/b\nboot\nexit 1$/m)
})

t.test('the installer: its orders, once, and what a system without cloud-init needs', async (t) => {
  const { desk, parts, machines, clock } = setUp(t)()
  machines.repave('d', clock.now, REPAVE)
  const script = desk.script('d', 'ipxe', BASE)
  t.match(script, /^kernel http:\/\/10\.77\.0\.1\/files\/installer\/linux initrd=initrd0 runbook\.mode=install /m)
  const [, seed = '', report = ''] = /runbook\.seed=\S+\/seed\/([^/\s]+)\/(\S+)/.exec(script) ?? []
  const read = (name: string) => desk.seed(seed, report, name, BASE)
  t.equal(
    await read('install'),
    `image=${BASE}/files/images/a%20b.raw.zst\nsha256=${'b'.repeat(64)}\ndisk=size:1000000000-2000000000\nwipe=yes\ninject=yes\ngrow=yes\nname=d\n`,
  )
  t.equal(await read('install'), 'gone')
  desk.seedSent(seed, 'install', false)
  t.match(await read('install'), /^image=/, 'once more, as it did not arrive')
  desk.seedSent(seed, 'install', true)
  desk.seedSent(seed, 'install', false)
  t.equal(await read('install'), 'gone')
  t.equal(await read('networkd'), '[Match]\nMACAddress=52:54:00:77:00:05\n\n[Network]\nAddress=10.77.0.14/24\n\n')
  t.equal(await read('ssh-keys'), 'ssh-ed25519 AAAA me\n')
  t.equal(await read('phone-home'), `${BASE}/phone-home/${report}\n`)
  t.equal(await read('shadow'), 'missing')
  const home: string[] = []
  const listening = new Desk({ ...parts, onReachable: (name) => void home.push(name) })
  const key = `ssh-ed25519 ${'A'.repeat(68)}`
  t.equal(listening.phoneHome(report, new URLSearchParams({ pub_key_ed25519: key }).toString()), 'taken')
  t.strictSame([home, machines.hostKeys('d'), machines.toFollow()], [['d'], [key], ['d']])
  t.equal(listening.phoneHome(report, ''), 'gone')
  t.strictSame([home, machines.hostKeys('d')], [['d'], [key]])
  t.equal(await read('user-data'), 'forbidden', 'what was not asked for in time is of no use to anybody else')
  machines.followed('d', clock.now, 'done')
  t.strictSame(machines.toFollow(), [])
})

t.test('the secrets of a repave that was cancelled, or replaced, are closed', async (t) => {
  const { desk, machines, clock } = setUp(t)()
  machines.repave('k', clock.now, REPAVE)
  const tokensOf = (script: string) => /seed=\S+\/seed\/([^/\s]+)\/(\S+)/.exec(script)?.slice(1) as [string, string]
  const first = tokensOf(desk.script('k', 'ipxe', BASE))
  t.type(await desk.seed(...first, 'user-data', BASE), 'string')
  machines.apply('k', { type: 'cancel', at: clock.now })
  t.equal(desk.seed(...first, 'meta-data', BASE), 'forbidden')
  machines.repave('k', clock.now, REPAVE)
  t.equal(desk.seed(...first, 'meta-data', BASE), 'forbidden')
  const second = tokensOf(desk.script('k', 'ipxe', BASE))
  t.type(desk.seed(...second, 'meta-data', BASE), 'string')
  t.equal(desk.seed(...first, 'vendor-data', BASE), 'forbidden')
})

t.test('a kernel of somebody else does not get the orders of ours', async (t) => {
  const { desk, machines, clock } = setUp(t)()
  machines.repave('k', clock.now, REPAVE)
  const [, seed = '', report = ''] = /seed=\S+\/seed\/([^/\s]+)\/(\S+)/.exec(desk.script('k', 'ipxe', BASE)) ?? []
  t.equal(await desk.seed(seed, report, 'install', BASE), 'missing')
})

t.test('discovery: where it is allowed, for who was told the way, and only to look', async (t) => {
  const { parts, machines } = setUp(t)()
  const mac = '52:54:00:77:99:99'
  const client = identify(makeDiscover({ mac, client: 'ipxe' })!)
  const off = new Desk(parts)
  t.equal(off.offer(client, undefined, SERVER)?.script, `${BASE}/local.ipxe`)
  const desk = new Desk({ ...parts, config: { ...parts.config, discover: true } })
  const [, tag = ''] =
    /\/discover\/52-54-00-77-99-99\/(\S+)\/boot\.ipxe$/.exec(desk.offer(client, undefined, SERVER)?.script ?? '') ?? []
  t.ok(desk.isStranger(mac, tag))
  t.notOk(desk.isStranger('52:54:00:77:99:98', tag))
  t.notOk(off.isStranger(mac, tag))
  t.notOk(desk.isTag(mac, tag), 'is no tag of a machine')
  const script = desk.discoveryScript(mac, 'ipxe', BASE)
  t.match(script, / runbook\.mode=discover runbook\.report=\S+\/discover\//)
  t.notMatch(script, /install |seed/)
  t.equal(desk.strangersNext(mac), 'wait')
  t.equal(desk.strangersNext(MACS.n), 'reboot')
  t.equal(desk.discovered(mac, '{"cpu": 1}'), 'malformed')
  t.equal(desk.discovered(mac, JSON.stringify(FACTS)), 'taken')
  t.strictSame(machines.facts(mac), FACTS)
  const ib = { ...FACTS.nics[0]!, mac: '80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:12:34:56' }
  const twice = { ...FACTS.nics[0]!, mac: '52:54:00:77:99:9A' }
  const nics = [ib, ...FACTS.nics, twice, { ...ib, mac: '' }, { ...ib, mac: 'all: {hosts' }]
  t.equal(desk.discovered(mac, JSON.stringify({ ...FACTS, nics })), 'taken')
  t.strictSame(hostOf(mac, machines.facts(mac)), { netboot_mac: [mac, '52:54:00:77:99:9a'], netboot_serial: 'S' })
})

const name = fc.oneof({ weight: 4, arbitrary: fc.constantFrom('k', 'u') }, fc.constantFrom('l', 'n', 'stranger'))
const action = fc.oneof(
  fc.record({
    do: fc.constantFrom('ipxe' as const, 'grub' as const, 'uki' as const, 'size' as const, 'repave' as const),
    name,
  }),
  fc.record({ do: fc.constantFrom('cancel' as const, 'preview' as const, 'restart' as const, 'tick' as const), name }),
  fc.record({
    do: fc.constantFrom('installed' as const, 'failed' as const, 'installing' as const, 'home' as const),
    name,
  }),
)

t.test('whatever the order, what installs goes out only for a repave that is pending, and once', async (t) => {
  const make = setUp(t)
  fc.assert(
    fc.property(fc.array(fc.tuple(action, fc.nat(100)), { maxLength: 60, size: 'max' }), (actions) => {
      const { parts, machines, directory, db, clock, desk: first } = make()
      let desk = first
      const allowed = new Map<string, number>()
      const reports: string[] = []
      try {
        for (const [{ do: what, name }, passes] of actions) {
          clock.now += passes
          const pending = desk.pending(name) !== undefined
          let installs = false
          if (what === 'ipxe' || what === 'grub') {
            const script = desk.script(name, what, BASE)
            installs = /^(kernel|linux) /m.test(script)
            const report = /report=\S+\/report\/(\S+)/.exec(script)?.[1]
            if (report) reports.push(report)
          } else if (what === 'uki') installs = desk.uki(name, true) !== undefined
          else if (what === 'size') desk.uki(name, false)
          else if (what === 'preview') desk.preview(name, 'ipxe', BASE)
          else if (what === 'restart') desk = new Desk(parts)
          else if (what === 'tick') machines.tick(clock.now, { repave: REPAVE, reboot: REPAVE })
          else if (what === 'cancel') machines.apply(name, { type: 'cancel', at: clock.now })
          else if (what === 'repave') {
            if (machines.repave(name, clock.now, REPAVE) === undefined)
              allowed.set(name, (allowed.get(name) ?? 0) + 1 + REPAVE.retries)
          } else {
            for (const report of reports) {
              if (what === 'home') desk.phoneHome(report, '')
              else desk.report(report, JSON.stringify({ status: what }))
            }
          }
          if (!installs) continue
          allowed.set(name, (allowed.get(name) ?? 0) - 1)
          if (!pending || desk.pending(name) !== undefined || allowed.get(name)! < 0) return false
          if (!directory.machines.has(name) || name === 'l' || name === 'n') return false
        }
        return true
      } finally {
        db.close()
      }
    }),
    { numRuns: 300 },
  )
})

t.test('a path never leads up, whatever is asked', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^\/[./%2eEfF\\a?#5cC0]{0,20}$/), (target) => {
      try {
        return segmentsOf(target).every((one) => one !== '..' && !/[/\\\0]/.test(one))
      } catch (error) {
        return (error as { status?: number }).status === 400
      }
    }),
    { numRuns: 2000 },
  )
})
