/**
 * A rack row comes back: 1,000 machines are powered on within two seconds and install at once from one
 * `runbook netboot serve`. Machines are simulated (bench/storm/machine.ts) with firmware's own time-outs; server, network
 * and files are real. Needs root. What a real machine does between the steps (POST, starting iPXE, the kernel) is left out,
 * so the load comes all at once.
 *
 *   npm run bench -- storm [MACHINES]
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { missing, Namespace } from '../test/netboot/namespace.ts'
import { Bench, cpuSeconds, load, printTable, residentMegabytes } from './netboot-lab.ts'
import type { Booted } from './storm/machine.ts'

const ROOT = resolve(import.meta.dirname, '..')
const BIN = join(ROOT, 'bin/runbook.js')
/** Megabytes: iPXE over TFTP, kernel and initrd over HTTP (Debian's netboot installer has 8 and 38). */
const SIZES = { 'ipxe.efi': 1, linux: 8, 'initrd.gz': 38 }
/** Seconds between the first and the last power-on. */
const SPREAD = 2

const machines = Number(process.argv[2] ?? 1000)
const reason = missing()
if (reason) throw new Error(reason)

await using bench = new Bench()
const folder = mkdtempSync(join(tmpdir(), 'runbook-bench-storm-'))
bench.teardown(async () => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'boot'))
for (const [name, size] of Object.entries(SIZES)) writeFileSync(join(folder, 'boot', name), randomBytes(size << 20))
const addressOf = (i: number): string => `10.77.${4 + (i >> 8)}.${i & 255}`
const macOf = (i: number): string =>
  `52:54:00:77:${[i >> 8, i & 255].map((b) => b.toString(16).padStart(2, '0')).join(':')}`
writeFileSync(
  join(folder, 'netboot.yml'),
  `interfaces: [eth0]
networks: [{subnet: 10.77.0.0/16}]
files: boot
profiles:
  install: {kernel: linux, initrd: [initrd.gz], cmdline: "ds=nocloud;s={{ seed }}/"}
assign: {default: install}
`,
)
const hosts = Object.fromEntries(
  Array.from({ length: machines }, (_, i) => [`n${i}`, { ansible_host: addressOf(i), netboot_mac: macOf(i) }]),
)
writeFileSync(join(folder, 'inventory.yml'), JSON.stringify({ all: { hosts } }))
const files = ['-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml')]
execFileSync(process.execPath, [BIN, 'netboot', 'repave', ...Object.keys(hosts), ...files], { stdio: 'ignore' })

const site = new Namespace(bench)
const rack = new Namespace(bench)
site.join('eth0', '10.77.0.1/16', rack, 'eth1', '10.77.0.2/16')
writeFileSync(
  join(folder, 'addresses'),
  Array.from({ length: machines }, (_, i) => `addr add ${addressOf(i)}/16 dev eth1 noprefixroute`).join('\n'),
)
rack.ip(`-batch ${join(folder, 'addresses')}`)
rack.ip('route add 255.255.255.255 dev eth1 src 10.77.0.2')
const serve = site.start(process.execPath, [BIN, 'netboot', 'serve', ...files])
let said = ''
for (const stream of [serve.stdout, serve.stderr]) {
  stream?.on('data', (text) => {
    said = (said + text).slice(-4000)
  })
}
for (let i = 0; ; i++) {
  const { code, out } = await rack.run('curl', ['-sS', '-m', '5', '-o', '/dev/null', 'http://10.77.0.1/healthz'])
  if (code === 0) break
  said += out
  if (i > 60) throw new Error(`the server does not answer\n${said}`)
  await new Promise((done) => setTimeout(done, 500))
}
const before = cpuSeconds(serve)
const idle = residentMegabytes(serve.pid!)
const begun = performance.now()
const clients = join(import.meta.dirname, 'storm/clients.ts')
const argv = [clients, '255.255.255.255', String(machines), String(SPREAD)]
const { code, out } = await rack.run(process.execPath, argv, 900)
if (code !== 0) throw new Error(`clients: ${out}\n${said}`)
const { booted, failed } = JSON.parse(out) as { booted: Booted[]; failed: string[] }
const seconds = (performance.now() - begun) / 1000

const names = Object.keys(booted[0]?.steps ?? {})
const at = (step: string, part: number): string => {
  const sorted = booted.map(({ steps }) => steps[step]!).sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!.toFixed(1)
}
console.log(`load average ${load()}; ${booted.length} of ${machines} booted in ${seconds.toFixed(0)} s\n`)
printTable(
  ['s after power-on', 'median', '99th percentile', 'last'],
  names.map((step) => [step, at(step, 0.5), at(step, 0.99), at(step, 1)]),
)
const again = booted.reduce((sum, one) => sum + one.again, 0)
console.log(
  `\nsent again: ${again}; server: ${(cpuSeconds(serve) - before).toFixed(1)} s CPU, ` +
    `${residentMegabytes(serve.pid!).toFixed(0)} MB at most (${idle.toFixed(0)} before)`,
)
if (failed.length > 0) {
  console.log(`failed:\n${failed.slice(0, 10).join('\n')}`)
  process.exitCode = 2
}
