/** Connections that the user's ssh configuration keeps between runs (ControlPersist). */
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connect } from '../../src/session/connect.ts'
import { tellsApart } from '../../src/session/openssh-kept.ts'
import type { Connection, Target } from '../../src/session/session.ts'
import { sessionError } from './match.ts'
import { keepsConnections, noSshd, startSshd } from './sshd.ts'

t.setTimeout(120_000)

async function site(t: Test, name?: string) {
  const sshd = await startSshd()
  const kept = await keepsConnections(sshd, name)
  t.teardown(async () => {
    await kept.end()
    await sshd[Symbol.asyncDispose]()
  })
  const sshConfigFile = join(sshd.folder, 'ssh_config')
  await writeFile(sshConfigFile, kept.config)
  const target: Target = {
    name: 'h1',
    connection: 'openssh',
    address: '127.0.0.1',
    port: sshd.port,
    privateKeyFile: sshd.key,
    knownHostsFile: sshd.knownHosts,
    sshConfigFile,
    hostKeys: 'check',
  }
  const notes: string[] = []
  const open = (more: Partial<Target> = {}, anew = false) =>
    connect({ ...target, ...more }, { note: (msg) => notes.push(msg), anew })
  const socket = async () => join(kept.sockets, (await readdir(kept.sockets))[0] ?? 'none')
  const master = async () => {
    const said = spawnSync('ssh', ['-F', 'none', '-S', await socket(), '-O', 'check', 'any'], { encoding: 'utf8' })
    return Number(/pid=(\d+)/.exec(said.stderr)?.[1])
  }
  return { sshd, kept, open, notes, socket, master }
}

/** Address and port of the client as the host sees it: the same for what goes over one connection. */
async function peer(connection: Connection): Promise<string> {
  return (await (await connection.shell()).run('echo "$SSH_CONNECTION"')).stdout.toString()
}

t.test('a connection outlives the run that made it', { skip: noSshd }, async (t) => {
  const { open, notes, master } = await site(t)
  const first = await open()
  const seen = await peer(first)
  await first.close()
  const pid = await master()
  t.ok(pid > 0, 'its master stays')
  await using second = await open()
  t.equal(await peer(second), seen, 'the next run goes over it')
  const both = await Promise.all([open(), open()])
  for (const one of both) {
    t.equal(await peer(one), seen)
    await one.close()
  }
  t.equal((await (await second.shell()).run('echo still')).stdout.toString(), 'still\n', 'others go, it stays')
  t.equal(await master(), pid)
  t.same(notes, [])
})

t.test('who has to log in anew does', { skip: noSshd }, async (t) => {
  const { open } = await site(t)
  await using first = await open()
  const seen = await peer(first)
  await using second = await open({}, true)
  t.not(await peer(second), seen)
  t.equal(await peer(first), seen, 'what goes over the old connection goes on')
  await using third = await open()
  t.equal(await peer(third), await peer(second), 'the next ones take the new one')
})

t.test('two that come at once', { skip: noSshd }, async (t) => {
  const { open } = await site(t)
  const all = await Promise.all(Array.from({ length: 4 }, () => open()))
  const peers = await Promise.all(all.map(peer))
  t.equal(new Set(peers).size, 1, 'share one')
  await Promise.all(all.map((one) => one.close()))
})

t.test('a master that has died is noticed, and another one made', { skip: noSshd }, async (t) => {
  const { open, master, socket } = await site(t)
  const first = await open()
  const seen = await peer(first)
  const path = await socket()
  const running = (await first.shell()).run('sleep 60')
  process.kill(await master(), 'SIGKILL')
  await t.rejects(running, sessionError('lost'))
  await first.closed
  t.equal(await socket(), path, 'its socket is left behind')
  await using second = await open()
  t.not(await peer(second), seen)
})

t.test('a connection to nowhere is given up for a new one', { skip: noSshd }, async (t) => {
  const { sshd, open, master } = await site(t)
  const first = await open()
  const seen = await peer(first)
  await first.close()
  const pid = await master()
  const old = spawnSync('pgrep', ['-P', String(sshd.pid)], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n')
    .map(Number)
  t.ok(old.length > 0 && old.every((one) => one > 0))
  // Its end of the line says nothing any more; that of new connections does.
  for (const one of old) process.kill(one, 'SIGSTOP')
  t.teardown(() => {
    for (const one of old) if (spawnSync('kill', ['-KILL', String(one)]).error) throw new Error('no kill')
  })
  await using second = await open({ connectTimeoutMs: 5000 })
  const [mine, other] = await Promise.all([peer(second), second.lock('run 1').then(() => peer(second))])
  t.not(mine, seen)
  t.equal(mine, other)
  t.not(await master(), pid)
})

t.test('a host that is away, and one that refuses', { skip: noSshd }, async (t) => {
  const { open } = await site(t)
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const port = (silent.address() as { port: number }).port
  await t.rejects(open({ port, connectTimeoutMs: 500 }), sessionError('unreachable', /within 0.5 s/))
  await t.rejects(open({ port: 1 }), sessionError('unreachable', /refused/))
  await t.rejects(open({ user: 'nobody' }), sessionError('auth'))
  await t.rejects(open({ knownHostsFile: '/dev/null' }), sessionError('host_key'))
})

t.test('what would not be safe is not used, and said', { skip: noSshd }, async (t) => {
  const own = async (t: Test, where: Awaited<ReturnType<typeof site>>, says: RegExp) => {
    const [a, b] = [await where.open(), await where.open()]
    t.not(await peer(a), await peer(b), 'connections of their own')
    await Promise.all([a.close(), b.close()])
    t.match(where.notes[0], says)
  }
  const open = await site(t)
  await chmod(open.kept.sockets, 0o777)
  await own(t, open, /is not used: others may write to its folder/)
  const alike = await site(t, 'master')
  await own(t, alike, /is not used: it lacks %C/)
  const planted = await site(t, '%r@%h-%p')
  await mkdir(join(planted.kept.sockets, `root@127.0.0.1-${planted.sshd.port}`))
  if (process.getuid?.() === 0) await own(t, planted, /is not used: what is there is no socket/)
})

t.test('which names tell hosts, ports and users apart', async (t) => {
  const rows: readonly (readonly [name: string, is: boolean])[] = [
    ['/root/.ssh/0123456789abcdef0123456789abcdef01234567', true],
    ['/run/user/1/cm-ops@10.0.22.1:22', true],
    ['/run/user/1/10.0.22.1-22-ops', true],
    ['/run/user/1/ops@10.0.22.1', false],
    ['/run/user/1/10.0.22.1:22', false],
    ['/home/ops/.ssh/22-10.0.22.1', false],
    ['/home/ops/.ssh/ops-22', false],
    ['/home/ops/.ssh/master', false],
  ]
  for (const [path, is] of rows) t.equal(tellsApart(path, ['10.0.22.1', 'db1'], '22', 'ops'), is, path)
  t.ok(tellsApart('/x/ops@db1:22', ['10.0.22.1', 'db1'], '22', 'ops'), '%n')
})
