/** Numbers for Prometheus. Names begin with runbook_schedule_; times are seconds since the epoch. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ScheduleEvent } from '../events.ts'
import type { State } from '../state.ts'
import type { View } from './view.ts'

export interface Metrics {
  text(): Promise<string>
  event(event: ScheduleEvent): void
  notified(channel: string, outcome: string): void
}

export function makeMetrics(view: () => View, state: State, idle: () => number): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, labelNames: string[], collect: (g: Gauge) => void): void => {
    new Gauge({
      name: `runbook_schedule_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        collect(this)
      },
    })
  }
  gauge('next_open_seconds', 'When a window opens next', ['window'], (g) => {
    for (const { window, next, pause } of view().windows) {
      const open = pause ? undefined : next.find(({ blackout }) => blackout === undefined)
      if (open) g.set({ window: window.name }, open.opens / 1000)
    }
  })
  gauge('open', 'Whether a window is open', ['window'], (g) => {
    const { windows, running } = view()
    for (const { window } of windows) g.set({ window: window.name }, running?.record.window === window.name ? 1 : 0)
  })
  gauge('paused', 'Whether a window is paused', ['window'], (g) => {
    for (const { window, pause } of view().windows) g.set({ window: window.name }, pause ? 1 : 0)
  })
  gauge('ends_seconds', 'When the window that is open ends', ['window'], (g) => {
    const { running } = view()
    if (running) g.set({ window: running.record.window }, running.record.ends / 1000)
  })
  gauge('nodes', 'Nodes of the window that is open, by their state', ['window', 'status'], (g) => {
    const { running } = view()
    for (const { status } of running?.nodes ?? []) g.inc({ window: running!.record.window, status })
  })
  gauge('left_out', 'Windows and channels of maintenance.yml that are wrong', [], (g) => g.set(view().bad.length))
  gauge('idle_seconds', 'Since the daemon last looked at the clock', [], (g) => g.set(idle() / 1000))

  const events = new Counter({
    name: 'runbook_schedule_events_total',
    help: 'What happened, by kind',
    labelNames: ['kind', 'window'],
    registers,
  })
  const closed = new Counter({
    name: 'runbook_schedule_closed_total',
    help: 'Openings that came to their end, by how',
    labelNames: ['window', 'status'],
    registers,
  })
  const cycles = new Histogram({
    name: 'runbook_schedule_node_seconds',
    help: 'How long a node took that was done',
    labelNames: ['window'],
    // From half a minute, in doublings, to half a day.
    buckets: [30, 60, 120, 300, 600, 1200, 2400, 4800, 9600, 19_200, 43_200],
    registers,
  })
  const notifications = new Counter({
    name: 'runbook_schedule_notifications_total',
    help: 'Notifications, by channel and outcome',
    labelNames: ['channel', 'outcome'],
    registers,
  })
  return {
    text: () => registry.metrics(),
    event({ kind, window = '', occurrence, host }) {
      events.inc({ kind, window })
      const record = occurrence === undefined ? undefined : state.occurrence(occurrence)
      if (kind === 'closed' || kind === 'missed' || kind === 'skipped')
        closed.inc({ window, status: record?.status ?? kind })
      const node = kind === 'node_done' && record ? state.nodes(record.id).find((one) => one.host === host) : undefined
      if (node?.started_at && node.ended_at) cycles.observe({ window }, (node.ended_at - node.started_at) / 1000)
    },
    notified: (channel, outcome) => notifications.inc({ channel, outcome }),
  }
}
