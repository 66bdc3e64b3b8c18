/** Templates of profiles: what they see, what is refused and when, and that the examples of docs/netboot.md hold. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { Desk } from '../../src/netboot/boot.ts'
import { readConfig } from '../../src/netboot/config.ts'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import { Directory } from '../../src/netboot/directory.ts'
import { HttpServer } from '../../src/netboot/http/server.ts'
import { DEFAULT_WISH, Machines } from '../../src/netboot/machines.ts'
import type { NetbootMachine } from '../../src/netboot/profile.ts'
import { Tokens } from '../../src/netboot/tokens.ts'
import { makeScope } from '../../src/values/index.ts'

const VARS = {
  talos_token: 'secret: "1"',
  talos_ca: 'QUJD',
  talos_endpoint: 'https://10.77.0.2:6443',
  talos_cluster_token: 'x.y',
  talos_cluster_ca: 'QUJD',
  site_name: 'bern',
}
const KEY = 'ssh-ed25519 AAAA me@there'
const HEAD = `
interfaces: [lo]
networks: [{subnet: 10.77.0.0/24, router: 10.77.0.1, dns: [10.77.0.53]}]
files: boot
`

/** A desk, with a machine for each profile, of the profile's name. */
function setUp(t: Test, profiles: string, files: Record<string, string>) {
  const folder = t.testdir({ 'netboot.yml': `${HEAD}${profiles}`, boot: {}, ...files })
  const config = readConfig(join(folder, 'netboot.yml'))
  const list = [...config.profiles.keys()].map(
    (name, i): NetbootMachine => ({
      ...{ name, macs: [`52:54:00:77:00:1${i}`], address: `10.77.0.1${i}`, groups: ['workers'], profile: name },
      ...{ sshKeys: [KEY], scope: makeScope([{ name: 'inventory', vars: VARS }]) },
    }),
  )
  const db = openNetbootDatabase(undefined)
  t.teardown(() => db.close())
  const directory = new Directory(config, list)
  const [machines, tokens] = [new Machines(db), new Tokens(db)]
  const events: string[] = []
  const desk = new Desk({ config, directory, machines, tokens, onEvent: ({ what }) => events.push(what) })
  const start = (name: string) => {
    machines.repave(name, Date.now(), DEFAULT_WISH)
    const script = desk.script(name, 'ipxe', 'http://10.77.0.1')
    const [, seed = '', report = ''] = /\/seed\/([^/ ]+)\/([^/ ]+)/.exec(script) ?? []
    return { script, seed, report, read: (file: string) => desk.seed(seed, report, file, 'http://10.77.0.1') }
  }
  return { folder, desk, machines, directory, config, tokens, events, start }
}

t.test('the examples of the documentation', async (t) => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/netboot.md'), 'utf8')
  const section = /^## Installers of distributions$([\s\S]*?)^## /m.exec(text)![1]!
  const profiles = [...section.matchAll(/```yaml\n(profiles:\n[\s\S]*?)```/g)].map(([, one]) =>
    one!.replace('profiles:\n', ''),
  )
  const files = [...section.matchAll(/^`([\w.-]+)`[^\n]*:\n\n```\w*\n([\s\S]*?)```/gm)].map(([, name, body]) => [
    name!,
    body!,
  ])
  t.equal(profiles.length, 4)
  const { start, machines, events } = setUp(t, `profiles:\n${profiles.join('')}`, Object.fromEntries(files))

  const debian = start('debian-preseed')
  t.match(
    debian.script,
    /^kernel \S+ initrd=initrd0 auto=true .* hostname=debian-preseed url=http:\/\/10\.77\.0\.1\/seed\/\S+\/preseed\.cfg/m,
  )
  const preseed = debian.read('preseed.cfg')
  t.match(preseed, `-d "{\\"status\\": \\"installed\\"}" http://10.77.0.1/report/${debian.report}'\n`)
  const debconf = spawnSync('debconf-set-selections', ['--checkonly'], { input: preseed, encoding: 'utf8' })
  if (debconf.error) t.comment('no debconf-set-selections here')
  else t.match(debconf, { status: 0, stderr: '' })
  t.equal(debian.read('authorized_keys'), `${KEY}\n`)
  t.match(
    debian.read('phone-home.service'),
    ` pub_key_ed25519@/etc/ssh/ssh_host_ed25519_key.pub http://10.77.0.1/phone-home/${debian.report} &&`,
  )
  t.equal(debian.read('preseed.cfg'), 'gone')

  const ubuntu = start('ubuntu')
  t.match(
    ubuntu.script,
    / url=http:\/\/10\.77\.0\.1\/files\/ubuntu\/live-server\.iso .* ds=nocloud;s=http:\/\/10\.77\.0\.1\/seed\/[^ ]+\/ /,
  )
  t.match(parse(ubuntu.read('user-data')), {
    autoinstall: {
      'user-data': { hostname: 'ubuntu', ssh_authorized_keys: [KEY], phone_home: { url: /\/phone-home\// } },
      'late-commands': [`curl -fsS -d '{"status": "installed"}' http://10.77.0.1/report/${ubuntu.report}`],
    },
  })
  t.strictSame(parse(ubuntu.read('vendor-data')), {})
  t.match(ubuntu.read('meta-data'), /local-hostname/)

  const flatcar = start('flatcar')
  t.match(flatcar.script, / ignition\.config\.url=http:\S+\/install\.ign /)
  const install = JSON.parse(flatcar.read('install.ign'))
  t.match(install, { ignition: { version: '3.3.0' } })
  t.match(install.systemd.units[0].contents, `\nExecStart=/usr/bin/flatcar-install -d /dev/sda -i /run/machine.ign\n`)
  const machine = JSON.parse(flatcar.read('machine.ign'))
  // Nothing else makes the keys before somebody connects.
  t.match(machine.systemd.units[0].contents, /^Wants=.*sshd-keygen\.service$/m)
  t.match(machine, {
    passwd: { users: [{ name: 'core', sshAuthorizedKeys: [KEY] }] },
    storage: { files: [{ contents: { source: 'data:,flatcar' } }] },
  })

  const talos = start('talos-worker')
  t.match(parse(talos.read('machine.yaml')), {
    machine: { token: VARS.talos_token, install: { disk: '/dev/sda' } },
    cluster: { controlPlane: { endpoint: VARS.talos_endpoint } },
  })
  t.match(machines.state('talos-worker'), { phase: 'installing', detail: 'reads machine.yaml' })
  t.match(start('talos-worker').script, /local disk/)
  t.match(machines.state('talos-worker'), {
    phase: 'installed',
    repave: undefined,
    detail: 'booted after its installer',
  })
  t.notMatch(events.join(), /secret/)
})

const ONE = `profiles: {p: {kernel: k, cmdline: 'a={{ site_name }} b={{ machine.address }} c={{ profile.x }}', seed: {c.ign: c.ign.hbs}, vars: {x: 5}}}\n`
const IGN = '{"ignition": {"version": "3.4.0"}, "x": {{ json machine.groups }} }'

t.test('inventory, machine and profile', async (t) => {
  const { start, desk, directory } = setUp(t, ONE, { 'c.ign.hbs': IGN })
  desk.check('p')
  t.match(start('p').script, /initrd0|k +a=bern b=10\.77\.0\.10 c=5/)
  t.ok(directory.machines.get('p')?.scope)
})

t.test('what cannot be filled in gives the local disk and keeps the repave', async (t) => {
  for (const [profiles, file, message] of [
    [ONE.replace('site_name', 'site_nane'), IGN, /site_nane.*did you mean.*site_name/s],
    [ONE.replace('machine.address', 'machine.adress'), IGN, /adress/],
    [ONE, IGN.replace('json machine.groups', 'nothing'), /"?nothing/],
    [ONE, IGN.replace('} }', '}'), /no JSON, as Ignition needs it/],
    [ONE, IGN.replace('3.4.0', 'new'), /Ignition needs its version/],
    [ONE, '[]', /Ignition needs its version/],
    [ONE.replace('x: 5', 'x: "a\\nb"'), IGN, /cmdline must be one line/],
    [ONE.replace('c.ign.hbs', 'not-there.hbs'), IGN, /not-there\.hbs/],
  ] as const) {
    const { start, desk, machines, events, folder } = setUp(t, profiles, { 'c.ign.hbs': file })
    t.throws(() => desk.check('p'), { message })
    t.match(start('p').script, /cannot be filled in, its repave is kept: booting the local disk/)
    t.match(events, [/boots its local disk, as profile p cannot be filled in/])
    t.match(machines.state('p'), { phase: 'discovered', repave: { served: undefined } })
    if (!profiles.includes('not-there') && profiles === ONE) {
      writeFileSync(join(folder, 'c.ign.hbs'), IGN)
      t.match(desk.script('p', 'ipxe', 'http://10.77.0.1'), /^kernel /m, 'mended')
    }
  }
})

t.test('content types', async (t) => {
  const profile = `profiles: {p: {kernel: k, cmdline: '{{ seed }}/', seed: {c.ign: c.ign.hbs, x.json: x.json}}}\n`
  const { start, desk, folder } = setUp(t, profile, { 'c.ign.hbs': IGN, 'x.json': '{}' })
  await using server = new HttpServer({
    ...{ addresses: ['127.0.0.1'], port: 0, root: join(folder, 'boot'), desk, downloads: 1 },
  })
  await server.start()
  const { seed, report } = start('p')
  for (const [file, type] of [
    ['c.ign', 'application/vnd.coreos.ignition+json'],
    ['x.json', 'application/json'],
    ['user-data', 'text/plain; charset=utf-8'],
  ] as const) {
    const response = await fetch(`http://127.0.0.1:${server.port}/seed/${seed}/${report}/${file}`)
    t.equal(response.headers.get('content-type'), type)
    t.equal(response.headers.get('cache-control'), 'no-store')
    t.ok(await response.text())
  }
})
