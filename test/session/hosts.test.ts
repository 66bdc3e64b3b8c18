import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Channel } from '../../src/session/channel.ts'
import { makeConnection } from '../../src/session/connection.ts'
import { openLocal, spawnChannel } from '../../src/session/local.ts'
import { lockLine } from '../../src/session/lock-line.ts'
import { patiently, sessionError } from './match.ts'

const missing = (program: string) =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0 ? false : `${program} is not installed`

/** A connection whose channels start with a login shell of our choice. */
function loginShell(file: string, args: (command: string) => string[], env?: NodeJS.ProcessEnv) {
  const local = openLocal('h1')
  const channels: Channel[] = []
  return makeConnection({
    ...local,
    open: async (command) => {
      const channel = spawnChannel(file, args(command), env)
      channels.push(channel)
      return channel
    },
    close: async () => {
      for (const channel of channels) channel.close()
      await local.close()
    },
  })
}

const folder = mkdtempSync(join(tmpdir(), 'session-hosts-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

for (const [file, greeting] of [
  ['fish', 'echo "a greeting of fish"; echo "and an error" >&2'],
  ['tcsh', 'echo "a greeting! of tcsh"'],
  ['bash', 'echo a greeting; sleep 0.3; printf "without an end"'],
  ['dash', ''],
] as const) {
  t.test(`a login shell that is ${file}`, { skip: missing(file) }, async (t) => {
    const args = (command: string) =>
      file === 'fish' ? ['-C', greeting, '-c', command] : ['-c', file === 'bash' ? `${greeting}\n${command}` : command]
    await using connection = loginShell(file, args, { ...process.env, HOME: folder })
    if (file === 'tcsh') writeFileSync(join(folder, '.tcshrc'), `${greeting}\n`)
    const shell = await connection.shell()
    const result = await shell.run(`echo "it's"; echo '!$ \\ "' >&2; echo "$0"`)
    t.strictSame([result.stdout.toString(), result.stderr.toString()], ["it's\n/bin/sh\n", '!$ \\ "\n'])
    const path = join(folder, `${file} $x 'y' "z" !! \\n`)
    await shell.upload(Buffer.from('content'), path)
    t.equal(readFileSync(path, 'utf8'), 'content')
    await t.rejects(shell.run('sleep 30', { timeoutMs: 50 }), sessionError('timeout'))
    await patiently(() => connection.lock("it's me"))
    await connection.close()
    await sleep(100)
  })
}

t.test('what a channel is for comes with the request for it: nothing is sent behind', async () => {
  const local = openLocal('h1')
  await using connection = makeConnection({
    ...local,
    open: async (command) => {
      const channel = spawnChannel('/bin/sh', ['-c', command], { ...process.env, HOME: folder })
      channel.stdin.end()
      return channel
    },
  })
  await patiently(() => connection.lock("it's me"))
})

t.test('a host with nothing but busybox', { skip: missing('busybox') }, async (t) => {
  const bin = join(folder, 'bin')
  spawnSync('mkdir', ['-p', bin])
  const busybox = spawnSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).stdout.trim()
  for (const applet of spawnSync('busybox', ['--list'], { encoding: 'utf8' }).stdout.trim().split('\n')) {
    symlinkSync(busybox, join(bin, applet))
  }
  await using connection = loginShell(busybox, (command) => ['sh', '-c', command], { PATH: bin, HOME: folder })
  const shell = await connection.shell()
  t.match((await shell.run('command -v stat; command -v python3')).stdout.toString(), /^.*\/bin\/stat\n$/)
  const path = join(folder, 'busy')
  for (const size of [0, 100, 300_000]) {
    const content = Buffer.alloc(size, 'abc')
    await shell.upload(content, path, { mode: 0o604 })
    t.ok(readFileSync(path).equals(content))
    t.equal(statSync(path).mode & 0o777, 0o604)
    await shell.upload(content, path)
    t.equal(statSync(path).mode & 0o777, 0o604, 'kept')
    const back: Buffer[] = []
    for await (const chunk of shell.download(path)) back.push(chunk)
    t.ok(Buffer.concat(back).equals(content))
  }
  await connection.lock('busy')
  await using second = loginShell(busybox, (command) => ['sh', '-c', command], { PATH: bin, HOME: folder })
  await t.rejects(
    second.lock('other'),
    sessionError('locked', /: busy, since [\d-]+ [\d:]+ UTC \(on the host: \w+, process \d+\)$/),
  )
  await connection.close()
  await sleep(100)
  await second.lock('after the end of the first')
  t.strictSame(
    readdirSync(folder).filter((name) => name.startsWith('.runbook')),
    [],
  )
})

t.test('no shell at all', async (t) => {
  await using connection = loginShell('/bin/sh', () => [
    '-c',
    'echo "This account is currently not available."; exit 1',
  ])
  const shell = await connection.shell()
  await t.rejects(
    shell.run('echo'),
    sessionError('auth', /gets no shell on the host: This account is currently not available/),
  )
})

/** A host's folders, and what a user's attempt to take the lock there says; the lock is given up at once. */
function lockPlace(t: Test, before = '') {
  const run = mkdtempSync(join(folder, 'run-'))
  chmodSync(run, 0o755)
  const shared = join(run, 'lock')
  mkdirSync(shared)
  chmodSync(shared, 0o1777)
  const line = (holder: string) => `${before}${lockLine(holder, [run])}`
  const attempt = (uid: number, holder = 'me') =>
    spawnSync('sh', ['-c', line(holder)], { encoding: 'utf8', input: '', uid, gid: uid, cwd: '/' })
  /** Holds the lock until the test ends. */
  const hold = async (uid: number, holder: string) => {
    const child = spawn('sh', ['-c', line(holder)], { uid, gid: uid, cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] })
    t.teardown(() => child.stdin.end())
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    return said.toString()
  }
  return { run, shared, attempt, hold }
}

const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root' }
const [ALICE, MALLORY] = [64001, 64002]

t.test('nobody else can hold a lock, or make it unusable', asRoot, async (t) => {
  chmodSync(folder, 0o755)
  const { run, shared, attempt, hold } = lockPlace(t)
  t.match(attempt(0), { status: 0, stdout: 'locked\n' })
  t.equal(statSync(join(run, 'runbook')).mode & 0o777, 0o755)
  const lock = join(run, 'runbook/lock')
  t.equal(statSync(lock).mode & 0o777, 0o600, 'only root can open it, and so lock it')
  t.not(spawnSync('flock', ['-n', lock, 'true'], { uid: MALLORY, gid: MALLORY }).status, 0)

  // The names of Alice's folder are taken.
  const planted = join(shared, `runbook-${ALICE}`)
  mkdirSync(planted)
  chownSync(planted, MALLORY, MALLORY)
  symlinkSync('/etc', `${planted}.aaaaaa`)
  t.match(attempt(ALICE), { status: 0, stdout: 'locked\n' })
  t.equal(await hold(ALICE, 'run 1 of alice'), 'locked\n')
  t.match(attempt(ALICE), { status: 1, stdout: /^held run 1 of alice, since [\d-]+ [\d:]+ UTC \(on the host: / })
  t.match(attempt(MALLORY), { status: 0, stdout: 'locked\n' }, 'of others they know nothing')
  t.match(attempt(0), { status: 0, stdout: /^locked beside / }, 'root hears of it and goes on')

  rmSync(join(run, 'runbook'), { recursive: true })
  symlinkSync('/tmp', join(run, 'runbook'))
  t.match(attempt(0), { status: 1, stdout: /is not a folder of root/ })
})

t.test("who is not root respects root's lock", asRoot, async (t) => {
  const { attempt, hold } = lockPlace(t)
  t.equal(await hold(0, 'run 1 of root'), 'locked\n')
  for (const uid of [0, ALICE]) t.match(attempt(uid), { status: 1, stdout: /^held run 1 of root, since / }, `${uid}`)
})

t.test('a detached command of the user that still runs is named', asRoot, async (t) => {
  const state = mkdtempSync(join(folder, 'state-'))
  chmodSync(state, 0o755)
  const { attempt } = lockPlace(t, `XDG_STATE_HOME=${state}; `)
  const job = join(state, 'runbook/jobs/0123456789abcdef')
  mkdirSync(job, { recursive: true })
  t.match(attempt(ALICE), { status: 0, stdout: 'locked\n' }, 'it has not begun')
  const start = readFileSync(`/proc/${process.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')[19]
  writeFileSync(join(job, 'name'), '20261120-031500-4f2a Long  one\n')
  writeFileSync(join(job, 'pid'), `${process.pid} ${start} boot 1\n`)
  const words = `locked\t${process.pid} 0123456789abcdef 20261120-031500-4f2a Long  one\n`
  t.match(attempt(ALICE), { status: 0, stdout: words })
  writeFileSync(join(job, 'pid'), `${process.pid} 1 boot 1\n`)
  t.match(attempt(ALICE), { status: 0, stdout: 'locked\n' }, 'another process has its number')
  writeFileSync(join(job, 'pid'), `${process.pid} ${start} boot 1\n`)
  writeFileSync(join(job, 'rc'), '0\n')
  t.match(attempt(ALICE), { status: 0, stdout: 'locked\n' }, 'it has ended')
})

t.test('a lock by link that a dead process left behind', asRoot, async (t) => {
  const { run, attempt } = lockPlace(t, 'flock() { :; }; command() { false; }; ')
  t.match(attempt(0), { status: 0, stdout: 'locked\n' })
  const link = join(run, 'runbook/lock.link')
  symlinkSync('999999999 1', link)
  t.match(attempt(0), { status: 0, stdout: 'locked\n' }, 'no such process')
  // Process 1 lives, but has another start time than the holder had.
  symlinkSync('1 999999999', link)
  t.match(attempt(0, 'run 5'), { status: 0, stdout: 'locked\n' }, 'another process')
  const start = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')[19]
  symlinkSync(`${process.pid} ${start}`, link)
  t.match(attempt(0), { status: 1, stdout: /^held run 5, since / })
  rmSync(link)
  t.match(attempt(0), { status: 0, stdout: 'locked\n' })
  t.strictSame(readdirSync(join(run, 'runbook')), ['alive', 'holder'], 'it is gone with its holder')
})
