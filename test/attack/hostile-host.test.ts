/** What a managed host prints is data: it reaches no other host, no shell and no file of the controller. */
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseFacts } from '../../modules/facts.ts'
import { loadInventory } from '../../src/inventory/index.ts'
import fc from '../property.ts'
import { runHere } from './here.ts'

t.test('fetch stays below DEST/HOST whatever the path', async (t) => {
  const folder = t.testdir({ host: { secret: 'of the host' }, logs: {} })
  const up = '../'.repeat(30)
  // On the host `/..` is `/`, so that the path is one of an existing file.
  const src = `/var/log/${up}${join(folder, 'host/secret').slice(1)}`
  t.match(await runHere(folder, [{ fetch: { src, dest: 'logs' } }]), { trace: ['fetch changed'] })
  t.equal(readFileSync(join(folder, 'logs/here', folder, 'host/secret'), 'utf8'), 'of the host')
})

t.test('the name of a host leads fetch nowhere else', async (t) => {
  for (const name of ['..', '../..', '../up', 'a/../../up', './up']) {
    const folder = t.testdir({ src: 'content', site: {} })
    const list = join(folder, 'names.yml')
    writeFileSync(list, JSON.stringify({ all: { hosts: { [name]: { ansible_connection: 'local' } } } }))
    const task = { fetch: { src: join(folder, 'src'), dest: 'logs/deep' } }
    const { results } = await runHere(join(folder, 'site'), [task], { inventory: await loadInventory([list]) })
    t.match(results, [{ status: 'failed', msg: /cannot have a folder of its name/ }], name)
    t.strictSame(readdirSync(join(folder, 'site')).sort(), ['hosts.yml', 'site.yml'])
  }
})

t.test('fetch puts no file in the place of a pipe or a device', async (t) => {
  const folder = t.testdir({ src: 'content' })
  spawnSync('mkfifo', [join(folder, 'pipe')])
  const dest = join(folder, 'pipe')
  const { results } = await runHere(folder, [{ fetch: { src: join(folder, 'src'), dest, flat: true } }])
  t.match(results[0], { status: 'failed', msg: /pipe on the controller: it is no regular file/ })
  t.ok(lstatSync(dest).isFIFO())
})

t.test('names of environment variables are no place for a script', async (t) => {
  const folder = t.testdir({})
  const marker = join(folder, 'injected')
  const said = JSON.stringify({ [`X=1; touch ${marker}; export Y`]: '1' })
  const { results } = await runHere(folder, [
    { shell: `printf %s '${said}'`, register: 'r' },
    { command: 'true', environment: '{{ from_json r.stdout }}' },
  ])
  t.match(results.at(-1), { status: 'failed', msg: /is no name of a variable/ })
  t.notOk(existsSync(marker))
})

t.test('an environment variable is a text', async (t) => {
  const folder = t.testdir({})
  const vars = { map: { a: 1 }, list: [1], none: null, number: 5, yes: true }
  const env = (value: string) => ({ shell: 'echo "$A"', environment: { A: value }, ignore_errors: true })
  const values = ['{{ map }}', '{{ list }}', '{{ number }}', '{{ yes }}', '!']
  const tasks = [
    ...values.map(env),
    { shell: 'true', environment: '{{ from_json \'{"A":null}\' }}', ignore_errors: true },
  ]
  const { results } = await runHere(folder, tasks, { vars })
  t.match(results[0], { status: 'ignored', msg: 'environment: A must be a text, not a map' })
  t.match(results[1], { status: 'ignored', msg: 'environment: A must be a text, not a list' })
  t.strictSame(
    results.slice(2, 5).map(({ result }) => result?.stdout),
    ['5', 'true', '!'],
  )
  t.match(results[5], { status: 'ignored', msg: 'environment: A must be a text, not null' })
})

t.test('facts of any text are plain data', async (t) => {
  const word = fc.oneof(
    fc.constantFrom(
      'constructor',
      '__proto__',
      'toString',
      'eth0',
      'dev',
      'via',
      'inet',
      'inet6',
      '1.2.3.4/8',
      '\x1b[2J',
    ),
    fc.string(),
  )
  const keys = 'hostname machine os ID=constructor interface address route4 route6 mount disk swap user time uptime'
  const line = fc
    .tuple(fc.constantFrom(...keys.split(' ')), fc.array(word, { maxLength: 6 }))
    .map(([key, words]) => [key, ...words].join(' '))
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
      const facts = parseFacts(lines.join('\n'))
      t.same(JSON.parse(JSON.stringify(facts)), JSON.parse(JSON.stringify(structuredClone(facts))))
    }),
  )
  t.doesNotThrow(() => parseFacts('address constructor inet 1.2.3.4/8\nroute4 default dev constructor'))
  t.match(parseFacts('machine constructor\nos ID=constructor'), {
    architecture: 'constructor',
    os: { family: 'constructor' },
  })
  t.equal(Object.getPrototypeOf({}).ipv4, undefined)
})
