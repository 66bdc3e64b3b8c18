/**
 * 50 clients load 8 MB each: our TFTP server beside dnsmasq, in lock-step and, ours only, with windows (dnsmasq has
 * none). Needs root, dnsmasq-base, gcc.
 *
 *   node bench/tftp.ts [ROUNDS]
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { install, Namespace } from '../test/netboot/namespace.ts'
import { Bench, cpuSeconds, load, median, printTable, residentMegabytes } from './netboot-lab.ts'

const rounds = Number(process.argv[2] ?? 5)
install('dnsmasq', 'gcc')

await using bench = new Bench()
const folder = mkdtempSync(join(tmpdir(), 'runbook-bench-tftp-'))
bench.teardown(async () => rmSync(folder, { recursive: true }))
const client = join(folder, 'tftp-load')
execFileSync('gcc', ['-O2', '-o', client, fileURLToPath(new URL('tftp-load.c', import.meta.url))])
const root = join(folder, 'root')
mkdirSync(root)
writeFileSync(join(root, 'file'), randomBytes(8 << 20))

const space = new Namespace(bench)
const ours = await space.serve({ tftp: { root, addresses: ['127.0.0.1'], mostPerClient: 100 }, quiet: true })
const single = await space.serve({
  tftp: { root, addresses: ['127.0.0.1'], port: 6969, transferPorts: 'single', mostPerClient: 100 },
  quiet: true,
})
const theirs = space.start('dnsmasq', [
  '-k',
  '--conf-file=/dev/null',
  '--port=0',
  '--enable-tftp',
  `--tftp-root=${root}`,
  '--tftp-max=200',
  '--listen-address=127.0.0.2',
  '--bind-interfaces',
  '--user=root',
])
await new Promise((done) => setTimeout(done, 500))

const cases = [
  ['dnsmasq', theirs.pid!, '127.0.0.2', 69, 1],
  ['runbook', ours.pid, '127.0.0.1', 69, 1],
  ['runbook', ours.pid, '127.0.0.1', 69, 4],
  ['runbook', ours.pid, '127.0.0.1', 69, 16],
  ['runbook, single port', single.pid, '127.0.0.1', 6969, 1],
  ['runbook, single port', single.pid, '127.0.0.1', 6969, 16],
] as const
const results = cases.map(() => ({ speed: [] as number[], cpu: [] as number[], resent: 0 }))
// In turns, so that a neighbour's work falls on all alike.
for (let round = 0; round < rounds + 1; round++) {
  for (const [i, [name, pid, address, port, window]] of cases.entries()) {
    const before = cpuSeconds(pid)
    const { code, out } = await space.run(client, [address, String(port), 'file', '50', '1468', String(window)], 120)
    if (code !== 0) throw new Error(`${name}: ${out}`)
    const { MBps, resent } = JSON.parse(out) as { MBps: number; resent: number }
    // The first round warms caches and compilers up.
    if (round === 0) continue
    results[i]!.speed.push(MBps)
    results[i]!.cpu.push(cpuSeconds(pid) - before)
    results[i]!.resent += resent
  }
}
const base = median(results[0]!.speed)
console.log(`load average ${load()}, ${rounds} rounds, medians\n`)
printTable(
  ['server', 'window', 'MB/s', 'best', 'of dnsmasq', 'server CPU s', 'sent again', 'peak MB'],
  cases.map(([name, pid, , , window], i) => {
    const { speed, cpu, resent } = results[i]!
    return [
      name,
      window,
      median(speed).toFixed(0),
      Math.max(...speed).toFixed(0),
      `${(median(speed) / base).toFixed(2)} x`,
      median(cpu).toFixed(2),
      resent,
      residentMegabytes(pid).toFixed(0),
    ]
  }),
)
