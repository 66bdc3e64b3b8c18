import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeConnection } from '../../src/session/connection.ts'
import { openLocal } from '../../src/session/local.ts'
import type { Become, ConnectOptions } from '../../src/session/session.ts'
import { patiently, sessionError } from './match.ts'

/** Runs each channel as another login user, so that sudo and su have a reason to ask. */
function connectAs(user: string, options?: ConnectOptions) {
  const local = openLocal('h1')
  return makeConnection(
    {
      ...local,
      user,
      open: (command, kind, signal) =>
        local.open(
          `exec setpriv --reuid=${user} --regid=${user} --clear-groups /bin/sh -c '${command.replaceAll("'", "'\\''")}'`,
          kind,
          signal,
        ),
    },
    options,
  )
}

const isRoot = process.getuid?.() === 0
const have = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
const skip = !isRoot
  ? 'needs root, to make users'
  : !have('sudo') || !have('useradd') || !have('setpriv')
    ? 'sudo, useradd or setpriv is not installed'
    : false

t.test('real sudo and su', { skip }, async (t) => {
  const tag = Math.random().toString(36).slice(2, 8)
  const [asker, free, other] = [`rb-ask-${tag}`, `rb-free-${tag}`, `rb-other-${tag}`]
  const password = `p'ass "w$ord`
  const rules = `/etc/sudoers.d/runbook-test-${tag}`
  const folder = await mkdtemp(join(tmpdir(), 'session-become-'))
  await chmod(folder, 0o777)
  const must = (command: string, args: string[], input?: string) => {
    const run = spawnSync(command, args, { encoding: 'utf8', input })
    if (run.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${run.stderr}`)
  }
  t.teardown(async () => {
    for (const user of [asker, free, other]) spawnSync('userdel', ['-f', user])
    await rm(rules, { force: true })
    await rm(folder, { recursive: true, force: true })
  })
  for (const user of [asker, free, other])
    must('useradd', ['-M', '-s', user === other ? '/usr/sbin/nologin' : '/bin/sh', user])
  must('chpasswd', [], `${asker}:${password}\n${other}:${password}\n`)
  await writeFile(
    rules,
    `${asker} ALL=(ALL) ALL\n${free} ALL=(ALL) NOPASSWD: ALL\nDefaults:${asker} timestamp_timeout=0\n`,
    { mode: 0o440 },
  )

  const whoami = async (login: string, become: Become, options?: ConnectOptions) => {
    await using connection = connectAs(login, options)
    const shell = await connection.shell(become)
    const { stdout, stderr } = await shell.run('id -un; read -r left && echo "left: $left"; env | grep -cF "w\\$ord"')
    return stdout.toString() + stderr
  }
  const sudo = (user: string, secret?: string): Become => ({ method: 'sudo', user, password: secret })
  const su = (user: string, secret?: string): Become => ({ method: 'su', user, password: secret })

  t.test('who gets a shell', async (t) => {
    t.equal(await whoami(free, sudo('root')), 'root\n0\n', 'NOPASSWD')
    t.equal(
      await whoami(free, sudo('root', 'unused secret')),
      'root\n0\n',
      'NOPASSWD, and a password that nobody asks for',
    )
    t.equal(await whoami(asker, sudo('root', password)), 'root\n0\n')
    t.equal(await whoami(asker, sudo(other, password)), `${other}\n0\n`, 'a user whose login shell is nologin')
    t.equal(await whoami('root', su(asker)), `${asker}\n0\n`, 'su by root asks nothing')
    t.equal(await whoami('root', su(other)), `${other}\n0\n`)
    t.equal(await whoami(free, su(asker, password)), `${asker}\n0\n`)
  })

  t.test('who does not', async (t) => {
    await t.rejects(
      whoami(asker, sudo('root')),
      sessionError('become', /asks for a password and none was given/, /--ask-become-pass/),
    )
    await t.rejects(whoami(asker, sudo('root', 'wrong')), sessionError('become', /the password is wrong/, /login user/))
    await t.rejects(
      whoami(free, su(asker, 'wrong')),
      sessionError('become', /the password is wrong/, new RegExp(asker)),
    )
    await t.rejects(whoami(free, su(asker)), sessionError('become', /asks for a password/))
    await t.rejects(
      whoami(other, sudo('root', password)),
      sessionError('become', /does not let|not in the sudoers|gave no shell/),
    )
    await t.rejects(whoami(free, sudo('no-such-user')), sessionError('become', /knows no user "no-such-user"/))
    await t.rejects(whoami('root', su('no-such-user')), sessionError('become', /knows no user "no-such-user"/))
    await t.rejects(
      whoami(free, { method: 'doas', user: 'root' }),
      sessionError('become', /doas is not (installed|set up)/),
    )
  })

  t.test('the password is asked for once a connection and shows nowhere', async (t) => {
    const asked: string[] = []
    const secrets: string[] = []
    const prompt = async (question: string, { secret }: { secret: boolean }) => {
      asked.push(`${question}${secret}`)
      return password
    }
    await using connection = connectAs(asker, { prompt, addSecret: (secret) => secrets.push(secret) })
    const root = await connection.shell(sudo('root'))
    const second = await connection.shell(sudo(other))
    await root.upload(Buffer.from('x'), join(folder, 'up'), { mode: 0o644 })
    t.strictSame(asked, ['Password for sudo on h1: true'])
    t.strictSame([...new Set(secrets)], [password])
    t.equal((await stat(join(folder, 'up'))).uid, 0, "uploads are the other user's")
    const seen = await second.run('id -un; for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline; echo; done 2>/dev/null')
    t.match(seen.stdout.toString(), new RegExp(`^${other}`))
    t.notOk(seen.stdout.includes(password), 'not on a command line')
    const chunks: Buffer[] = []
    for await (const chunk of root.download('/etc/shadow')) chunks.push(chunk)
    t.ok(Buffer.concat(chunks).equals(await readFile('/etc/shadow')))
    await t.rejects(
      async () => {
        for await (const _ of second.download('/etc/shadow'));
      },
      sessionError('upload', /Permission denied/),
    )
  })

  t.test("a script of another user can be killed, and the lock is everybody's", async (t) => {
    await using connection = connectAs(free)
    const root = await connection.shell(sudo('root'))
    const seconds = `6${Math.floor(Math.random() * 1e6)}.5`
    await t.rejects(root.run(`sleep ${seconds}`, { timeoutMs: 100 }), sessionError('timeout'))
    t.equal(spawnSync('pgrep', ['-f', `^sleep ${seconds}`], { encoding: 'utf8' }).stdout, '')
    t.match((await root.run('id -un')).stdout.toString(), 'root')
    // Root's lock takes the place of the login user's.
    await patiently(() => connection.lock(`run 0 by ${free}`))
    await patiently(() => connection.lock(`run 1 by ${free}`, sudo('root')))
    await connection.lock(`run 1 by ${free}`)
    await using third = connectAs(free)
    await t.rejects(third.lock('run 3'), sessionError('locked', new RegExp(`run 1 by ${free}`)), 'not root')
    await using second = connectAs('root')
    await t.rejects(second.lock('run 2 by root'), sessionError('locked', new RegExp(`run 1 by ${free}`)))
  })

  t.test('a wrong password may be corrected', async (t) => {
    const answers = ['wrong', password]
    await using connection = connectAs(asker, { prompt: async () => answers.shift()! })
    await t.rejects(connection.shell(sudo('root')), sessionError('become', /wrong/))
    t.match((await (await connection.shell(sudo('root'))).run('id -un')).stdout.toString(), 'root')
  })

  t.test(
    'doas',
    { skip: have('doas') && !existsSync('/etc/doas.conf') ? false : 'doas is not installed, or is in use here' },
    async (t) => {
      await writeFile('/etc/doas.conf', `permit nopass ${free} as root\npermit ${asker} as root\n`, { mode: 0o400 })
      t.teardown(() => rm('/etc/doas.conf'))
      t.equal(await whoami(free, { method: 'doas', user: 'root' }), 'root\n0\n')
      await t.rejects(
        whoami(asker, { method: 'doas', user: 'root', password }),
        sessionError('become', /asks for a password/, /nopass/),
      )
      await t.rejects(whoami(other, { method: 'doas', user: 'root' }), sessionError('become', /does not let/))
    },
  )
})

t.test('a program that is not there', async (t) => {
  const local = openLocal('h1')
  await using connection = makeConnection({
    ...local,
    open: (command, kind) => local.open(`PATH=/nonexistent; ${command}`, kind),
  })
  for (const method of ['sudo', 'doas', 'su'] as const) {
    await t.rejects(
      connection.shell({ method, user: 'no-such-user' }),
      sessionError('become', new RegExp(`${method} is not installed`)),
    )
  }
  const self = userInfo().username
  t.equal((await connection.shell({ method: 'sudo', user: self })).user, self, 'nobody has to become who he is')
})
