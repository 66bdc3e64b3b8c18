import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openJournal } from '../../src/journal/open.ts'

t.setTimeout(120_000)

t.test('a writer that is killed twenty times loses nothing that it was told to be safe', async (t) => {
  const folder = t.testdir({})
  let written = 0
  for (let round = 0; round < 20; round++) {
    const id = `run-${round}`
    const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), folder, id], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
    })
    await once(child.stdout, 'data')
    await sleep(Math.random() * 40)
    child.kill('SIGKILL')
    await once(child, 'close')

    const last = (what: string): number[] =>
      [...said.matchAll(new RegExp(`^${what} (\\d+)\n`, 'gm'))].map((m) => Number(m[1]))
    using journal = openJournal(folder)
    const found = [...journal.events(id)].length
    const flushed = last('flushed').at(-1) ?? -1
    if (found < flushed + 1) t.fail(`round ${round}: ${found} events of ${flushed + 1}`)
    written += found
    for (const n of last('owed'))
      if (journal.owed('site.yml/0', `h${n}`).length !== 1) t.fail(`round ${round}: handler of h${n} lost`)
    const lastIntent = last('intent').at(-1)
    if (lastIntent !== undefined) t.same(journal.intent('later', `h${lastIntent}`, 'power off', {}), { n: lastIntent })
    const progress = journal.progress(id, '0', 'h0').results
    t.same(progress.at(-1)?.result, { n: (progress.length - 1) * 7 }, 'results end where the events end')
    t.equal(journal.unfinished('h')?.id, id)
  }
  t.ok(written > 1000, `killed while writing: ${written} events`)
  const db = new DatabaseSync(join(folder, '.runbook/journal.db'))
  t.same(db.prepare('PRAGMA integrity_check').get(), { integrity_check: 'ok' })
  db.close()
})
