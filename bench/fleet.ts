/**
 * `npm run bench -- fleet`: a play of thirty tasks with nothing to change, planned on 10, 100 and 1,000 simulated hosts: a
 * real `sh` each, behind a light SSH server in other processes. What counts is the controller: its CPU seconds and peak
 * memory, and how both grow. `--hosts 10,100,1000`, `--forks 50`, `--runs 3`.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { stagePackage } from '../test/stage.ts'
import { type Cost, costOf } from './cost.ts'

const ROOT = resolve(import.meta.dirname, '..')
const { values: flags } = parseArgs({
  options: {
    hosts: { type: 'string', default: '10,100,1000' },
    forks: { type: 'string', default: '50' },
    runs: { type: 'string', default: '3' },
  },
})

/** What the controller costs; throws unless all hosts are as they should be. */
async function cost(argv: readonly string[], hosts: number): Promise<Cost> {
  const cost = await costOf(argv)
  const recap = JSON.parse(cost.stdout.trim().split('\n').at(-1) ?? '{}') as {
    hosts?: Record<string, { ok: number; changed: number }>
  }
  const ok = Object.values(recap.hosts ?? {}).filter((h) => h.ok >= 30 && h.changed === 0).length
  if (cost.code !== 0 || ok !== hosts)
    throw new Error(
      `${ok} of ${hosts} hosts are as they should be; exit ${cost.code}\n${cost.stderr.slice(-2000)}\n${cost.stdout.slice(-2000)}`,
    )
  return cost
}

const folder = mkdtempSync(join(tmpdir(), 'runbook-fleet-'))
const servers = [] as ReturnType<typeof spawn>[]
try {
  for (const name of ['host', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, name)])
  const ports: number[] = []
  for (let i = 0; i < 2; i++) {
    const child = spawn(
      process.execPath,
      [join(ROOT, 'bench/fleet/server.ts'), join(folder, 'host'), join(folder, 'user.pub')],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    servers.push(child)
    ports.push(await new Promise<number>((done) => child.stdout!.once('data', (chunk: Buffer) => done(Number(chunk)))))
  }
  const publicKey = readFileSync(join(folder, 'host.pub'), 'utf8').trim()
  writeFileSync(join(folder, 'known_hosts'), ports.map((p) => `[127.0.0.1]:${p} ${publicKey}\n`).join(''))
  const playbook = join(folder, 'site.yml')
  const work = join(folder, 'state')
  mkdirSync(work)
  writeFileSync(playbook, JSON.stringify([{ name: 'Fleet', hosts: 'all', tasks: tasks(work) }]))
  const program = stagePackage(join(folder, 'package'))
  execFileSync(
    process.execPath,
    [program, 'apply', playbook, '-i', 'localhost,', '-e', 'ansible_connection=local', '--output', 'json'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const rows: { hosts: number; cost: Cost }[] = []
  for (const hosts of flags.hosts.split(',').map(Number)) {
    const inventory = join(folder, `inventory-${hosts}.yml`)
    const entries = Array.from({ length: hosts }, (_, i) => [
      `node${i}`,
      { ansible_host: '127.0.0.1', ansible_port: ports[i % ports.length] },
    ])
    const vars = {
      ansible_user: 'root',
      ansible_ssh_private_key_file: join(folder, 'user'),
      ansible_ssh_common_args: `-o UserKnownHostsFile=${join(folder, 'known_hosts')}`,
    }
    writeFileSync(inventory, JSON.stringify({ fleet: { hosts: Object.fromEntries(entries), vars } }))
    const costs: Cost[] = []
    for (let i = 0; i < Number(flags.runs); i++) {
      costs.push(
        await cost(
          [process.execPath, program, 'plan', playbook, '-i', inventory, '--output', 'json', '--forks', flags.forks],
          hosts,
        ),
      )
    }
    const cheapest = costs.toSorted((a, b) => a.cpuSeconds - b.cpuSeconds)[Math.floor(costs.length / 2)]!
    rows.push({ hosts, cost: cheapest })
    process.stdout.write(
      `${String(hosts).padStart(6)} hosts  ${cheapest.cpuSeconds.toFixed(2)} s CPU  ${cheapest.peakMb.toFixed(0)} MB peak  ${cheapest.wallSeconds.toFixed(1)} s\n`,
    )
  }
  const [first, last] = [rows[0]!, rows.at(-1)!]
  if (last.hosts > first.hosts) {
    const more = last.hosts - first.hosts
    const cpu = ((last.cost.cpuSeconds - first.cost.cpuSeconds) / more) * 1000
    const mb = (last.cost.peakMb - first.cost.peakMb) / more
    process.stdout.write(`each further host: ${cpu.toFixed(1)} ms CPU, ${mb.toFixed(2)} MB\n`)
  }
} finally {
  for (const server of servers) server.kill()
  rmSync(folder, { recursive: true, force: true })
}

/** Thirty tasks as a node has them, on files of the bench's own; some with templates over facts and the host's name. */
function tasks(work: string): Record<string, unknown>[] {
  const numbers = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
  return [
    ...numbers(6).map((i) => ({
      name: `Folder ${i}`,
      file: { path: `${work}/d${i}`, state: 'directory', mode: '0755' },
    })),
    ...numbers(10).map((i) => ({
      name: `File ${i}`,
      copy: { dest: `${work}/d1/f${i}`, content: `setting ${i} on {{ facts.os.id }}\n`, mode: '0644' },
    })),
    ...numbers(6).map((i) => ({
      name: `Line ${i}`,
      lineinfile: { path: `${work}/hosts`, line: `10.0.0.${i} name${i}`, create: true, mode: '0644' },
    })),
    { name: 'Link', file: { path: `${work}/link`, src: `${work}/d1`, state: 'link' } },
    ...numbers(4).map((i) => ({ name: `Look ${i}`, stat: { path: `${work}/d1/f${i}` }, register: `look${i}` })),
    { name: 'Kernel', command: 'uname -r', register: 'kernel', changed_when: false, check_mode: false },
    { name: 'Remember', set_fact: { what: '{{ inventory_hostname }} {{ kernel.stdout }}' } },
    { name: 'Assert', assert: { that: ['size(what) > 3'] } },
  ]
}
