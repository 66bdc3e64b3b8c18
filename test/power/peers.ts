/** Controllers that others wrote: ipmi_sim (Debian openipmi) and sushy-tools' Redfish emulator. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LOGIN, selfSigned } from './fake-bmc.ts'

const has = (command: string): boolean =>
  `${process.env.PATH}:/usr/sbin:/sbin`.split(':').some((folder) => existsSync(join(folder, command)))

/** For tap's `skip`: false where all commands are there, else what to install. */
export function without(packages: Readonly<Record<string, string>>): string | false {
  const absent = Object.keys(packages).filter((command) => !has(command))
  const install = [...new Set(absent.map((command) => packages[command]))].join(' ')
  return absent.length > 0 && `needs ${absent.join(', ')}: apt-get install ${install}`
}

export const withoutIpmi = without({ ipmi_sim: 'openipmi', ipmitool: 'ipmitool' })
export const IPMI = { user: 'admin', password: 'six*nine' } as const

export interface Peer extends AsyncDisposable {
  readonly port: number
  /** What it printed. */
  output(): string
}

/** `switchUrl`: of outlet.ts. */
export async function startIpmiSim(switchUrl: string): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), 'power-ipmi-'))
  const port = await freeUdpPort()
  // ipmi_sim runs it with `get power`, `set boot pxe` and reads `power:1`.
  const script = `fetch('${switchUrl}ipmi', { method: 'POST', body: JSON.stringify(process.argv.slice(1)) })
    .then(async (r) => process.stdout.write(await r.text(), () => process.exit(r.ok ? 0 : 1)))`
  writeFileSync(join(folder, 'chassis.cjs'), script)
  writeFileSync(
    join(folder, 'chassis'),
    `#!/bin/sh\nexec '${process.execPath}' -e "$(cat '${folder}/chassis.cjs')" -- "$@"\n`,
    { mode: 0o700 },
  )
  const auths = ['callback', 'user', 'operator', 'admin'].map(
    (level) => `  allowed_auths_${level} none md2 md5 straight\n`,
  )
  const config = `name "power"
startlan 1
  addr 127.0.0.1 ${port}
  priv_limit admin
${auths.join('')}  guid a123456789abcdefa123456789abcdef
endlan
chassis_control "${folder}/chassis"
user 2 true "${IPMI.user}" "${IPMI.password}" admin 10 none md2 md5 straight
user 3 true "oper" "${IPMI.password}" operator 10 none md2 md5 straight
`
  writeFileSync(join(folder, 'lan.conf'), config, { mode: 0o600 })
  const commands =
    'mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nsel_enable 0x20 1000 0x0a\nmc_enable 0x20\n'
  writeFileSync(join(folder, 'commands'), commands)
  mkdirSync(join(folder, 'state'))
  const args = ['-n', '-c', join(folder, 'lan.conf'), '-f', join(folder, 'commands'), '-s', join(folder, 'state')]
  const peer = start('ipmi_sim', args, {}, folder, port)
  await until(() => rmcpPing(port), peer)
  return peer
}

const SUSHY = '2.2.0'

/** Installs sushy-tools where tests keep what they made, once a machine; the Python to run it with, or why there is none. */
export function sushyPython(): { python: string; skip?: never } | { python?: never; skip: string } {
  const missing = without({ python3: 'python3-venv', openssl: 'openssl' })
  if (missing) return { skip: missing }
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'runbook-test')
  const folder = join(cache, `sushy-tools-${SUSHY}`)
  const python = join(folder, 'bin/python3')
  if (existsSync(python)) return { python }
  const made = join(cache, `.sushy-${randomBytes(4).toString('hex')}`)
  try {
    mkdirSync(cache, { recursive: true })
    const options = { stdio: 'pipe', encoding: 'utf8', timeout: 240_000 } as const
    // The system's own Python: a version manager's shims move.
    const system = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'
    execFileSync(system, ['-m', 'venv', made], options)
    execFileSync(join(made, 'bin/pip'), ['install', '--quiet', `sushy-tools==${SUSHY}`], options)
    if (!existsSync(folder)) renameSync(made, folder)
    return { python }
  } catch (error) {
    const why = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1) ?? String(error)
    return { skip: `sushy-tools ${SUSHY} cannot be installed (apt-get install python3-venv; pip): ${why}` }
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

export interface Sushy extends Peer {
  readonly base: URL
  readonly sha256: string
}

/** The emulator with its fake driver, TLS and passwords; it tells the outlet at `switchUrl` of its power. */
export async function startSushy(python: string, switchUrl: string): Promise<Sushy> {
  const folder = mkdtempSync(join(tmpdir(), 'power-sushy-'))
  const port = await freeTcpPort()
  const { key, cert, sha256 } = selfSigned('sushy')
  writeFileSync(join(folder, 'key'), key, { mode: 0o600 })
  writeFileSync(join(folder, 'cert'), cert)
  const hash = 'import bcrypt, sys; print(bcrypt.hashpw(sys.stdin.buffer.read(), bcrypt.gensalt(4)).decode())'
  const hashed = execFileSync(python, ['-c', hash], { input: LOGIN.password, encoding: 'utf8' }).trim()
  writeFileSync(join(folder, 'htpasswd'), `${LOGIN.user}:${hashed}\n`, { mode: 0o600 })
  const system = `{'uuid': '6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'name': 'n1', 'power_state': 'Off', 'external_notifier': True, 'nics': []}`
  const config = {
    LISTEN_IP: '127.0.0.1',
    SSL_CERT: join(folder, 'cert'),
    SSL_KEY: join(folder, 'key'),
    AUTH_FILE: join(folder, 'htpasswd'),
    STATE_DIR: folder,
  }
  const lines = Object.entries(config).map(([name, value]) => `SUSHY_EMULATOR_${name} = '${value}'`)
  lines.push(`SUSHY_EMULATOR_LISTEN_PORT = ${port}`, 'SUSHY_EMULATOR_FAKE_DRIVER = True')
  lines.push(`SUSHY_EMULATOR_FAKE_SYSTEMS = [${system}]`, `EXTERNAL_NOTIFICATION_URL = '${switchUrl}'`)
  writeFileSync(join(folder, 'config.py'), `${lines.join('\n')}\n`)
  const env = { NO_PROXY: '*' }
  const peer = start(
    python,
    ['-m', 'sushy_tools.emulator.main', '--config', join(folder, 'config.py')],
    env,
    folder,
    port,
  )
  await until(() => accepts(port), peer)
  return { ...peer, base: new URL(`https://127.0.0.1:${port}/`), sha256 }
}

function start(
  command: string,
  args: string[],
  env: Record<string, string>,
  folder: string,
  port: number,
): Peer & { child: ChildProcess } {
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-20_000)
    })
  child.on('error', (error) => {
    output += error.message
  })
  const ended = new Promise<void>((done) => child.on('close', () => done()))
  return {
    child,
    port,
    output: () => output,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function until(isReady: () => Promise<boolean>, peer: Peer & { child: ChildProcess }): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await isReady()) return
    if (peer.child.exitCode !== null) break
    await sleep(100)
  }
  const said = peer.output()
  await peer[Symbol.asyncDispose]()
  throw new Error(`it did not start:\n${said}`)
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      done(true)
    }).on('error', () => done(false))
  })

async function rmcpPing(port: number): Promise<boolean> {
  const socket = createSocket('udp4').on('error', () => {})
  socket.send(Buffer.from('0600ff06000011be80000000', 'hex'), port, '127.0.0.1')
  const answered = await Promise.race([
    new Promise<true>((done) => socket.on('message', () => done(true))),
    sleep(200, false),
  ])
  socket.close()
  return answered
}

const freeTcpPort = (): Promise<number> =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => done(port))
    })
  })

const freeUdpPort = (): Promise<number> =>
  new Promise((done) => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1', () => {
      const { port } = socket.address()
      socket.close(() => done(port))
    })
  })
