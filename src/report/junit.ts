import type { RunEvent, TaskResultEvent } from '../shared/events.ts'
import { openOutputFile } from './output-file.ts'

/** The results of one host in one play. */
interface Suite {
  readonly host: string
  readonly play: string
  /** Milliseconds since the epoch: when its first task began. */
  readonly startedAt: number
  elapsedMs: number
  failures: number
  errors: number
  skipped: number
  readonly cases: string[]
}

/** Collects a run for a JUnit file. */
export interface JUnitFile {
  event(event: RunEvent): void
  /**
   * Writes what came; a file that was there before is replaced whole, or left when no run began. Does not throw: what became
   * of the hosts is what the run ends with.
   */
  close(warn: (text: string) => void): void
}

/**
 * `--junit FILE`: one testsuite a host and play, one testcase a task, as the JUnit plugins of CI systems read them
 * (github.com/testmoapp/junitxml). Failed tasks are failures, unreachable hosts errors. Throws UserError at once when the
 * file cannot be written: a run of an hour must not end with that.
 */
export function junitFile(path: string): JUnitFile {
  const file = openOutputFile(path, '--junit')
  const suites = new Map<string, Suite>()
  let run = ''
  return {
    event(event) {
      if (event.type === 'run_started') run = event.run
      if (event.type !== 'task_result') return
      const key = `${event.playId} ${event.host}`
      let suite = suites.get(key)
      if (!suite) {
        suite = newSuite(event)
        suites.set(key, suite)
      }
      add(suite, event)
    },
    close(warn) {
      if (run === '') file.discard()
      else file.write(document(run, [...suites.values()]), warn)
    },
  }
}

const newSuite = ({ host, play, at, elapsedMs }: TaskResultEvent): Suite => ({
  host,
  play,
  startedAt: at - elapsedMs,
  elapsedMs: 0,
  failures: 0,
  errors: 0,
  skipped: 0,
  cases: [],
})

function add(suite: Suite, event: TaskResultEvent): void {
  const { status, host, play, task, handler, elapsedMs } = event
  suite.elapsedMs += elapsedMs
  const name = handler ? `handler ${task}` : task
  const head = `    <testcase${attributes({ name, classname: `${play}.${host}`, time: seconds(elapsedMs) })}`
  const inside = outcome(event)
  if (status === 'failed') suite.failures++
  if (status === 'unreachable') suite.errors++
  if (status === 'skipped') suite.skipped++
  suite.cases.push(inside === '' ? `${head}/>\n` : `${head}>\n${inside}    </testcase>\n`)
}

function outcome(event: TaskResultEvent): string {
  const { status, msg, module, changes } = event
  if (status === 'skipped') return `      <skipped${attributes({ message: msg })}/>\n`
  if (status === 'failed' || status === 'unreachable') {
    const element = status === 'failed' ? 'failure' : 'error'
    const message = msg || `${module} ${status}`
    return `      <${element}${attributes({ message, type: module })}>${xml(details(event))}</${element}>\n`
  }
  // A failure that was rescued or ignored is none for who reads the file, but must not be hidden.
  const said = status === 'ignored' || status === 'rescued' ? [`${status}: ${details(event)}`] : []
  const lines = [...said, ...changes.map(({ summary }) => summary)]
  return lines.length === 0 ? '' : `      <system-out>${xml(lines.join('\n'))}</system-out>\n`
}

function details({ msg, place, cmd, rc, stdout, stderr, items, hint }: TaskResultEvent): string {
  const bad = (items ?? []).filter(({ status }) => status === 'failed' || status === 'unreachable')
  const lines: (string | false | undefined)[] = [
    msg,
    `at ${place}`,
    cmd !== undefined && `cmd: ${cmd}`,
    rc !== undefined && `rc: ${rc}`,
    stdout && `stdout:\n${stdout}`,
    stderr && `stderr:\n${stderr}`,
    ...bad.map((item) => `item ${item.label}: ${item.msg}`),
    hint && `hint: ${hint}`,
  ]
  return lines.filter(Boolean).join('\n')
}

function* document(run: string, suites: readonly Suite[]): Generator<string> {
  const name = `runbook ${run}`
  yield `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites${attributes({ name, ...totals(suites) })}>\n`
  for (const suite of suites) {
    const { host, play, startedAt, cases } = suite
    // ISO 8601 without a zone, as the schema has it; UTC.
    const timestamp = new Date(startedAt).toISOString().slice(0, 19)
    const name = `${play} [${host}]`
    yield `  <testsuite${attributes({ name, hostname: host, timestamp, ...totals([suite]) })}>\n`
    yield cases.join('')
    yield '  </testsuite>\n'
  }
  yield '</testsuites>\n'
}

function totals(suites: readonly Suite[]): Record<string, string> {
  const sum = (of: (suite: Suite) => number): number => suites.reduce((total, suite) => total + of(suite), 0)
  return {
    tests: String(sum(({ cases }) => cases.length)),
    failures: String(sum(({ failures }) => failures)),
    errors: String(sum(({ errors }) => errors)),
    skipped: String(sum(({ skipped }) => skipped)),
    time: seconds(sum(({ elapsedMs }) => elapsedMs)),
  }
}

const seconds = (ms: number): string => (ms / 1000).toFixed(3)

function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${xml(value).replaceAll('\n', '&#10;').replaceAll('\t', '&#9;')}"`)
    .join('')
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text for XML 1.0: what is no Char there (section 2.2: control characters, lone surrogates, U+FFFE) is left out. */
function xml(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]|\p{Surrogate}/gu, '')
    .replace(/[&<>"]/g, (character) => ENTITIES[character]!)
}
