/**
 * What one task changes and another one reads: a request asks for the state of many tasks at once, so a module must say of
 * every answer what may change it, or a task in front of it makes it a lie.
 */
import t from 'tap'
import { resourcesOf } from '../../src/module/read.ts'
import { loadModule } from '../../src/module/registry.ts'
import { Touched } from '../../src/module/resources.ts'

/** A public key of 32 zero bytes. */
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

type Call = readonly [module: string, args: object]

const file = { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' }
const missing = { exists: false, text: '', stat: undefined, content: undefined }
/** States in which each of these has something to do. */
const STATES: Readonly<Record<string, object>> = {
  copy: { direct: { path: '', ...missing }, within: undefined, source: undefined },
  file: { own: undefined, followed: undefined, link: undefined },
  firewalld: { now: { running: true, permanent: false, immediate: false } },
  ufw: { now: { status: 'inactive', policies: {}, logging: 'off' } },
  get_url: { direct: undefined, within: undefined },
  lineinfile: { file: { exists: true, text: 'a\n', stat: file } },
  mount: { fstab: { exists: true, text: '', stat: file }, mounts: [] },
  unarchive: { dest: { ...file, type: 'directory' } },
  user: { account: { tools: true, groups: [] }, further: [] },
}

async function touched([name, args]: Call): Promise<Touched> {
  const module = await loadModule(name)
  if (module?.type !== 'module') throw new Error(name)
  const all = new Touched()
  const state = STATES[name] as { direct?: { path: string } }
  const parsed = module.args.parse(args) as { dest?: { path: string } }
  if (name === 'copy') state.direct!.path = parsed.dest!.path
  const changes = module.plan(parsed, state)
  if (changes.length === 0) throw new Error(`${name} has nothing to do`)
  for (const change of changes) all.add(change.touches)
  return all
}

async function reads([name, args]: Call): Promise<string[]> {
  const module = await loadModule(name)
  if (module?.type !== 'module') throw new Error(name)
  return resourcesOf(module.probe(module.args.parse(args)))
}

const app: Call = ['user', { name: 'app' }]
const link: Call = ['file', { path: '/opt/app', src: '/opt/app-2', state: 'link' }]
const unit = (folder: string): Call => ['copy', { dest: `${folder}/x.service`, content: 'x' }]
const toRoot: Call = ['unarchive', { src: 'https://example.org/x.tar', dest: '/' }]
const service: Call = ['service', { name: 'x', state: 'started' }]

const ROWS: readonly [string, Call, Call][] = [
  ['the crontab of a user that is made', app, ['cron', { name: 'j', job: 'true', user: 'app' }]],
  ['the keys of a user that is made', app, ['authorized_key', { user: 'app', key: KEY }]],
  ['the facts of a user that is made', app, ['facts', {}]],
  ['a rule about a user that is made', app, ['iptables', { chain: 'OUTPUT', uid_owner: 'app', jump: 'DROP' }]],
  ['a rule beside those of ufw', ['ufw', { state: 'enabled' }], ['iptables', { chain: 'INPUT', flush: true }]],
  [
    'a rule beside those of firewalld',
    ['firewalld', { port: '1/tcp', state: 'enabled' }],
    ['iptables', { chain: 'INPUT', flush: true }],
  ],
  [
    'a zone that a file brings',
    ['copy', { dest: '/etc/firewalld/zones/x.xml', content: 'x' }],
    ['firewalld', { port: '1/tcp', state: 'enabled' }],
  ],
  ['a file below a link', link, ['copy', { dest: '/opt/app/conf/x', content: 'x' }]],
  ['a line below a link', link, ['lineinfile', { path: '/opt/app/conf', line: 'x' }]],
  ['what a command makes below a link', link, ['command', { cmd: 'make', creates: '/opt/app/made' }]],
  ['a unit that an archive brings', toRoot, service],
  ['a program that an archive brings', toRoot, ['command', { cmd: 'x', creates: '/usr/local/bin/x' }]],
  ['another archive in the same folder', toRoot, ['unarchive', { src: '/x.zip', remote_src: true, dest: '/' }]],
  ...['/etc', '/usr/lib', '/usr/local/lib', '/lib'].map((folder): [string, Call, Call] => [
    `a unit in ${folder}`,
    unit(`${folder}/systemd/system`),
    service,
  ]),
  [
    'a unit that is downloaded',
    ['get_url', { url: 'https://example.org/x.service', dest: '/usr/local/lib/systemd/system/x.service' }],
    service,
  ],
  [
    'the unit of a mount',
    ['mount', { path: '/srv', src: '/dev/x', fstype: 'ext4', state: 'present' }],
    ['service', { name: 'srv.mount', state: 'started' }],
  ],
  ['the facts of a mount', ['mount', { path: '/srv', src: '/dev/x', fstype: 'ext4', state: 'mounted' }], ['facts', {}]],
  [
    'a checksum from a host that gets its address',
    ['lineinfile', { path: '/etc/hosts', line: '10.0.0.1 mirror' }],
    ['get_url', { url: 'http://mirror/x', dest: '/x', checksum: 'sha256:http://mirror/x.sha256' }],
  ],
]

for (const [name, first, then] of ROWS)
  t.test(name, async (t) => t.ok((await touched(first)).affects(await reads(then)), (await reads(then)).join(' ')))

t.test('and no more than that', async (t) => {
  t.notOk((await touched(link)).affects(await reads(['copy', { dest: '/opt/application', content: 'x' }])))
  t.notOk((await touched(app)).affects(await reads(['copy', { dest: '/opt/x', content: 'x' }])))
})
