/** Several processes open the same new database at the same moment: none is turned away, and each finds its tables. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { openDatabase } from '../../src/shared/database.ts'

const ROUNDS = 10
const PROCESSES = 4

t.test(`${PROCESSES} processes at ${ROUNDS} new files`, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-database-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const start = Date.now() + 1500
  const opener = [join(import.meta.dirname, 'database-opener.ts'), folder, String(start), String(ROUNDS)]
  await Promise.all(Array.from({ length: PROCESSES }, () => promisify(execFile)(process.execPath, opener)))
  for (let round = 0; round < ROUNDS; round++) {
    const db = openDatabase(folder, `file-${round}.db`, [''])
    t.same(db.prepare('SELECT count(*) AS n FROM t').get()?.n, PROCESSES)
    db.close()
    t.equal(statSync(join(folder, '.runbook', `file-${round}.db`)).mode & 0o777, 0o600)
  }
})

t.test('a file of a newer runbook is left alone', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-database-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  openDatabase(folder, 'a.db', ['CREATE TABLE t (n INTEGER)', 'CREATE TABLE u (n INTEGER)']).close()
  t.throws(() => openDatabase(folder, 'a.db', ['CREATE TABLE t (n INTEGER)']), {
    message: /a\.db was written by a newer runbook \(schema 2, this one knows 1\)/,
  })
  t.end()
})
