/**
 * `npm run bench -- steady`: thirty tasks that prepare a node, with nothing to change, on lab hosts: runbook beside
 * ansible-core with pipelining, Ansible with Mitogen, and the floor (bench/steady/floor.js); and runbook with connections that
 * ssh keeps between runs (ControlPersist), as Ansible's are. Whole processes, in turn,
 * medians of RUNS as ratios, each run on a quiet machine. `--hosts 2,10`, `--runs 5`, `--without ansible,mitogen`, `--delay 50` (ms each way; only
 * runbook and the floor).
 */
import { type SpawnOptions, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { parse, stringify } from 'yaml'
import { type DelayProxy, delayProxy } from '../test/lab/delay-proxy.ts'
import { bootLab, type Lab } from '../test/lab/index.ts'
import { stagePackage } from '../test/stage.ts'
import { ansibleFolder } from './steady/ansible.ts'
import { benchPlay } from './steady/play.ts'

const ROOT = resolve(import.meta.dirname, '..')

interface Ran {
  readonly ms: number
  readonly stdout: string
}

/** What a run leaves behind (sessions that end, processes on the hosts) is over by then, and not the next one's to bear. */
const QUIET_MS = 1000

/** Runs a process to its end; throws when it fails. */
async function timed(argv: readonly string[], options: SpawnOptions = {}): Promise<Ran> {
  await sleep(QUIET_MS)
  const started = performance.now()
  const child = spawn(argv[0]!, argv.slice(1), { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
  })
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const code = await new Promise<number | null>((done) => child.on('close', done))
  const ms = performance.now() - started
  if (code !== 0)
    throw new Error(`${argv.join(' ')} ended with ${code}\n${stdout.slice(-3000)}\n${stderr.slice(-3000)}`)
  return { ms, stdout }
}

/** runbook with connection openssh and ControlPersist. */
const KEPT = 'runbook, kept'

interface Contender {
  readonly name: string
  run(): Promise<Ran>
}

/** round_trips of runbook's recap, the largest of all hosts. */
function roundTrips({ stdout }: Ran): { most: number; changed: number } {
  const recap = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
    hosts: Record<string, { round_trips: number; changed: number }>
  }
  const hosts = Object.values(recap.hosts)
  return { most: Math.max(...hosts.map((h) => h.round_trips)), changed: Math.max(...hosts.map((h) => h.changed)) }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

const { values: flags } = parseArgs({
  options: {
    hosts: { type: 'string', default: '2,10' },
    runs: { type: 'string', default: '5' },
    without: { type: 'string', default: '' },
    delay: { type: 'string', default: '50' },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'runbook-bench-'))
/** Started as its users do: sh finds Node and the options that it gets. */
const PROGRAM = stagePackage(join(folder, 'package'))
const ENV = { ...process.env, NO_COLOR: '1', PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
const runs = Number(flags.runs)
const without = flags.without.split(',')

async function bench(count: number, ansible: string | undefined): Promise<void> {
  process.stdout.write(`\n${count} hosts: booting\n`)
  await using lab = await bootLab({
    hosts: count,
    image: ansible ? 'ansible' : 'debian',
    progress: (line) => process.stdout.write(`  ${line}\n`),
  })
  for (const host of lab.hosts) await prepareHost(lab, host.name)
  const ours = join(folder, 'runbook.yml')
  writeFileSync(ours, benchPlay('runbook', join(ROOT, 'bench/steady/files')))
  const contenders = contendersOf(lab, ours, ansible)
  const runbook = contenders[0]!
  const first = roundTrips(await runbook.run())
  const second = roundTrips(await runbook.run())
  process.stdout.write(
    `  first run: ${first.changed} tasks changed, ${first.most} scripts a host; second: ${second.changed} changed, ${second.most} scripts\n`,
  )
  const times = new Map<string, number[]>(contenders.map((c) => [c.name, []]))
  for (const c of contenders) await c.run() // warm: page cache, Ansible's control sockets
  for (let i = 0; i < runs; i++) for (const c of contenders) times.get(c.name)!.push((await c.run()).ms)
  report(times)
  if (Number(flags.delay) > 0) await benchDelayed(lab, ours, Number(flags.delay))
}

function report(times: ReadonlyMap<string, readonly number[]>): void {
  const [ours, kept] = ['runbook', KEPT].map((name) => times.get(name) && median(times.get(name)!))
  const ratio = (name: string, their: number): string => {
    if (name === 'runbook' || name === KEPT) return ''
    if (name === 'floor') return `runbook is ${(ours! / their).toFixed(2)} times the floor`
    const also = kept === undefined ? '' : `, with kept connections ${(their / kept).toFixed(1)} times`
    return `runbook is ${(their / ours!).toFixed(1)} times faster${also}`
  }
  for (const [name, all] of times) {
    const span = `${Math.min(...all).toFixed(0)} … ${Math.max(...all).toFixed(0)}`
    const words = ratio(name, median(all))
    process.stdout.write(`  ${name.padEnd(20)} ${median(all).toFixed(0).padStart(7)} ms  (${span})  ${words}\n`)
  }
}

/** What the play expects to find: a small service of its own. */
async function prepareHost(lab: Lab, host: string): Promise<void> {
  const unit = '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n'
  await lab.exec(host, [
    'sh',
    '-c',
    `printf '${unit}' > /etc/systemd/system/bench.service && systemctl daemon-reload && systemctl enable --now bench.service`,
  ])
}

/** The lab's inventory with connections that stay between runs, as Ansible's do: what an ssh user writes for it. */
function keptInventory(lab: Lab): string {
  const { lab: group } = parse(readFileSync(lab.inventoryFile, 'utf8')) as { lab: { vars: Record<string, string> } }
  const sockets = mkdtempSync(join(folder, 's'))
  const keep = `-o ControlMaster=auto -o ControlPersist=10m -o ControlPath=${sockets}/%C`
  const vars = { ...group.vars, ansible_connection: 'openssh', ansible_ssh_extra_args: keep }
  const file = join(folder, 'kept.yml')
  writeFileSync(file, stringify({ lab: { ...group, vars } }, { lineWidth: 0 }))
  return file
}

function contendersOf(lab: Lab, ours: string, ansible: string | undefined): Contender[] {
  const env = ENV
  const apply = (inventory: string) => timed([PROGRAM, 'apply', ours, '-i', inventory, '--output', 'json'], { env })
  const kept = keptInventory(lab)
  const all: Contender[] = [
    { name: 'runbook', run: () => apply(lab.inventoryFile) },
    { name: KEPT, run: () => apply(kept) },
    {
      name: 'floor',
      run: () =>
        timed(
          [
            process.execPath,
            join(ROOT, 'bench/steady/floor.js'),
            lab.privateKeyFile,
            ...lab.hosts.map((h) => `${h.address}:22`),
          ],
          { env },
        ),
    },
  ]
  if (!ansible) return all
  const theirs = join(folder, 'ansible.yml')
  const emptyConfig = join(folder, 'ansible.cfg')
  writeFileSync(emptyConfig, '')
  writeFileSync(theirs, benchPlay('ansible', join(ROOT, 'bench/steady/files')))
  const argv = [join(ansible, 'bin/ansible-playbook'), '-i', lab.inventoryFile, theirs]
  const common = {
    ...env,
    ANSIBLE_PIPELINING: '1',
    ANSIBLE_FORKS: '10',
    ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3',
    ANSIBLE_CONFIG: emptyConfig,
  }
  if (!without.includes('ansible')) all.push({ name: 'ansible, pipelining', run: () => timed(argv, { env: common }) })
  const plugins = join(ansible, 'mitogen')
  if (!without.includes('mitogen') && existsSync(plugins)) {
    const strategy = { ANSIBLE_STRATEGY: 'mitogen_linear', ANSIBLE_STRATEGY_PLUGINS: plugins }
    all.push({ name: 'ansible + mitogen', run: () => timed(argv, { env: { ...common, ...strategy } }) })
  }
  return all
}

/** The same through proxies that delay each byte, as a long line does. */
async function benchDelayed(lab: Lab, ours: string, delay: number): Promise<void> {
  const proxies: DelayProxy[] = []
  for (const host of lab.hosts) proxies.push(await delayProxy({ host: host.address, port: 22 }, delay))
  try {
    const inventory = join(folder, 'delayed.yml')
    const hosts = lab.hosts.map(
      (h, i) => [h.name, { ansible_host: proxies[i]!.address, ansible_port: proxies[i]!.port }] as const,
    )
    const args = `-o HostKeyAlias=none -o UserKnownHostsFile=${join(folder, 'known_hosts')}`
    const vars = {
      ansible_user: 'root',
      ansible_ssh_private_key_file: lab.privateKeyFile,
      ansible_ssh_common_args: args.replace('-o HostKeyAlias=none ', ''),
    }
    writeFileSync(inventory, stringify({ lab: { hosts: Object.fromEntries(hosts), vars } }, { lineWidth: 0 }))
    const times = new Map<string, number[]>([
      ['runbook', []],
      ['floor', []],
    ])
    const argv = [PROGRAM, 'apply', ours, '-i', inventory, '--output', 'json', '--accept-new-host-keys']
    const floor = [
      process.execPath,
      join(ROOT, 'bench/steady/floor.js'),
      lab.privateKeyFile,
      ...proxies.map((p) => `${p.address}:${p.port}`),
    ]
    const trips = roundTrips(await timed(argv, { env: ENV }))
    for (let i = 0; i < runs; i++) {
      times.get('runbook')!.push((await timed(argv, { env: ENV })).ms)
      times.get('floor')!.push((await timed(floor, { env: ENV })).ms)
    }
    process.stdout.write(`  with ${delay} ms each way (${trips.most} scripts a host):\n`)
    report(times)
    const more = median(times.get('runbook')!) - median(times.get('floor')!)
    process.stdout.write(`  runbook takes ${more.toFixed(0)} ms longer than the floor\n`)
  } finally {
    for (const proxy of proxies) await proxy[Symbol.asyncDispose]()
  }
}

try {
  const wantsAnsible = !(without.includes('ansible') && without.includes('mitogen'))
  const ansible = wantsAnsible ? await ansibleFolder((line) => process.stdout.write(`${line}\n`)) : undefined
  for (const count of flags.hosts.split(',').map(Number)) await bench(count, ansible)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
