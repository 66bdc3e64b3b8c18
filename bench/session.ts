/**
 * What a session costs beside a bare ssh2 script, against a real sshd on loopback: `node bench/session.ts`.
 * Medians; the two sides take turns so that the machine's moods hit both.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as netConnect } from 'node:net'
import ssh2 from 'ssh2'
import { connect } from '../src/session/connect.ts'
import type { Connection, Target } from '../src/session/session.ts'
import { startSshd } from '../test/session/sshd.ts'

await using sshd = await startSshd(['MaxStartups 1000'])
const { port } = sshd
const target: Target = {
  name: 'h1',
  connection: 'ssh2',
  address: '127.0.0.1',
  port,
  privateKeyFile: sshd.key,
  knownHostsFile: sshd.knownHosts,
  sshConfigFile: 'none',
}
const privateKey = await readFile(sshd.key)

/** The floor: connect, one `sh`, one script, no checks of anything. */
async function bare(): Promise<ssh2.Client> {
  const client = new ssh2.Client()
  const sock = netConnect({ host: '127.0.0.1', port, noDelay: true })
  client.connect({ sock: sock as never, username: 'root', privateKey, authHandler: ['publickey'] })
  await once(client, 'ready')
  await new Promise<void>((resolve, reject) => {
    client.exec('exec /bin/sh', (error, channel) => {
      if (error) return reject(error)
      channel.on('data', () => resolve())
      channel.write('echo done\n')
    })
  })
  return client
}

async function ours(): Promise<Connection> {
  const connection = await connect(target)
  const shell = await connection.shell()
  await shell.run('echo done')
  return connection
}

async function timed<T>(work: () => Promise<T>): Promise<[number, T]> {
  const begin = performance.now()
  const value = await work()
  return [performance.now() - begin, value]
}

const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1]!
const show = (what: string, value: number, unit = 'ms') => console.log(`${what.padEnd(60)} ${value.toFixed(2)} ${unit}`)

const [bareTimes, ourTimes]: [number[], number[]] = [[], []]
for (let i = 0; i < 15; i++) {
  const [bareMs, client] = await timed(bare)
  client.end()
  const [ourMs, connection] = await timed(ours)
  await connection.close()
  bareTimes.push(bareMs)
  ourTimes.push(ourMs)
}
show('connect and first script, bare ssh2', median(bareTimes))
show('connect and first script, session', median(ourTimes))

{
  await using connection = await connect(target)
  const shell = await connection.shell()
  for (const [what, script] of [
    ['a no-op script', ':'],
    ['a script of 10 KB', `${': some words that fill a line\n'.repeat(320)}:`],
    ['a script of 60 KB', `${': some words that fill a line\n'.repeat(1920)}:`],
  ] as const) {
    const times: number[] = []
    for (let i = 0; i < 100; i++) times.push((await timed(() => shell.run(script)))[0])
    show(`run, ${what}`, median(times))
  }
  const [sequential] = await timed(async () => {
    for (let i = 0; i < 1000; i++) await shell.run(':')
  })
  show('1,000 no-op scripts one after another', sequential)
  const [pipelined] = await timed(() => Promise.all(Array.from({ length: 1000 }, () => shell.run(':'))))
  show('1,000 no-op scripts in flight at once', pipelined)
  const [upload] = await timed(() => shell.upload(Buffer.alloc(50 * 1024 * 1024), `${sshd.folder}/big`))
  show('upload of 50 MiB', upload)
  show(
    'upload of 100 bytes',
    median(
      await Promise.all(
        Array.from(
          { length: 1 },
          async () => (await timed(() => shell.upload(Buffer.alloc(100), `${sshd.folder}/small`)))[0],
        ),
      ),
    ),
  )
}

{
  // The controller's own share: one process, many connections, each with a shell and one script.
  const hosts = 100
  globalThis.gc?.()
  const memory = process.memoryUsage().rss
  const cpu = process.cpuUsage()
  const connections: Connection[] = []
  for (let i = 0; i < hosts; i += 10) connections.push(...(await Promise.all(Array.from({ length: 10 }, ours))))
  const { user, system } = process.cpuUsage(cpu)
  show(`controller CPU a host (${hosts} hosts: connect, shell, one script)`, (user + system) / 1000 / hosts)
  show('memory a host (growth of RSS)', (process.memoryUsage().rss - memory) / 1024 / hosts, 'KiB')
  await Promise.all(connections.map((connection) => connection.close()))
  const floor = process.cpuUsage()
  const clients: ssh2.Client[] = []
  for (let i = 0; i < hosts; i += 10) clients.push(...(await Promise.all(Array.from({ length: 10 }, bare))))
  const bareCpu = process.cpuUsage(floor)
  show('the same for bare ssh2', (bareCpu.user + bareCpu.system) / 1000 / hosts)
  for (const client of clients) client.end()
}
