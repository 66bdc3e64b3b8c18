/**
 * Runs the suites and says how long each took, what failed, and what was skipped and why: `npm test`, or
 * `node test/run.ts NAME…` for some of them.
 *
 * - `check`: types, lint, architecture
 * - `unit`: everything that needs nothing but this machine
 * - `local`: what runs playbooks on this machine itself, one file at a time: they all want its run lock
 * - `lab`: real hosts (docs/contributing-lab.md)
 * - `fuzz`: parsers of packets, 30 s each; ten minutes each with RUNBOOK_FULL=1
 * - `netboot`: machines with real firmware, under QEMU: all ways to the loader, one installation; all with RUNBOOK_FULL=1
 * - `kubernetes-short`: a real cluster of two hosts from nothing, a drain, a worker out and in again; one with three control
 *   planes, one of which loses its power
 * - `kubernetes`: that and all others (docs/contributing-kubernetes-lab.md)
 *
 * With RUNBOOK_REQUIRE_LAB=1 a suite that cannot run here fails instead of being skipped.
 */
import { spawn } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')
const BIN = join(ROOT, 'node_modules/.bin')

interface Suite {
  readonly name: string
  /** Test files; none for a suite that is one command. */
  readonly files?: readonly string[]
  readonly command?: readonly string[]
  /** Files at the same time. */
  readonly jobs: number
  /** Seconds that a file may take; default 300. */
  readonly timeout?: number
  readonly env?: Readonly<Record<string, string>>
}

interface Outcome {
  readonly name: string
  readonly seconds: number
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

const all = globSync('test/**/*.test.ts', { cwd: ROOT }).sort()
const inLab = (file: string): boolean => /^test\/(lab|acceptance)\//.test(file) || file.endsWith('.lab.test.ts')
const inKubernetes = (file: string): boolean =>
  file.startsWith('test/lab/kubernetes/') || file.endsWith('.kubernetes.test.ts')

const isFirmware = (file: string): boolean =>
  /^test\/netboot\/(debian-installer|firmware|first-boot|install(-file-systems|-more|-script|er-kernel)?)\.|\.firmware\.test\.ts$/.test(
    file,
  )

const isFuzz = (file: string): boolean =>
  /^test\/netboot\/(dhcp\/(packet|server)|tftp\/packet|parsers)\.test\.ts$/.test(file)

const isLocal = (file: string): boolean => /^test\/(attack|cli|session)\//.test(file)

const SUITES: readonly Suite[] = [
  { name: 'check', command: ['npm', 'run', '--silent', 'check'], jobs: 1 },
  {
    name: 'unit',
    files: all.filter((f) => !inLab(f) && !inKubernetes(f) && !isLocal(f) && !isFirmware(f)),
    jobs: 2,
  },
  { name: 'local', files: all.filter((f) => isLocal(f) && !inLab(f)), jobs: 1 },
  { name: 'lab', files: all.filter((f) => inLab(f) && !inKubernetes(f)), jobs: 1 },
  {
    name: 'fuzz',
    files: all.filter(isFuzz),
    jobs: 2,
    timeout: process.env.RUNBOOK_FULL ? 3600 : 600,
    env: { RUNBOOK_FUZZ_SECONDS: process.env.RUNBOOK_FULL ? '600' : '30' },
  },
  { name: 'netboot', files: all.filter(isFirmware), jobs: 1, timeout: process.env.RUNBOOK_FULL ? 3600 : 1800 },
  {
    name: 'kubernetes-short',
    files: ['test/playbooks/site.kubernetes.test.ts', 'test/playbooks/ha-short.kubernetes.test.ts'],
    jobs: 1,
    timeout: 3600, // the first run builds Kubernetes
  },
  { name: 'kubernetes', files: all.filter(inKubernetes), jobs: 1, timeout: 7200 },
]

/** Suites of a plain `npm test`. */
const USUAL = ['check', 'unit', 'local', 'lab']

const skips = new Map<string, number>()

async function run(suite: Suite): Promise<Outcome> {
  process.stdout.write(`\n── ${suite.name} ──\n`)
  const started = Date.now()
  const argv = suite.command ?? [
    'tap',
    '--disable-coverage',
    '--allow-empty-coverage',
    '--reporter=tap',
    `--timeout=${suite.timeout ?? 300}`,
    `--jobs=${suite.jobs}`,
    ...suite.files!,
  ]
  if (suite.files?.length === 0) return { name: suite.name, seconds: 0, passed: 0, failed: 0, skipped: 0 }
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: ROOT,
    env: { ...process.env, ...suite.env, PATH: `${BIN}:${process.env.PATH}`, FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const counted = { passed: 0, failed: 0, skipped: 0 }
  let rest = ''
  let shown = 0
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      if (suite.command) process.stdout.write(`${line}\n`)
      else shown = show(line, counted, shown)
    }
  })
  const code = await new Promise<number>((done) => child.on('close', (status) => done(status ?? 1)))
  if (suite.command) counted[code === 0 ? 'passed' : 'failed']++
  else if (code !== 0 && counted.failed === 0) counted.failed++
  return { name: suite.name, seconds: Math.round((Date.now() - started) / 1000), ...counted }
}

/** Counts a line of TAP; shows the end of each file, and of a failure what is indented below it. */
function show(line: string, counted: { passed: number; failed: number; skipped: number }, shown: number): number {
  const m = /^(\s*)(not )?ok \d+ - (.*)$/.exec(line)
  if (!m) {
    if (shown > 0) process.stdout.write(`${line}\n`)
    return Math.max(0, shown - 1)
  }
  const skip = /# SKIP ?(.*)$/i.exec(m[3]!)
  const isTodo = /# TODO/i.test(m[3]!)
  if (m[1] === '') {
    process.stdout.write(`${m[2] ? 'FAILED' : 'ok    '} ${m[3]}\n`)
    return 0
  }
  if (skip) {
    counted.skipped++
    const reason = skip[1] || 'no reason given'
    skips.set(reason, (skips.get(reason) ?? 0) + 1)
  } else if (m[2] && !isTodo) {
    counted.failed++
    process.stdout.write(`${line}\n`)
    return 40
  } else counted.passed++
  return 0
}

const wanted = process.argv.slice(2)
const names = wanted.length > 0 ? wanted : USUAL
const unknown = names.filter((name) => !SUITES.some((s) => s.name === name))
if (unknown.length > 0 || !existsSync(join(BIN, 'tap'))) {
  process.stderr.write(
    unknown.length > 0
      ? `there is no suite ${unknown.join(', ')}; there are ${SUITES.map((s) => s.name).join(', ')}\n`
      : 'run `npm ci` first\n',
  )
  process.exit(3)
}

const outcomes: Outcome[] = []
for (const name of names) outcomes.push(await run(SUITES.find((s) => s.name === name)!))

process.stdout.write('\n')
for (const { name, seconds, passed, failed, skipped } of outcomes) {
  process.stdout.write(
    `${name.padEnd(12)} ${String(seconds).padStart(5)} s  ${passed} passed, ${failed} failed, ${skipped} skipped\n`,
  )
}
for (const [reason, count] of skips) process.stdout.write(`skipped ${count}: ${reason}\n`)
const sum = (key: 'passed' | 'failed' | 'skipped') => outcomes.reduce((n, o) => n + o[key], 0)
process.stdout.write(`\n${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped\n`)
process.exit(sum('failed') > 0 ? 2 : 0)
