import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const SSHD = '/usr/sbin/sshd'

/** Why the tests with a real sshd cannot run here; undefined when they can. */
export const noSshd = existsSync(SSHD) && existsSync('/usr/bin/ssh-keygen') ? false : 'openssh-server is not installed'

export const user = userInfo().username

/** A real sshd on a free loopback port, with keys and configuration of its own in a temporary folder. */
export interface TestSshd extends AsyncDisposable {
  readonly port: number
  readonly folder: string
  readonly pid: number
  /** A user key that it accepts, and its known_hosts line for `127.0.0.1`. */
  readonly key: string
  readonly knownHosts: string
  hostKey(type?: string): Promise<string>
}

export async function startSshd(
  config: readonly string[] = [],
  types: readonly string[] = ['ed25519'],
): Promise<TestSshd> {
  const folder = await mkdtemp(join(tmpdir(), 'session-sshd-'))
  const port = await freePort()
  for (const type of types) keygen('-t', type, '-f', join(folder, `host_${type}`), '-N', '')
  const key = join(folder, 'id')
  keygen('-t', 'ed25519', '-f', key, '-N', '')
  await writeFile(join(folder, 'authorized_keys'), await readFile(`${key}.pub`))
  await chmod(join(folder, 'authorized_keys'), 0o600)
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    ...types.map((type) => `HostKey ${join(folder, `host_${type}`)}`),
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    'PidFile none',
    'StrictModes no',
    'PermitRootLogin yes',
    'UsePAM no',
    // Whatever the tester's own .bashrc does is not what is tested here.
    `SetEnv HOME=${folder}`,
    ...config,
  ]
  await writeFile(join(folder, 'sshd_config'), `${lines.join('\n')}\n`)
  spawnSync('mkdir', ['-p', '/run/sshd'])
  const sshd = spawn(SSHD, ['-D', '-e', '-f', join(folder, 'sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  sshd.stderr.on('data', (chunk) => {
    log += chunk
  })
  await listening(port, () => log)
  const hostKey = async (type = types[0]!) =>
    (await readFile(join(folder, `host_${type}.pub`), 'utf8')).split(' ').slice(0, 2).join(' ')
  const knownHosts = join(folder, 'known_hosts')
  await writeFile(knownHosts, `[127.0.0.1]:${port} ${await hostKey()}\n`)
  return {
    port,
    folder,
    pid: sshd.pid!,
    key,
    knownHosts,
    hostKey,
    [Symbol.asyncDispose]: async () => {
      const over = once(sshd, 'exit')
      sshd.kill('SIGKILL')
      await over
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/**
 * An ssh_config that keeps connections, the folder of the user's own (ControlPath) and that of ours, and what ends them all.
 * Sets XDG_CACHE_HOME.
 */
export async function keepsConnections({ folder }: TestSshd, name = '%C', seconds = 60) {
  const sockets = join(folder, 'users')
  const ours = join(folder, 'runbook/ssh')
  process.env.XDG_CACHE_HOME = folder
  await mkdir(sockets, { recursive: true, mode: 0o700 })
  const lines = ['ControlMaster auto', `ControlPath ${sockets}/${name}`, `ControlPersist ${seconds}s`]
  return {
    config: lines.map((line) => `${line}\n`).join(''),
    sockets,
    ours,
    end: async () => {
      for (const place of [sockets, ours])
        for (const socket of await readdir(place).catch(() => []))
          spawnSync('ssh', ['-F', 'none', '-S', join(place, socket), '-O', 'exit', 'any'], { stdio: 'ignore' })
    },
  }
}

export function keygen(...args: string[]): string {
  const run = spawnSync('ssh-keygen', ['-q', ...args], { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`ssh-keygen: ${run.stderr}`)
  return run.stdout
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}

async function listening(port: number, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, '127.0.0.1')
    const open = await new Promise<boolean>((resolve) => {
      socket.on('connect', () => resolve(true))
      socket.on('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
    await sleep(50)
  }
  throw new Error(`sshd did not start: ${log()}`)
}
