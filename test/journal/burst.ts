/** Writes 2,000 events as one of several processes. Started by journal.test.ts. */
import { openJournal } from '../../src/journal/open.ts'
import { result } from './events.ts'

const [folder, id] = process.argv.slice(2) as [string, string]
using journal = openJournal(folder)
journal.begin({ id, command: ['apply'], playbookHash: 'h', startedAt: Date.now(), check: false, user: 'u' })
for (let n = 0; n < 2000; n++) {
  journal.record(result({ taskId: `${n}`, result: { n } }))
  if (n % 100 === 0) journal.intent(id, 'h', `${id}`, { n })
}
journal.end(id, 0)
