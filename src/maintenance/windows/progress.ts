/** What a node's run has done to the node, by the events of its JSON output. */

/**
 * - `untouched`: nothing but cordon and drain, and what only looks or waits; nothing else is under way
 * - `unsure`: a command is under way, and whether it changes anything only its end tells
 * - `touched`: something else was changed, or is being changed: the way back is the way forward
 */
export type Touch = 'untouched' | 'unsure' | 'touched'

/** Modules that a node comes back from with `uncordon` alone. */
const HARMLESS = new Set([
  ...['cordon', 'drain', 'uncordon', 'node_preflight', 'node_status', 'preflight', 'doctor', 'k8s_info'],
  ...['debug', 'assert', 'fail', 'meta', 'set_fact', 'setup', 'facts', 'ping', 'stat', 'find', 'slurp', 'fetch'],
  ...['pause', 'wait_for', 'wait_for_connection', 'wait_for_node'],
])

/** What they do, nobody knows: they may well only look. */
const COMMANDS = new Set(['command', 'shell', 'script', 'raw', 'uri'])

/** Of `task_started` and `task_result` (docs/command-line.md). */
interface TaskEvent {
  readonly module: string
  readonly task_id: string
  readonly status: string
  readonly looks: boolean
}

export class Progress {
  #touched = false
  /** Tasks that are under way, and what each makes of the node meanwhile. */
  readonly #open = new Map<string, Touch>()

  take(event: Readonly<Record<string, unknown>>): void {
    const { module, task_id: id, status, looks } = event as unknown as TaskEvent
    if (event.type === 'task_started')
      this.#open.set(id, HARMLESS.has(module) || looks ? 'untouched' : COMMANDS.has(module) ? 'unsure' : 'touched')
    if (event.type !== 'task_result') return
    const wasLook = this.#open.get(id) === 'untouched'
    this.#open.delete(id)
    if (!HARMLESS.has(module) && !wasLook && status !== 'ok' && status !== 'skipped') this.#touched = true
  }

  get touch(): Touch {
    if (this.#touched) return 'touched'
    const open = [...this.#open.values()]
    return open.find((one) => one === 'touched') ?? open.find((one) => one === 'unsure') ?? 'untouched'
  }
}
