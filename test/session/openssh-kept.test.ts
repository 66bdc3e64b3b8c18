/** Connections that the user's ssh configuration keeps between runs (ControlPersist). */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connect } from '../../src/session/connect.ts'
import { tellsApart } from '../../src/session/openssh-guest.ts'
import type { Connection, Target } from '../../src/session/session.ts'
import { patiently, sessionError } from './match.ts'
import { keepsConnections, noSshd, startSshd } from './sshd.ts'

t.setTimeout(120_000)

async function site(t: Test, name?: string, seconds?: number, config: readonly string[] = []) {
  const sshd = await startSshd(config)
  const kept = await keepsConnections(sshd, name, seconds)
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
  const socket = async () => join(kept.ours, (await readdir(kept.ours))[0] ?? 'none')
  const master = async () => {
    const said = spawnSync('ssh', ['-F', 'none', '-S', await socket(), '-O', 'check', 'any'], { encoding: 'utf8' })
    return Number(/pid=(\d+)/.exec(said.stderr)?.[1])
  }
  return { sshd, kept, open, notes, socket, master, target }
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

t.test('a master that hangs is given up', { skip: noSshd }, async (t) => {
  const { open, master } = await site(t)
  const first = await open()
  const seen = await peer(first)
  await first.close()
  const pid = await master()
  process.kill(pid, 'SIGSTOP')
  t.teardown(() => process.kill(pid, 'SIGKILL'))
  await using second = await open({ connectTimeoutMs: 5000 })
  t.not(await peer(second), seen)
  t.not(await master(), pid)
})

t.test('a connection does not expire while it is used, and does afterwards', { skip: noSshd }, async (t) => {
  const { open, master } = await site(t, '%C', 1)
  const first = await open()
  const seen = await peer(first)
  await sleep(3000)
  t.equal(await peer(first), seen)
  await first.close()
  while ((await master()) > 0) await sleep(100)
  await using second = await open()
  t.not(await peer(second), seen)
})

t.test('a run that is killed lets go of the host, and the connection stays', { skip: noSshd }, async (t) => {
  const { open, target, master } = await site(t)
  const code = `
    const { connect } = await import(${JSON.stringify(import.meta.resolve('../../src/session/connect.ts'))})
    const connection = await connect(${JSON.stringify(target)})
    const shell = await connection.shell()
    await connection.lock('run 1')
    console.log((await shell.run('echo "$SSH_CONNECTION"')).stdout.toString())`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [seen] = (await once(child.stdout, 'data')) as [Buffer]
  const pid = await master()
  child.kill('SIGKILL')
  await once(child, 'exit')
  await using second = await open()
  t.equal((await peer(second)).trim(), seen.toString().trim())
  t.equal(await master(), pid)
  await t.resolves(patiently(() => second.lock('run 2')))
})

t.test('whoever finds no room for a channel is told so', { skip: noSshd }, async (t) => {
  const { open } = await site(t, '%C', 60, ['MaxSessions 2'])
  await using first = await open({ connectTimeoutMs: 5000 })
  const shell = await first.shell()
  await patiently(() => first.lock('run 1'))
  await t.rejects(
    shell.upload(Buffer.from('x'), '/tmp/never'),
    sessionError('timeout', /opens no more channels/, /MaxSessions/),
  )
  t.equal((await shell.run('echo still')).stdout.toString(), 'still\n')
})

t.test("a connection of the user's own is used as it stands, and left alone", { skip: noSshd }, async (t) => {
  const { open, kept, sshd, target, notes } = await site(t)
  const login = ['-F', target.sshConfigFile!, '-i', sshd.key, '-p', String(sshd.port), '-T']
  const trust = ['-o', `UserKnownHostsFile=${sshd.knownHosts}`]
  const mine = spawnSync('ssh', [...login, ...trust, '127.0.0.1', 'echo "$SSH_CONNECTION"'], {
    encoding: 'utf8',
    // What keeps the connection keeps this open too.
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  t.equal((await readdir(kept.sockets)).length, 1)
  const guest = await open()
  t.equal(await peer(guest), mine.stdout)
  const shell = await guest.shell()
  t.equal((await shell.run('dd if=/dev/zero bs=1048576 count=3 2>/dev/null')).stdout.length, 3 * 1048576)
  await shell.upload(Buffer.from('x'), join(sshd.folder, 'uploaded'))
  await guest.close()
  t.strictSame(await readdir(kept.ours), [], 'none of ours beside it')
  const anew = await open({}, true)
  t.not(await peer(anew), mine.stdout)
  await anew.close()
  await using later = await open()
  t.not(await peer(later), mine.stdout, 'ours, once it is there')
  const path = join(kept.sockets, (await readdir(kept.sockets))[0]!)
  t.match(spawnSync('ssh', ['-F', 'none', '-S', path, '-O', 'check', 'any'], { encoding: 'utf8' }).stderr, /running/)
  t.same(notes, [])
})

t.test('what would not be safe is not used, and said', { skip: noSshd }, async (t) => {
  const planted = async (t: Test, name: string, says: RegExp, spoil: (sockets: string) => Promise<unknown>) => {
    const { open, notes, kept, sshd } = await site(t, name)
    const taken = createServer((socket) => socket.on('data', () => t.fail('it was used')))
    taken.listen(join(kept.sockets, name.replace('%p', String(sshd.port))))
    t.teardown(() => taken.close())
    await spoil(kept.sockets)
    await using connection = await open()
    t.ok(await peer(connection))
    t.match(notes[0], says)
  }
  await planted(t, 'master', /is not used: it lacks %C/, async () => {})
  await planted(t, 'root@127.0.0.1-%p', /is not used: others may write to its folder/, (sockets) =>
    chmod(sockets, 0o777),
  )
})

t.test('a folder of ours that others may enter keeps no connection', { skip: noSshd }, async (t) => {
  const { open, notes, kept } = await site(t)
  await mkdir(kept.ours, { recursive: true, mode: 0o755 })
  await chmod(kept.ours, 0o755)
  const [a, b] = [await open(), await open()]
  t.not(await peer(a), await peer(b), 'connections of their own')
  await Promise.all([a.close(), b.close()])
  t.match(notes[0], /no connection is kept: others may enter/)
})

t.test('a folder too deep for sockets keeps no connection', { skip: noSshd }, async (t) => {
  const { open, notes, kept } = await site(t)
  const before = process.env.XDG_CACHE_HOME!
  const longest = 107 - '/runbook/ssh/'.length - 20 - 17
  for (const [length, isKept] of [
    [longest, true],
    [longest + 1, false],
  ] as const) {
    const folder = `${before}/`.padEnd(length, 'x')
    process.env.XDG_CACHE_HOME = folder
    await using connection = await open()
    t.ok(await peer(connection))
    const sockets = await readdir(join(folder, 'runbook/ssh')).catch(() => [])
    t.equal(sockets.length, isKept ? 1 : 0, `${length} bytes`)
    for (const name of sockets)
      spawnSync('ssh', ['-F', 'none', '-S', join(folder, 'runbook/ssh', name), '-O', 'exit', 'any'], {
        stdio: 'ignore',
      })
  }
  process.env.XDG_CACHE_HOME = before
  t.match(notes, [/no connection is kept: .* is too long for the path of a socket/])
  t.strictSame(await readdir(kept.ours).catch(() => []), [])
})

t.test('no other host, user, key or check shares a connection', { skip: noSshd }, async (t) => {
  const { open, kept, sshd } = await site(t)
  const ways: Partial<Target>[] = [{}, { hostKeys: 'accept-new' }, { address: 'localhost', hostKeys: 'accept-new' }]
  for (const way of ways) await (await open(way)).close()
  t.equal((await readdir(kept.ours)).length, ways.length)
  const first = await open()
  const seen = await peer(first)
  await first.close()
  await appendFile(join(sshd.folder, 'ssh_config'), 'Host 127.0.0.1\n  Compression yes\n')
  await using second = await open()
  t.not(await peer(second), seen, 'another configuration')
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
