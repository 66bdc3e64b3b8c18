/** etcd's quorum: the rules by a table, and a real cluster of three with one member stopped, asked with curl and openssl. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { askEtcd, EtcdSilent, type EtcdState, etcdRefusal } from '../../../src/maintenance/guards/etcd.ts'
import { makeConnection } from '../../../src/session/connection.ts'
import { openLocal } from '../../../src/session/local.ts'
import type { Shell } from '../../../src/session/session.ts'
import fc from '../../property.ts'

t.setTimeout(180_000)

const member = (i: number, trouble?: string, learner = false) => ({
  name: `n${i}`,
  hosts: [`10.0.0.${i}`],
  learner,
  trouble,
})
const node = (i: number) => ({ name: `n${i}`, addresses: [`10.0.0.${i}`] })
const nodes = [1, 2, 3, 4, 5].map(node)

t.test('rules', async (t) => {
  const table: [name: string, EtcdState, down: number[], RegExp | undefined][] = [
    ['three well', { members: [1, 2, 3].map((i) => member(i)) }, [], undefined],
    ['the only one', { members: [member(1)] }, [], undefined],
    ['two', { members: [member(1), member(2)] }, [], /two members/],
    ['another is ill', { members: [member(1), member(2, 'timeout'), member(3)] }, [], /not healthy: n2 \(timeout\)/],
    [
      'of five another is ill',
      { members: [1, 2, 3, 4, 5].map((i) => member(i, i === 4 ? 'x' : undefined)) },
      [],
      /n4 \(x\)/,
    ],
    ['it is ill itself', { members: [member(1, 'off'), member(2), member(3)] }, [], undefined],
    ['another still joins', { members: [member(1), member(2), member(3), member(4, undefined, true)] }, [], /learner/],
    [
      'another is worked on',
      { members: [1, 2, 3].map((i) => member(i)) },
      [3],
      /needs 2 of 3 .* without n1 and n3 .* 1 would/,
    ],
    ['of five another is worked on', { members: [1, 2, 3, 4, 5].map((i) => member(i)) }, [3], undefined],
    ['of five two are worked on', { members: [1, 2, 3, 4, 5].map((i) => member(i)) }, [3, 4], /needs 3 of 5/],
    ['it is no member', { members: [member(2), member(3), member(4, 'off')] }, [], undefined],
    ['it is not well and two', { members: [member(1, 'off'), member(2)] }, [], /two members/],
    ['named otherwise', { members: [{ ...member(1), name: 'etcd-a' }, member(2, 'off'), member(3)] }, [], /n2/],
  ]
  for (const [name, state, down, expected] of table) {
    const refusal = etcdRefusal(state, node(1), new Map(down.map((i) => [`n${i}`, 'cordoned'])), nodes)
    if (expected) t.match(refusal?.message, expected, name)
    else t.equal(refusal, undefined, name)
  }
})

t.test('whatever etcd says, the answer is a state or a clear word, and nothing of it becomes a command', async (t) => {
  const url = fc.oneof(
    fc.constantFrom(
      'https://10.0.0.1:2379',
      'https://[fd00::1]:2379/',
      'http://10.0.0.1:2379',
      "https://a';touch /x;'",
      'https://a b',
    ),
    fc.webUrl({ withQueryParameters: true }),
    fc.string(),
  )
  const members = fc.array(
    fc.record({ name: fc.string(), clientURLs: fc.array(url), peerURLs: fc.array(url), isLearner: fc.boolean() }),
  )
  const said = fc.oneof(
    fc.string(),
    fc.json(),
    members.map((all) => JSON.stringify({ members: all })),
  )
  await fc.assert(
    fc.asyncProperty(said, fc.string(), async (list, health) => {
      const scripts: string[] = []
      const run: Shell['run'] = async (script) => {
        scripts.push(script)
        const stdout = Buffer.from(scripts.length === 1 ? list : health)
        return { rc: 0, stdout, stderr: Buffer.alloc(0), elapsedMs: 0, truncated: false }
      }
      const answer = await askEtcd({ run } as Shell, { pki: '/pki', port: 2379 }).catch((error) => error)
      if (!(answer instanceof EtcdSilent) && !Array.isArray(answer.members)) throw answer
      const asked = (scripts[1] ?? '').split('\n').filter((one) => one.startsWith('post '))
      return asked.every((one) =>
        /^post '?https:\/\/[\w.[\]:-]+\/health'? [\w.[\]:'-]+ '-verify_(?:ip|hostname) [\w.:-]+' '?\/health'? ''; echo; echo \S+$/.test(
          one,
        ),
      )
    }),
    { numRuns: 300 },
  )
  t.pass()
})

const haveEtcd = spawnSync('etcd', ['--version']).status === 0 && spawnSync('openssl', ['version']).status === 0
if (!haveEtcd && process.env.RUNBOOK_REQUIRE_LAB === '1') throw new Error('RUNBOOK_REQUIRE_LAB=1, but there is no etcd')
const skip = haveEtcd ? false : 'no etcd here (Debian: etcd-server)'

t.test('a real cluster of three', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-guards-etcd-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const pki = makePki(folder)
  const ports = await freePorts(6)
  const members = [0, 1, 2].map((i) => ({ name: `n${i + 1}`, client: ports[i]!, peer: ports[i + 3]! }))
  const processes = members.map((one) => startEtcd(folder, pki, one, members))
  t.teardown(() => Promise.all(processes.map(stop)))
  const [port] = ports
  const settings = { pki, port: port! }

  for (const tool of ['curl', 'openssl']) {
    const shell = await shellWith(t, folder, tool)
    const state = await eventually(
      () => askEtcd(shell, settings),
      (one) => one.members.length === 3 && one.members.every(({ trouble }) => trouble === undefined),
    )
    t.same(state.members.map(({ name }) => name).sort(), ['n1', 'n2', 'n3'], `${tool}: all are well`)
    t.same(
      state.members.map(({ learner }) => learner),
      [false, false, false],
    )
  }
  const nodes = members.map(({ name }) => ({ name, addresses: [] }))
  const healthy = await shellWith(t, folder, 'curl')
  const well = await eventually(
    () => askEtcd(healthy, settings),
    (one) => one.members.every(({ trouble }) => trouble === undefined),
  )
  t.equal(etcdRefusal(well, nodes[0]!, new Map(), nodes), undefined)
  t.match(etcdRefusal(well, nodes[0]!, new Map([['n3', 'cordoned']]), nodes)?.message, /needs 2 of 3/)

  await stop(processes[2]!)
  for (const tool of ['curl', 'openssl']) {
    const shell = await shellWith(t, folder, tool)
    // It may have been the leader: without one nobody is well, for a moment.
    const state = await eventually(
      () => askEtcd(shell, settings),
      ({ members }) => members.filter(({ trouble }) => trouble !== undefined).length === 1,
    )
    const ill = state.members.filter(({ trouble }) => trouble !== undefined)
    t.same(
      ill.map(({ name }) => name),
      ['n3'],
      `${tool}: ${ill[0]?.trouble}`,
    )
    t.match(etcdRefusal(state, nodes[0]!, new Map(), nodes)?.message, /not healthy: n3/)
    t.equal(etcdRefusal(state, nodes[2]!, new Map(), nodes), undefined, 'the one that is down may be worked on')
  }

  await stop(processes[1]!)
  for (const tool of ['curl', 'openssl']) {
    const answer = await askEtcd(await shellWith(t, folder, tool), settings).catch((error) => error)
    if (answer instanceof EtcdSilent) t.pass(`${tool}: without a quorum: ${answer.message}`)
    else
      t.same(
        answer.members.map((one: { trouble?: string }) => one.trouble === undefined),
        [false, false, false],
        `${tool}: without a quorum nobody is well`,
      )
  }

  const shell = await shellWith(t, folder, 'curl')
  await t.rejects(askEtcd(shell, { pki: join(folder, 'none'), port: port! }), { message: /there is no folder/ })
  mkdirSync(join(folder, 'empty'))
  await t.rejects(askEtcd(shell, { pki: join(folder, 'empty'), port: port! }), { message: /ca\.crt cannot be read/ })
  await t.rejects(askEtcd(await shellWith(t, folder, 'nothing'), settings), { message: /neither curl nor openssl/ })
})

/** A shell that finds this program, of the two. */
async function shellWith(t: Test, folder: string, tool: string): Promise<Shell> {
  const bin = join(folder, `bin-${tool}`)
  mkdirSync(bin, { recursive: true })
  for (const name of ['sed', 'timeout', ...(tool === 'nothing' ? [] : [tool])]) {
    const [path = ''] = spawnSync('sh', ['-c', `command -v ${name}`])
      .stdout.toString()
      .split('\n')
    try {
      symlinkSync(path, join(bin, name))
    } catch {
      // It is there from before.
    }
  }
  const connection = makeConnection(openLocal('local'))
  t.teardown(() => connection.close())
  const shell = await connection.shell()
  return { ...shell, run: (script, options) => shell.run(`PATH=${bin}\n${script}`, options) } as Shell
}

/** As kubeadm lays it out. */
function makePki(folder: string): string {
  const pki = join(folder, 'pki')
  mkdirSync(pki)
  const openssl = (...argv: string[]): void => {
    const { status, stderr } = spawnSync('openssl', argv, { cwd: pki })
    if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`)
  }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  openssl('req', '-x509', ...key, '-subj', '/CN=etcd-ca', '-keyout', 'ca.key', '-out', 'ca.crt')
  for (const name of ['server', 'healthcheck-client']) {
    const more = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'extendedKeyUsage=serverAuth,clientAuth']
    openssl(
      'req',
      '-x509',
      ...key,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-subj',
      `/CN=${name}`,
      ...more,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
    )
  }
  return pki
}

interface Etcd {
  readonly name: string
  readonly client: number
  readonly peer: number
}

function startEtcd(folder: string, pki: string, { name, client, peer }: Etcd, all: readonly Etcd[]): ChildProcess {
  const tls = ['cert-file', 'server.crt', 'key-file', 'server.key', 'trusted-ca-file', 'ca.crt']
  const option = (prefix: string): string[] =>
    tls.map((word, i) => (i % 2 === 0 ? `--${prefix}${word}` : join(pki, word)))
  const argv = [
    ...['--name', name, '--data-dir', join(folder, name)],
    ...[
      '--listen-client-urls',
      `https://127.0.0.1:${client}`,
      '--advertise-client-urls',
      `https://127.0.0.1:${client}`,
    ],
    ...[
      '--listen-peer-urls',
      `https://127.0.0.1:${peer}`,
      '--initial-advertise-peer-urls',
      `https://127.0.0.1:${peer}`,
    ],
    ...['--initial-cluster', all.map((one) => `${one.name}=https://127.0.0.1:${one.peer}`).join(',')],
    ...['--client-cert-auth', '--peer-client-cert-auth', ...option(''), ...option('peer-')],
  ]
  return spawn('etcd', argv, { stdio: 'ignore' })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

async function eventually<T>(ask: () => Promise<T>, test: (answer: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const answer = await ask().catch((error) => error as Error)
    if (!(answer instanceof Error) && test(answer)) return answer
    if (i >= 120) throw answer instanceof Error ? answer : new Error(JSON.stringify(answer))
    await sleep(500)
  }
}
