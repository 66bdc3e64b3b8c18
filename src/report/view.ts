import type { RunEvent, TaskResultEvent } from '../shared/events.ts'
import { printable } from './text.ts'

/** What the live part shows of a host. */
export interface HostView {
  readonly name: string
  state: 'waiting' | 'running' | 'done' | 'failed' | 'unreachable'
  /** Tasks that came to an end, handlers left out. */
  done: number
  changed: number
  /** What is going on: a task that changes something or an action; undefined while state is being read. */
  task: string | undefined
  /** When that began; epoch milliseconds. */
  since: number
  /** The last line that the running task printed. */
  output: string
}

export interface PlayView {
  readonly name: string
  readonly tasks: number
  readonly startedAt: number
  readonly hosts: ReadonlyMap<string, HostView>
}

/** The run as it stands, from its events. */
export class RunView {
  play: PlayView | undefined

  apply(event: RunEvent, now: number): void {
    if (event.type === 'play_started') {
      const hosts = event.hosts.map((name): [string, HostView] => [
        name,
        { name, state: 'waiting', done: 0, changed: 0, task: undefined, since: now, output: '' },
      ])
      this.play = { name: event.play, tasks: event.tasks, startedAt: now, hosts: new Map(hosts) }
    } else if (event.type === 'play_ended') this.play = undefined
    else if ('host' in event) {
      const host = this.play?.hosts.get(event.host)
      if (host) this.#host(host, event, now)
    }
  }

  #host(host: HostView, event: Extract<RunEvent, { host: string }>, now: number): void {
    switch (event.type) {
      case 'host_started':
        host.state = 'running'
        host.since = now
        break
      case 'task_started':
        Object.assign(host, { state: 'running', task: event.task, since: now, output: '' })
        break
      case 'task_retry':
        host.output = `try ${event.attempt} of ${event.attempts}: ${lastLine(event.msg)}`
        break
      case 'host_note':
        host.output = lastLine(event.msg)
        break
      case 'task_output':
        host.output = lastLine(event.text) || host.output
        break
      case 'task_result':
        this.#result(host, event, now)
    }
  }

  #result(host: HostView, event: TaskResultEvent, now: number): void {
    if (!event.handler) host.done++
    if (event.status === 'changed') host.changed++
    Object.assign(host, { task: undefined, since: now, output: '' })
    if (event.status === 'failed' || event.status === 'unreachable') host.state = event.status
    else host.state = host.done >= this.play!.tasks ? 'done' : 'running'
  }
}

function lastLine(text: string): string {
  return printable(text.slice(-2000)).trimEnd().split('\n').at(-1)?.replaceAll('\t', ' ') ?? ''
}
