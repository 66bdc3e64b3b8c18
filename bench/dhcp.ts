/**
 * Complete DHCP exchanges a second over a veth pair, by perfdhcp: ours with durable leases, Kea single-threaded with
 * its lease file, dnsmasq with its default lease file. For each server the offered rate climbs until more than 1 % of
 * the exchanges are lost. Needs root, kea-admin, kea-dhcp4-server, dnsmasq-base.
 *
 *   node bench/dhcp.ts [SECONDS]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { install, Namespace } from '../test/netboot/namespace.ts'
import { Bench, cpuSeconds, load, printTable, residentMegabytes } from './netboot-lab.ts'

const seconds = Number(process.argv[2] ?? 4)
/** How many different clients; each round of a server goes on with the leases of the one before. */
const CLIENTS = 20_000
const RATES = [250, 500, 1000, 2000, 4000, 5000, 6000, 7000, 8000, 10_000, 12_000, 14_000, 16_000, 20_000]
const LOSS = 0.01
install('perfdhcp', 'kea-dhcp4', 'dnsmasq')

// On a real disk: a tmpfs would make every fsync free.
await using bench = new Bench()
const folder = mkdtempSync(join(process.env.RUNBOOK_BENCH_DIR ?? '/var/tmp', 'runbook-bench-dhcp-'))
bench.teardown(async () => rmSync(folder, { recursive: true, force: true }))
const pool: [string, string] = ['10.99.1.0', '10.99.250.0']

type Start = (space: Namespace) => Promise<number>
const servers: Record<string, Start> = {
  'runbook, leases durable': async (space) => {
    const networks = [{ subnet: '10.99.0.0/16', router: '10.99.0.1', pool }]
    const leases = join(folder, 'runbook.leases')
    const served = await space.serve({ dhcp: { interfaces: ['sv0'], leases, networks, unknown: 'pool' }, quiet: true })
    return served.pid
  },
  'Kea 2.2, one thread, memfile': async (space) => {
    const config = join(folder, 'kea.json')
    const Dhcp4 = {
      'interfaces-config': { interfaces: ['sv0'] },
      'lease-database': { type: 'memfile', persist: true, name: join(folder, 'kea.csv'), 'lfc-interval': 0 },
      'multi-threading': { 'enable-multi-threading': false },
      'valid-lifetime': 3600,
      subnet4: [{ subnet: '10.99.0.0/16', pools: [{ pool: pool.join(' - ') }] }],
      loggers: [{ name: 'kea-dhcp4', severity: 'FATAL', output_options: [{ output: 'stderr' }] }],
    }
    writeFileSync(config, JSON.stringify({ Dhcp4 }))
    const kea = space.start('env', [
      `KEA_PIDFILE_DIR=${folder}`,
      `KEA_LOCKFILE_DIR=${folder}`,
      'kea-dhcp4',
      '-c',
      config,
    ])
    return kea.pid!
  },
  'dnsmasq, default lease file': async (space) => {
    const dnsmasq = space.start('dnsmasq', [
      '-k',
      '--conf-file=/dev/null',
      '--port=0',
      '--user=root',
      '--interface=sv0',
      '--log-facility=/dev/null',
      '--no-ping',
      `--dhcp-range=${pool.join(',')},255.255.0.0,1h`,
      '--dhcp-lease-max=100000',
      `--dhcp-leasefile=${join(folder, 'dnsmasq.leases')}`,
    ])
    return dnsmasq.pid!
  },
}

interface Run {
  offered: number
  done: number
  lost: number
  delay: string
}

async function measure(client: Namespace, rate: number): Promise<Run> {
  const count = rate * seconds
  const args = ['-4', '-l', 'cv0', '-r', String(rate), '-R', String(CLIENTS), '-n', String(count), '-W', '2000000']
  const { out } = await client.run('perfdhcp', args, seconds + 30)
  const numbers = (name: string): number[] =>
    [...out.matchAll(new RegExp(`${name}: (\\d+)`, 'g'))].map((m) => Number(m[1]))
  const [discovers = 0] = numbers('sent packets')
  const [, acks = 0] = numbers('received packets')
  const delay = [...out.matchAll(/avg delay: ([\d.]+) ms/g)].map((m) => m[1]).join(' / ')
  return { offered: rate, done: acks / seconds, lost: 1 - acks / Math.max(1, discovers, count), delay }
}

interface Measured {
  readonly name: string
  readonly client: Namespace
  readonly pid: number
  readonly runs: (Run & { cpu: number })[]
}

const all: Measured[] = []
for (const [name, start] of Object.entries(servers)) {
  const space = new Namespace(bench)
  const client = new Namespace(bench)
  space.join('sv0', '10.99.0.1/16', client, 'cv0', '10.99.0.2/16')
  all.push({ name, client, pid: await start(space), runs: [] })
}
await new Promise((done) => setTimeout(done, 1500))
// In turns, so that what else the machine does falls on all alike. Two hopeless rates in a row are enough.
for (const rate of RATES) {
  for (const { name, client, pid, runs } of all) {
    if (runs.length >= 2 && runs.slice(-2).every(({ lost }) => lost > 0.25)) continue
    const before = cpuSeconds(pid)
    const run = { ...(await measure(client, rate)), cpu: 0 }
    run.cpu = (cpuSeconds(pid) - before) / (run.done * seconds)
    runs.push(run)
    console.error(`${name}: ${JSON.stringify(run)} load ${load()}`)
  }
}
console.log(`${CLIENTS} clients, ${seconds} s a rate, load average ${load()}\n`)
printTable(
  ['server', 'clean at /s', 'lost', 'mean delay OFFER / ACK', 'most /s', 'CPU us an exchange, at most /s', 'peak MB'],
  all.map(({ name, pid, runs }) => {
    const clean = runs.filter(({ lost }) => lost <= LOSS).at(-1)
    const most = runs.reduce((a, b) => (b.done > a.done ? b : a))
    return [
      name,
      clean?.offered ?? '-',
      clean ? `${(clean.lost * 100).toFixed(2)} %` : '-',
      clean ? `${clean.delay} ms` : '-',
      Math.round(most.done),
      (most.cpu * 1e6).toFixed(0),
      residentMegabytes(pid).toFixed(0),
    ]
  }),
)
