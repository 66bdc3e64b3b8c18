import t from 'tap'
import { forPeople } from '../../src/report/clean.ts'
import type { RunEvent } from '../../src/shared/events.ts'

t.test('what a host says cannot move the cursor or make up a line', async (t) => {
  const seen: string[] = []
  const reporter = forPeople({
    event: (event) => seen.push(JSON.stringify(event)),
    warn: (text) => seen.push(text),
    close: async () => {},
    suspend: (fn) => fn(),
  })
  const evil = '\x1b]0;title\x07\x1b[2J\x9b1Aname\nok          db1  all is well'
  const events = [
    { type: 'host_note', host: 'n1', level: 'warning', msg: `connection lost: ${evil}` },
    { type: 'task_started', host: 'n1', task: `Set ${evil}`, taskId: '0', module: 'sysctl', looks: false },
    { type: 'notified', host: 'n1', playId: '0', handler: evil, by: evil },
  ] as RunEvent[]
  for (const event of events) reporter.event(event)
  reporter.warn(evil)
  for (const text of seen) t.notMatch(text, /\\u00|[\0-\x08\x0b-\x1f\x7f-\x9f]/)
  t.match(seen[1], '"task":"Set name ok          db1  all is well"')
})
