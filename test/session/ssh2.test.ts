import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import ssh2 from 'ssh2'
import t from 'tap'
import { connect } from '../../src/session/connect.ts'
import type { ConnectOptions, Target } from '../../src/session/session.ts'
import { patiently, sessionError } from './match.ts'
import { freePort, keygen, noSshd, startSshd, type TestSshd, user } from './sshd.ts'

t.setTimeout(120_000)

function targetOf(sshd: TestSshd, more: Partial<Target> = {}): Target {
  return {
    name: 'h1',
    connection: 'ssh2',
    address: '127.0.0.1',
    port: sshd.port,
    privateKeyFile: sshd.key,
    knownHostsFile: sshd.knownHosts,
    sshConfigFile: 'none',
    ...more,
  }
}

async function whoami(target: Target, options?: ConnectOptions): Promise<string> {
  await using connection = await connect(target, options)
  const shell = await connection.shell()
  return (await shell.run('id -un')).stdout.toString().trim()
}

t.test('with a real sshd', { skip: noSshd }, async (t) => {
  const sshd = await startSshd(['MaxAuthTries 4', 'MaxSessions 3'], ['ed25519', 'rsa', 'ecdsa'])
  t.teardown(() => sshd[Symbol.asyncDispose]())
  const { folder } = sshd
  const noKey = { privateKeyFile: undefined }
  delete process.env.SSH_AUTH_SOCK

  t.test('host keys', async (t) => {
    const write = async (name: string, ...lines: string[]) => {
      await writeFile(join(folder, name), lines.map((line) => `${line}\n`).join(''))
      return { knownHostsFile: join(folder, name) }
    }
    const at = `[127.0.0.1]:${sshd.port}`
    const [ed25519, rsa] = [await sshd.hostKey('ed25519'), await sshd.hostKey('rsa')]
    t.equal(
      await whoami(targetOf(sshd, await write('only-rsa', `${at} ${rsa}`))),
      user,
      'the type that is known is asked for',
    )
    const wrong = await write('wrong', `${at} ${(await readFile(`${sshd.key}.pub`, 'utf8')).trim()}`)
    for (const hostKeys of ['check', 'accept-new'] as const) {
      await t.rejects(
        whoami(targetOf(sshd, { ...wrong, hostKeys })),
        sessionError('host_key', /CHANGED: known is .*wrong:1/),
      )
    }
    await t.rejects(whoami(targetOf(sshd, await write('none'))), sessionError('host_key', /not known/))
    const fresh = { knownHostsFile: join(folder, 'deep', 'fresh') }
    t.equal(await whoami(targetOf(sshd, { ...fresh, hostKeys: 'accept-new' })), user)
    t.equal(await readFile(fresh.knownHostsFile, 'utf8'), `${at} ${ed25519}\n`)
    const hashed = await write('hashed', `${at} ${ed25519}`)
    spawnSync('ssh-keygen', ['-H', '-f', hashed.knownHostsFile])
    t.equal(await whoami(targetOf(sshd, hashed)), user, 'hashed')
    const revoked = await write('revoked', `${at} ${ed25519}`, `@revoked * ${ed25519}`)
    await t.rejects(whoami(targetOf(sshd, revoked)), sessionError('host_key', /REVOKED/))
    const authority = await write('authority', `@cert-authority * ${ed25519}`)
    await t.rejects(whoami(targetOf(sshd, authority)), sessionError('host_key', /authority/, /openssh/))
  })

  t.test('an encrypted key', async (t) => {
    const locked = join(folder, 'locked')
    keygen('-t', 'ed25519', '-f', locked, '-N', 'open sesame')
    await appendFile(join(folder, 'authorized_keys'), await readFile(`${locked}.pub`))
    const target = targetOf(sshd, { privateKeyFile: locked })
    await t.rejects(whoami(target), sessionError('auth', /locked \(needs its passphrase\)/))
    const asked: string[] = []
    const secrets: string[] = []
    const prompt = async (question: string, { secret }: { secret: boolean }) => {
      asked.push(`${question}${secret}`)
      return asked.length === 1 ? 'wrong' : 'open sesame'
    }
    const options = { prompt, addSecret: (secret: string) => secrets.push(secret) }
    t.strictSame(await Promise.all([whoami(target, options), whoami(target, options)]), [user, user])
    t.match(asked, [/^Passphrase of .*locked: true/, /^Wrong\. /])
    t.equal(asked.length, 2, 'once a process')
    t.strictSame(secrets, ['wrong', 'open sesame'])
    const other = join(folder, 'locked2')
    keygen('-t', 'ecdsa', '-f', other, '-N', 'abc def')
    await appendFile(join(folder, 'authorized_keys'), await readFile(`${other}.pub`))
    t.equal(await whoami(targetOf(sshd, { privateKeyFile: other, privateKeyPassphrase: 'abc def' })), user)
  })

  t.test('an agent', async (t) => {
    const socket = join(folder, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
    await once(agent.stdout, 'data')
    t.teardown(() => {
      delete process.env.SSH_AUTH_SOCK
      agent.kill()
    })
    const add = (file: string) => spawnSync('ssh-add', ['-q', file], { env: { ...process.env, SSH_AUTH_SOCK: socket } })
    // More keys than MaxAuthTries lets pass, none of them the right one.
    for (let i = 0; i < 5; i++) {
      keygen('-t', 'ed25519', '-f', join(folder, `other${i}`), '-N', '')
      add(join(folder, `other${i}`))
    }
    add(sshd.key)
    process.env.SSH_AUTH_SOCK = socket
    await t.rejects(
      whoami(targetOf(sshd, noKey)),
      sessionError('auth', /agent \(6 keys\)|Too many/),
      'the fourth try is the last',
    )
    const config = join(folder, 'agent_config')
    await writeFile(join(folder, 'pub.pub'), await readFile(`${sshd.key}.pub`))
    // The public half names the key that the agent holds; its private half is not there.
    await writeFile(config, `Host *\n  IdentityFile ${join(folder, 'pub')}\n  IdentitiesOnly yes\n`)
    t.equal(await whoami(targetOf(sshd, { ...noKey, sshConfigFile: config })), user)
    process.env.SSH_AUTH_SOCK = join(folder, 'no-agent')
    await t.rejects(whoami(targetOf(sshd, noKey)), sessionError('auth', /agent at .*no-agent \(no answer\)/))
  })

  t.test('nobody to let us in', async (t) => {
    const message = /does not let us in \(tried: .*other0; the host takes: publickey/
    await t.rejects(whoami(targetOf(sshd, { privateKeyFile: join(folder, 'other0') })), sessionError('auth', message))
    const missing = targetOf(sshd, { privateKeyFile: join(folder, 'missing') })
    await t.rejects(whoami(missing), sessionError('auth', /missing \(no such file\)/))
  })

  t.test('two jump hosts, each under its own name', async (t) => {
    const config = join(folder, 'jump_config')
    const [one, two] = [await startSshd(), await startSshd()]
    t.teardown(() => Promise.all([one[Symbol.asyncDispose](), two[Symbol.asyncDispose]()]))
    const known = join(folder, 'jump_known')
    const host = (name: string, { port, key }: TestSshd, more = '') =>
      `Host ${name}\n  HostName 127.0.0.1\n  HostKeyAlias ${name}\n  Port ${port}\n  IdentityFile ${key}\n  ${more}\n`
    await writeFile(config, `${host('j1', one)}${host('j2', two, 'ProxyJump j1')}${host('end', sshd, 'ProxyJump j2')}`)
    await writeFile(known, `j1 ${await one.hostKey()}\nj2 ${await two.hostKey()}\nend ${await sshd.hostKey()}\n`)
    const target: Target = {
      name: 'end',
      connection: 'ssh2',
      address: 'end',
      sshConfigFile: config,
      knownHostsFile: known,
    }
    t.strictSame(await Promise.all([whoami(target), whoami(target), whoami(target)]), [user, user, user])
    const swapped = join(folder, 'jump_swapped')
    await writeFile(swapped, `j1 ${await two.hostKey()}\nj2 ${await one.hostKey()}\nend ${await sshd.hostKey()}\n`)
    await t.rejects(
      whoami({ ...target, knownHostsFile: swapped }),
      sessionError('host_key', /the key of j1 has CHANGED/),
    )
    await writeFile(join(folder, 'jump_last'), `j1 ${await one.hostKey()}\nj2 ${await two.hostKey()}\n`)
    await t.rejects(
      whoami({ ...target, knownHostsFile: join(folder, 'jump_last') }),
      sessionError('host_key', /the key of end is not known/),
    )
    await writeFile(config, host('end', { ...sshd, port: await freePort() }, 'ProxyJump j2') + host('j2', two))
    const { sshConfigFile } = { sshConfigFile: join(folder, 'jump_refused') }
    await writeFile(sshConfigFile, await readFile(config))
    await t.rejects(
      whoami({ ...target, sshConfigFile }),
      sessionError('unreachable', /jump host 127.0.0.1 cannot connect to 127.0.0.1/),
    )
    await writeFile(join(folder, 'circle'), 'Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n')
    await t.rejects(whoami({ ...target, address: 'a', sshConfigFile: join(folder, 'circle') }), {
      name: 'UserError',
      message: /circles/,
    })
  })

  t.test('fewer sessions than we want', async (t) => {
    await using connection = await connect(targetOf(sshd))
    const shell = await connection.shell()
    await patiently(() => connection.lock('me'))
    // MaxSessions 3: one is left, and it is not free again as soon as we think.
    await Promise.all(Array.from({ length: 6 }, (_, i) => shell.upload(Buffer.from('x'), join(folder, `few${i}`))))
    t.equal(await readFile(join(folder, 'few5'), 'utf8'), 'x')
    await t.rejects(shell.run('sleep 20', { timeoutMs: 50 }), sessionError('timeout'))
  })

  t.test('a script that outlives its connection keeps the lock', async (t) => {
    const first = await connect(targetOf(sshd))
    await patiently(() => first.lock('the first run'))
    const shell = await first.shell()
    await shell.run(':')
    const left = join(folder, 'left-behind')
    const lost = shell.run(`sleep 3; : >${left}`)
    await Promise.all([t.rejects(lost, sessionError('lost')), sleep(200).then(() => first.close())])
    await using second = await connect(targetOf(sshd))
    await t.rejects(second.lock('the second run'), sessionError('locked', /: the first run, since/))
    t.notOk(existsSync(left), 'it still runs')
    await patiently(() => second.lock('the second run'))
    t.ok(existsSync(left), 'it has ended')
  })

  t.test('the host goes away while a script runs', async (t) => {
    const connection = await connect(targetOf(sshd, { keepaliveMs: 200 }))
    const shell = await connection.shell()
    const pids = (
      await shell.run(
        'p=$PPID; while [ "$p" != 1 ]; do set -- $(ps -o ppid=,comm= -p $p); [ "$2" = sshd ] && echo $p; p=$1; done',
      )
    ).stdout
    const sshds = pids
      .toString()
      .trim()
      .split('\n')
      .map(Number)
      .filter((pid) => pid !== sshd.pid && pid > 1)
    t.ok(sshds.length > 0)
    for (const pid of sshds) process.kill(pid, 'SIGSTOP')
    const begin = performance.now()
    await t.rejects(shell.run('echo'), sessionError('lost', /Keepalive timeout/))
    t.ok(performance.now() - begin < 3000, 'a dead peer is noticed after three missed pings')
    await connection.closed
    for (const pid of sshds) process.kill(pid, 'SIGKILL')

    const second = await connect(targetOf(sshd))
    const shell2 = await second.shell()
    const ppid = Number((await shell2.run('echo $PPID')).stdout)
    const running = shell2.run('sleep 20')
    const rejected = t.rejects(running, sessionError('lost'))
    process.kill(ppid, 'SIGKILL')
    await rejected
    await second.closed
    await second.close()

    const third = await connect(targetOf(sshd))
    const shell3 = await third.shell()
    const peer = Number((await shell3.run('echo $PPID')).stdout)
    async function* slow() {
      yield Buffer.alloc(1000)
      process.kill(peer, 'SIGKILL')
      await sleep(300)
      yield Buffer.alloc(1000)
    }
    await t.rejects(shell3.upload(slow(), join(folder, 'half')), sessionError('lost'), 'in the middle of an upload')
    t.notOk(existsSync(join(folder, 'half')))
  })
})

t.test('hosts that do not answer', async (t) => {
  const port = await freePort()
  const base: Target = {
    name: 'h1',
    connection: 'ssh2',
    address: '127.0.0.1',
    sshConfigFile: 'none',
    connectTimeoutMs: 300,
  }
  await t.rejects(connect({ ...base, port }), sessionError('unreachable', /refuses the connection/))
  await t.rejects(
    connect({ ...base, address: 'no-such-host.invalid' }),
    sessionError('unreachable', /resolve|name server/),
  )
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const { port: silentPort } = silent.address() as { port: number }
  const begin = performance.now()
  await t.rejects(connect({ ...base, port: silentPort }), sessionError('unreachable', /within 0.3 s/))
  t.ok(performance.now() - begin < 1500)
  const signal = AbortSignal.timeout(50)
  await t.rejects(connect({ ...base, port: silentPort, connectTimeoutMs: 5000 }, { signal }), { name: 'TimeoutError' })
  const rude = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1')
  await once(rude, 'listening')
  t.teardown(() => rude.close())
  await t.rejects(
    connect({ ...base, port: (rude.address() as { port: number }).port }),
    sessionError('unreachable', /./),
  )
})

t.test('passwords', async (t) => {
  const { private: hostKey, public: publicKey } = ssh2.utils.generateKeyPairSync('ed25519')
  const attempts: string[] = []
  let takes: 'password' | 'keyboard-interactive' = 'password'
  const server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
    client.on('error', () => {})
    client.on('authentication', (auth) => {
      attempts.push(auth.method)
      const no = () => auth.reject([takes])
      if (auth.method !== takes) return no()
      if (auth.method === 'password') return auth.password === 'pass word' ? auth.accept() : no()
      if (auth.method !== 'keyboard-interactive') return no()
      auth.prompt(
        [
          { prompt: 'Password: ', echo: false },
          { prompt: 'Code: ', echo: true },
        ],
        (answers) => (answers[0] === 'pass word' && answers[1] === '123' ? auth.accept() : no()),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const knownHostsFile = join(t.testdir({ known: `[127.0.0.1]:${port} ${publicKey}\n` }), 'known')
  const base: Target = {
    name: 'h1',
    connection: 'ssh2',
    address: '127.0.0.1',
    port,
    user: 'u',
    sshConfigFile: 'none',
    knownHostsFile,
    privateKeyFile: '/nonexistent',
  }
  const secrets: string[] = []
  const addSecret = (secret: string) => secrets.push(secret)
  const ok = async (target: Target, options: ConnectOptions = {}) =>
    (await connect(target, { addSecret, ...options })).close()

  await ok({ ...base, password: 'pass word' })
  t.strictSame(attempts.splice(0), ['password'], 'no round trip to ask for the methods')
  t.strictSame(secrets.splice(0), ['pass word'])
  const wrong = await connect({ ...base, password: 'wrong one' }).catch((error) => error)
  t.match(wrong, sessionError('auth', /password; the host takes: password/))
  t.notMatch(JSON.stringify([wrong, wrong.message, wrong.stack, wrong.hint]), /wrong one/)
  const asked: string[] = []
  const prompt = async (question: string, { secret }: { secret: boolean }) => {
    asked.push(`${question}${secret}`)
    return /Code/.test(question) ? '123' : 'pass word'
  }
  await ok(base, { prompt })
  t.strictSame(asked.splice(0), ["u@127.0.0.1's password: true"])
  const slow = async (question: string) => {
    await sleep(600)
    return question.includes('password') ? 'pass word' : ''
  }
  await ok({ ...base, connectTimeoutMs: 400 }, { prompt: slow })
  t.pass('the time limit does not run while the user is asked')
  takes = 'keyboard-interactive'
  await ok({ ...base, password: 'pass word' }, { prompt })
  t.strictSame(asked.splice(0), ['(u@127.0.0.1) Code: false'], 'the password answers the hidden question')
  await ok(base, { prompt })
  t.strictSame(asked.splice(0), ['(u@127.0.0.1) Password: true', '(u@127.0.0.1) Code: false'])
  const refuse = async () => Promise.reject(new Error('nobody there'))
  await t.rejects(connect(base, { prompt: refuse }), sessionError('auth', /does not let us in/))
  await t.rejects(connect(base), sessionError('auth', /tried: \/nonexistent \(no such file\)/))
})
