/** Writes a journal until it is killed, and says on stdout what it was told to be safe. Started by kill.test.ts. */
import { writeSync } from 'node:fs'
import { openJournal } from '../../src/journal/open.ts'
import { result } from './events.ts'

const [folder, id] = process.argv.slice(2) as [string, string]
const journal = openJournal(folder)
journal.begin({ id, command: ['apply'], playbookHash: 'h', startedAt: Date.now(), check: false, user: 'u' })
for (let n = 0; ; n++) {
  journal.record(result({ host: `h${n % 7}`, taskId: `${n}`, result: { n } }))
  if (n % 50 === 0) {
    journal.flush()
    writeSync(1, `flushed ${n}\n`)
  }
  if (n % 60 === 0) {
    journal.owe('site.yml/0', `h${n}`, 'restart', 'copy', id)
    writeSync(1, `owed ${n}\n`)
  }
  if (n % 70 === 0) {
    journal.intent(id, `h${n}`, 'power off', { n })
    writeSync(1, `intent ${n}\n`)
  }
  // The group timer and signals get their turn.
  if (n % 25 === 0) await new Promise((resolve) => setImmediate(resolve))
}
