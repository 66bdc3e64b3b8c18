/**
 * Large files over HTTP: `runbook netboot serve` beside nginx with sendfile, one worker each, over loopback. Needs root,
 * nginx-light, wrk.
 *
 *   npm run bench -- http [ROUNDS]
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { install, Namespace } from '../test/netboot/namespace.ts'
import { Bench, cpuSeconds, load, median, printTable, residentMegabytes } from './netboot-lab.ts'

const ROOT = resolve(import.meta.dirname, '..')
const MEGABYTES = 256
/** Seconds of each measurement. */
const LAST = 4

const rounds = Number(process.argv[2] ?? 5)
install('nginx', 'wrk')

await using bench = new Bench()
const folder = mkdtempSync(join(tmpdir(), 'runbook-bench-http-'))
bench.teardown(async () => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'boot'))
const image = Buffer.concat(Array.from({ length: MEGABYTES }, () => randomBytes(1 << 20)))
writeFileSync(join(folder, 'boot/image'), image)
writeFileSync(
  join(folder, 'netboot.yml'),
  'interfaces: [eth0]\nnetworks: [{subnet: 10.77.0.0/24}]\nfiles: boot\nprofiles: {disk: {local: true}}\n' +
    'assign: {default: disk}\n',
)
writeFileSync(join(folder, 'inventory.yml'), 'all: {hosts: {}}\n')
writeFileSync(
  join(folder, 'nginx.conf'),
  `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr; user root;
events { worker_connections 1024; }
http { access_log off; sendfile on; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server { listen 10.77.0.1:8080; location /files/ { alias ${folder}/boot/; } } }
`,
)

const space = new Namespace(bench)
space.ip('link add eth0 type bridge')
space.ip('addr add 10.77.0.1/24 dev eth0')
space.ip('link set eth0 up')
const ours = space.start(process.execPath, [
  join(ROOT, 'bin/runbook.js'),
  ...['netboot', 'serve', '-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml')],
])
const theirs = space.start('nginx', ['-c', join(folder, 'nginx.conf')])
let said = ''
for (const child of [ours, theirs]) {
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (text) => {
      said += text
    })
  }
}

/** Waits until both answer. */
async function answers(url: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const { out } = await space.run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-r', '0-9', url])
    if (out.trim() === '206') return
    await new Promise((done) => setTimeout(done, 500))
  }
  throw new Error(`${url} does not answer\n${said.slice(-2000)}`)
}

/** nginx's worker does the work, not the process that was started. */
async function worker(): Promise<number> {
  const { out } = await space.run('pgrep', ['-P', String(theirs.pid)])
  return Number(out.trim())
}

const OURS = 'http://10.77.0.1:PORT/files/image'.replace('PORT', process.env.RUNBOOK_HTTP_PORT ?? '80')
const THEIRS = 'http://10.77.0.1:8080/files/image'
await answers(OURS)
await answers(THEIRS)
const nginx = await worker()
const cases = [1, 8, 64].flatMap((readers) => [
  { name: 'nginx', pid: nginx, url: THEIRS, readers },
  { name: 'runbook', pid: ours.pid!, url: OURS, readers },
])
const results = cases.map(() => ({ gigabits: [] as number[], cpu: [] as number[] }))
for (let round = 0; round < rounds + 1; round++) {
  for (const [i, { name, pid, url, readers }] of cases.entries()) {
    const before = cpuSeconds(pid)
    const argv = ['-t', '1', '-c', String(readers), '-d', `${LAST}s`, '--timeout', '30s', url]
    const { code, out } = await space.run('wrk', argv, 60)
    // Whole or not, what was read counts: at most one file a reader is cut off at the end.
    const [, amount, unit] = /Transfer\/sec:\s+([\d.]+)(\w+)/.exec(out) ?? []
    const scale = { KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 }[unit ?? '']
    if (code !== 0 || scale === undefined) throw new Error(`${name}: ${out}`)
    if (round === 0) continue
    const bytes = Number(amount) * scale
    results[i]!.gigabits.push((bytes * 8) / 1e9)
    results[i]!.cpu.push((cpuSeconds(pid) - before) / ((bytes * LAST) / 2 ** 30))
  }
}
console.log(`load average ${load()}, ${rounds} rounds of ${LAST} s, medians, a file of ${MEGABYTES} MB\n`)
printTable(
  ['readers', 'server', 'Gbit/s', 'best', 'of nginx', 'CPU s a GiB', 'peak MB'],
  cases.map(({ name, pid, readers }, i) => {
    const { gigabits, cpu } = results[i]!
    const base = median(results[i - (i % 2)]!.gigabits)
    return [
      readers,
      name,
      median(gigabits).toFixed(1),
      Math.max(...gigabits).toFixed(1),
      `${(median(gigabits) / base).toFixed(2)} x`,
      median(cpu).toFixed(2),
      residentMegabytes(pid).toFixed(0),
    ]
  }),
)
