import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { LARGEST_RESULT, LONGEST_TEXT } from '../../src/journal/encode.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { memoryJournal, openJournal } from '../../src/journal/open.ts'
import { migrate } from '../../src/shared/database.ts'
import { UserError } from '../../src/shared/errors.ts'
import type { RunEvent, TaskResultEvent } from '../../src/shared/events.ts'
import { result } from './events.ts'

function begin(journal: Journal, id: string, some: { check?: boolean; hash?: string } = {}): void {
  const { check = false, hash = 'hash' } = some
  const command = ['apply', 'site.yml']
  journal.begin({ id, command, playbookHash: hash, startedAt: 1, check, user: 'root' })
}

t.test('gives back what was recorded, output left out', async (t) => {
  using journal = memoryJournal()
  begin(journal, 'a')
  const events: RunEvent[] = [
    { type: 'run_started', run: 'a', at: 1, playbooks: ['site.yml'], check: false },
    result({ host: 'h1', status: 'changed', changes: [{ summary: 'write /etc/motd' }], result: { rc: 0 } }),
    { type: 'recap', run: 'a', hosts: {}, elapsedMs: 5, interrupted: false, owed: {} },
  ]
  for (const event of events) journal.record(event)
  journal.record({ type: 'task_output', host: 'h1', task: 't', taskId: '1', stream: 'stdout', text: 'x' })
  const { result: _, ...kept } = events[1] as TaskResultEvent
  t.same([...journal.events('a')], [events[0], kept, events[2]])
  t.same(journal.progress('a', '0', 'h1').results, [{ taskId: '0.tasks.0', status: 'changed', result: { rc: 0 } }])
  t.same(journal.progress('a', '0', 'h2').results, [])
  journal.end('a', 2)
  t.match(journal.run('a'), { id: 'a', exitCode: 2, command: ['apply', 'site.yml'], check: false, user: 'root' })
  t.equal(journal.run('a')?.resumes, undefined)
  t.equal(journal.run('b'), undefined)
  journal.begin({ id: 'b', command: [], playbookHash: 'hash', startedAt: 2, check: false, user: 'u', resumes: 'a' })
  t.equal(journal.run('b')?.resumes, 'a')
})

t.test('more events than one portion, in order', async (t) => {
  using journal = memoryJournal()
  begin(journal, 'a')
  for (let n = 0; n < 2500; n++) journal.record(result({ taskId: `${n}` }))
  t.same(
    [...journal.events('a')].map((e) => (e as TaskResultEvent).taskId),
    Array.from({ length: 2500 }, (_, n) => `${n}`),
  )
})

t.test('what can be resumed', async (t) => {
  for (const [exitCode, resumable] of [
    [0, false],
    [8, false],
    [3, false],
    [1, true],
    [2, true],
    [4, true],
    [130, true],
  ] as const) {
    using journal = memoryJournal()
    begin(journal, 'old')
    journal.end('old', 2)
    begin(journal, 'new')
    journal.record(result({ result: { rc: 0 } }))
    journal.end('new', exitCode)
    t.equal(journal.unfinished('hash')?.id, resumable ? 'new' : undefined, `exit code ${exitCode}`)
    t.equal(journal.progress('new', '0', 'h1').results[0]?.result !== undefined, resumable, 'results are kept for it')
    t.equal(journal.unfinished('other'), undefined)
  }
  using journal = memoryJournal()
  begin(journal, 'failed')
  journal.end('failed', 2)
  begin(journal, 'check', { check: true })
  journal.record(result({ result: { rc: 0 } }))
  journal.end('check', 2)
  t.equal(journal.unfinished('hash')?.id, 'failed', 'check mode does not count')
  t.equal(journal.progress('check', '0', 'h1').results[0]?.result, undefined)
  begin(journal, 'going on')
  t.equal(journal.unfinished('hash')?.id, 'failed', 'a run of a living process does not count')
})

t.test('the newest run of playbooks, and who failed in it', async (t) => {
  using journal = memoryJournal()
  const ours = (playbooks: readonly string[]): boolean => playbooks.join() === 'site.yml'
  const started = (run: string, playbooks = ['site.yml']): RunEvent => ({
    type: 'run_started',
    run,
    at: 1,
    playbooks,
    check: false,
  })
  t.equal(journal.newest(ours), undefined)
  begin(journal, 'a')
  journal.record(started('a'))
  t.equal(journal.newest(ours), undefined, 'still going on')
  for (const [host, status] of [
    ['h3', 'unreachable'],
    ['h1', 'failed'],
    ['h1', 'failed'],
    ['h2', 'rescued'],
    ['h4', 'ignored'],
    ['h5', 'ok'],
  ] as const)
    journal.record(result({ host, status }))
  journal.end('a', 2)
  t.equal(journal.newest(ours)?.id, 'a')
  t.same(journal.failed('a'), ['h1', 'h3'])
  for (const [id, some, exitCode] of [
    ['plan', { check: true }, 2],
    ['refused', {}, 3],
    ['other', {}, 2],
  ] as const) {
    begin(journal, id, some)
    journal.record(started(id, id === 'other' ? ['other.yml'] : ['site.yml']))
    journal.record(result({ host: 'h9', status: 'failed' }))
    journal.end(id, exitCode)
    t.equal(journal.newest(ours)?.id, 'a', id)
  }
  begin(journal, 'b', { hash: 'mended' })
  journal.record(started('b'))
  journal.end('b', 0)
  t.equal(journal.newest(ours)?.id, 'b')
  t.same(journal.failed('b'), [])
})

t.test('handlers and intents outlive runs', async (t) => {
  const folder = t.testdir({})
  {
    using journal = openJournal(folder, { keepRuns: 1 })
    begin(journal, 'a')
    journal.owe('site.yml/0', 'h1', 'restart ssh', 'write config', 'a')
    journal.owe('site.yml/0', 'h1', 'restart ssh', 'again', 'a')
    journal.owe('site.yml/0', 'h1', 'reload', 'write config', 'a')
    t.equal(journal.intent('a', 'h1', 'reboot', { boot_id: 'x' }), undefined)
    t.equal(journal.intent('a', 'h1', 'other', {}), undefined)
    journal.intentDone('h1', 'other')
    journal.end('a', 2)
    begin(journal, 'b')
    t.same(
      journal.runs(10).map((r) => r.id),
      ['b'],
    )
  }
  using journal = openJournal(folder)
  t.same(journal.owed('site.yml/0', 'h1'), [
    { handler: 'restart ssh', by: 'write config', run: 'a' },
    { handler: 'reload', by: 'write config', run: 'a' },
  ])
  t.same(journal.owed('site.yml/1', 'h1'), [])
  journal.paid('site.yml/0', 'h1', 'restart ssh')
  t.equal(journal.owed('site.yml/0', 'h1').length, 1)
  t.same(journal.intent('c', 'h1', 'reboot', { boot_id: 'y' }), { boot_id: 'x' })
  t.equal(journal.intent('c', 'h1', 'other', {}), undefined)
})

t.test('keeps the newest runs with all that is theirs', async (t) => {
  const folder = t.testdir({})
  {
    using journal = openJournal(folder, { keepRuns: 3 })
    for (let n = 0; n < 6; n++) {
      begin(journal, `r${n}`)
      journal.record(result({ result: { n } }))
      journal.end(`r${n}`, 2)
    }
    t.same(
      journal.runs(10).map((r) => r.id),
      ['r5', 'r4', 'r3'],
    )
  }
  const db = new DatabaseSync(join(folder, '.runbook/journal.db'))
  for (const table of ['runs', 'events', 'results'])
    t.same(db.prepare(`SELECT count(*) AS n FROM ${table}`).get(), { n: 3 }, table)
  db.close()
})

t.test('sizes are bounded', async (t) => {
  using journal = memoryJournal()
  begin(journal, 'a')
  const long = 'x'.repeat(5_000_000)
  journal.record(result({ status: 'failed', stdout: long, result: { stdout: long } }))
  journal.record(result({ taskId: '2', result: { stdout: 'y'.repeat(LARGEST_RESULT - 100) } }))
  const [first] = [...journal.events('a')] as TaskResultEvent[]
  t.ok(first!.stdout!.length < LONGEST_TEXT + 100)
  t.match(first!.stdout, /characters left out/)
  t.same(
    journal.progress('a', '0', 'h1').results.map((r) => r.result !== undefined),
    [false, true],
  )
})

t.test('readable by its owner only, also when it was not', async (t) => {
  const folder = t.testdir({})
  const modes = () => {
    const home = join(folder, '.runbook')
    return [
      home,
      ...readdirSync(home)
        .filter((f) => f.startsWith('journal'))
        .map((f) => join(home, f)),
    ].map((path) => statSync(path).mode & 0o777)
  }
  {
    using journal = openJournal(folder)
    begin(journal, 'a')
    t.same(modes(), [0o700, 0o600, 0o600, 0o600])
  }
  t.equal(readFileSync(join(folder, '.runbook/.gitignore'), 'utf8'), '*\n')
  chmodSync(join(folder, '.runbook'), 0o755)
  chmodSync(join(folder, '.runbook/journal.db'), 0o644)
  using _ = openJournal(folder)
  t.same(modes().slice(0, 2), [0o700, 0o600])
})

t.test('what cannot be opened says what to do', async (t) => {
  const fails = (folder: string, message: RegExp): void => {
    const error = t.throws(() => openJournal(folder)) as unknown
    t.ok(error instanceof UserError, String(error))
    t.match((error as Error).message, message)
  }
  fails(
    t.testdir({ '.runbook': { 'journal.db': 'not a database, but long enough to be taken for one'.repeat(100) } }),
    /damaged.*\n.*mv .*journal\.db/,
  )
  fails(t.testdir({ '.runbook': 'a file' }), /something else stands in its place/)
  fails(t.testdir({ '.runbook': { 'journal.db': {} } }), /cannot be opened/)
  fails('/proc/1', /cannot be opened|cannot be written/)

  const newer = t.testdir({})
  openJournal(newer)[Symbol.dispose]()
  const db = new DatabaseSync(join(newer, '.runbook/journal.db'))
  db.exec('PRAGMA user_version = 99')
  db.close()
  fails(newer, /newer runbook \(schema 99/)
})

t.test('damage in the middle of the file', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, '.runbook/journal.db')
  {
    using journal = openJournal(folder)
    begin(journal, 'a')
    for (let n = 0; n < 3000; n++) journal.record(result({ taskId: `${n}`, msg: 'm'.repeat(200) }))
    journal.end('a', 0)
  }
  const bytes = readFileSync(path)
  bytes.fill(0xa5, 4096, bytes.length - 4096)
  writeFileSync(path, bytes)
  t.throws(() => {
    using journal = openJournal(folder)
    return [...journal.events('a')]
  }, /damaged/)
})

t.test('a run goes on when its events can no longer be written, and is told once', async (t) => {
  const folder = t.testdir({})
  const errors: unknown[] = []
  const journal = openJournal(folder, { onError: (e) => errors.push(e) })
  begin(journal, 'a')
  const db = new DatabaseSync(join(folder, '.runbook/journal.db'))
  db.exec('DROP TABLE results; DROP TABLE events')
  db.close()
  for (let n = 0; n < 2000; n++) journal.record(result({ taskId: `${n}` }))
  t.equal(errors.length, 1)
  journal[Symbol.dispose]()
})

t.test('schema steps are applied once, also from an older file', async (t) => {
  const db = new DatabaseSync(':memory:')
  migrate(db, 'x', ['CREATE TABLE a (x)'])
  migrate(db, 'x', ['CREATE TABLE a (x)', 'CREATE TABLE b (x); INSERT INTO b VALUES (1)'])
  migrate(db, 'x', ['CREATE TABLE a (x)', 'CREATE TABLE b (x); INSERT INTO b VALUES (1)'])
  t.same(db.prepare('SELECT count(*) AS n FROM b').get(), { n: 1 })
  t.throws(() => migrate(db, 'x', ['', '', 'CREATE TABLE c (x); nonsense']), /syntax error/)
  t.equal(db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 'c'").get()!.n, 0, 'all or nothing')
})

t.test('several processes write one journal', async (t) => {
  const folder = t.testdir({})
  const script = join(import.meta.dirname, 'burst.ts')
  const runs = ['a', 'b', 'c', 'd']
  const children = runs.map((id) => spawn(process.execPath, [script, folder, id], { stdio: 'inherit' }))
  t.same(await Promise.all(children.map(async (c) => (await once(c, 'close'))[0])), [0, 0, 0, 0])
  using journal = openJournal(folder)
  for (const id of runs) t.equal([...journal.events(id)].length, 2000, id)
})

t.test('30,000 results cost at most a second of CPU', async (t) => {
  const folder = t.testdir({})
  mkdirSync(folder, { recursive: true })
  using journal = openJournal(folder)
  begin(journal, 'a')
  const before = process.cpuUsage()
  for (let task = 0; task < 30; task++)
    for (let host = 0; host < 1000; host++)
      journal.record(
        result({
          host: `host-${host}`,
          taskId: `0.tasks.${task}`,
          result: { changed: false, rc: 0, stdout: 'v1.31.2' },
        }),
      )
  journal.end('a', 2)
  const { user, system } = process.cpuUsage(before)
  const ms = (user + system) / 1000
  t.comment(`${ms.toFixed(0)} ms CPU`)
  t.ok(ms < 1000, `${ms.toFixed(0)} ms`)
})
