/** The status page stays a page, however many nodes there are; a failed node comes with the command that goes on. */
import t from 'tap'
import { openScheduleDatabase } from '../../../src/maintenance/windows/database.ts'
import { readSchedule } from '../../../src/maintenance/windows/schema.ts'
import { type OccurrenceStatus, occurrenceId, State } from '../../../src/maintenance/windows/state.ts'
import { nodesPage, page } from '../../../src/maintenance/windows/status/page.ts'
import { viewOf } from '../../../src/maintenance/windows/status/view.ts'
import { parseYaml } from '../../../src/shared/yaml.ts'

const NOW = Date.parse('2026-11-24T03:00:00Z')
const DAY = 24 * 60 * 60_000
const TEXT = `windows:
  - { name: workers, start: "Tue *-*-* 03:00", timezone: Europe/Berlin, duration: 3h, hosts: all }
`

/** `weeks` openings of so many nodes, of which the third failed; the newest is open, with two under way. */
function stateOf(count: number, weeks: number): State {
  const state = new State(openScheduleDatabase(undefined))
  const hosts = Array.from({ length: count }, (_, i) => `worker-${i}`)
  for (let week = weeks - 1; week >= 0; week--) {
    const opens = NOW - 60 * 60_000 - week * 7 * DAY
    const status: OccurrenceStatus = 'running'
    const times = { opens, starts: opens, ends: opens + 3 * 60 * 60_000, opened_at: opens }
    const id = occurrenceId({ window: 'workers', opens })
    state.open({ id, window: 'workers', ...times, status, reason: '', actor: 'schedule', plan: '' }, hosts, 'x.yml')
    const isOpen = week === 0
    for (const [i, host] of hosts.slice(0, isOpen ? 5 : count).entries()) {
      const change =
        i === 2
          ? {
              status: 'failed' as const,
              phase: 'Power on …',
              detail: 'no <answer>',
              next: `runbook node maintain ${host}`,
            }
          : isOpen && i > 2
            ? { status: 'running' as const, phase: i === 3 ? 'Drain …' : 'Drain', started_at: NOW }
            : { status: 'done' as const, detail: 'done' }
      state.node(id, host, change)
    }
    if (!isOpen) state.close(id, 'failed', `${count - 1} of ${count} nodes done, 1 failed`, opens + DAY / 12)
  }
  return state
}

for (const [count, weeks] of [
  [6, 2],
  [400, 16],
] as const)
  t.test(`${count} nodes`, async (t) => {
    using state = stateOf(count, weeks)
    const schedule = readSchedule(parseYaml({ path: 'maintenance.yml', text: TEXT }), NOW)
    const view = viewOf(schedule, undefined, state, NOW)
    const main = page(view)
    t.match(
      main,
      /<b>worker-2<\/b> failed .*at <i>Power on<\/i>[\s\S]*no &lt;answer&gt;[\s\S]*<code>runbook node maintain worker-2<\/code>/,
    )
    t.match(main, /<b>worker-3<\/b>.*now: Drain</)
    t.match(main, /<b>worker-4<\/b>.*last step: Drain</)
    t.ok(main.length < 30_000, `${main.length} characters, sent anew every few seconds`)
    if (count > 12) {
      t.match(main, `<b>${count - 5} nodes</b>`)
      t.match(main, 'next: worker-5, worker-6, worker-7')
      t.match(main, `${count} nodes: ${count - 5} waits, 2 under way, 2 done, 1 failed. <a href="nodes">`)
    } else t.match(main, /worker-5<\/b>.*waits/)
    const all = nodesPage(view)
    for (let i = 0; i < count; i++) if (!all.includes(`<b>worker-${i}</b>`)) t.fail(`worker-${i} is not on /nodes`)
  })
