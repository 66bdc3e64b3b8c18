/** How a node's run ended, by the last words of what it wrote. */

export type NodeEnd =
  | { readonly status: 'done'; readonly detail: string }
  /** `gone`: the process ended without a word; nobody knows how far it came. */
  | { readonly status: 'failed' | 'unreachable' | 'interrupted' | 'refused' | 'gone'; readonly detail: string }

/** What its last words say; else its last line of trouble. */
export function endOf(host: string, out: string, err: string): NodeEnd {
  const last = lastWord(out)
  const words = err.trim().split('\n').slice(-1)[0]?.slice(0, 300) ?? ''
  if (last === undefined) {
    // Exit code 3 leaves no recap: the input is wrong. The first line says what.
    const first = err.trim().split('\n')[0]?.slice(0, 300)
    if (out.trim() === '' && first) return { status: 'refused', detail: first }
    return { status: 'gone', detail: words || 'its process ended without a word' }
  }
  if (last.type === 'cycle_ended') return cycleEnd(host, last)
  const recap = last
  const counts = recap.hosts[host] ?? {}
  const failed = out
    .split('\n')
    .map(parseLine)
    .filter((event) => event?.type === 'task_result' && (event.status === 'failed' || event.status === 'unreachable'))
    .at(-1)
  const detail = failed ? `${failed.task}: ${failed.msg}`.split('\n')[0]!.slice(0, 300) : words
  if ((counts.failed ?? 0) > 0) return { status: 'failed', detail }
  if ((counts.unreachable ?? 0) > 0) return { status: 'unreachable', detail: detail || 'it could not be reached' }
  if (recap.interrupted) return { status: 'interrupted', detail: 'it was stopped' }
  if (recap.hosts[host] === undefined) return { status: 'refused', detail: `the playbook has no play for ${host}` }
  return { status: 'done', detail: `${counts.changed ?? 0} changed` }
}

interface Recap {
  readonly type: 'recap'
  readonly hosts: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly interrupted?: boolean
}

/** See CycleEvent of the node cycle. */
interface CycleEnded {
  readonly type: 'cycle_ended'
  readonly nodes: readonly {
    readonly node: string
    readonly outcome: string
    readonly message: string
  }[]
}

/** What `apply` and `node maintain` say last, always. */
export function lastWord(out: string): Recap | CycleEnded | undefined {
  const event = parseLine(out.trimEnd().split('\n').at(-1) ?? '') as unknown as Recap | CycleEnded | undefined
  // The recap of a cycle's run is not its end: guards are given back after it.
  if (event?.type === 'cycle_ended') return event
  return event?.type === 'recap' && !out.startsWith('{"type":"cycle_started"') ? event : undefined
}

function cycleEnd(host: string, { nodes }: CycleEnded): NodeEnd {
  const end = nodes.find(({ node }) => node === host)
  if (end === undefined) return { status: 'refused', detail: `nothing was said of ${host}` }
  if (end.outcome === 'done') return { status: 'done', detail: 'done' }
  const detail = end.message.replaceAll('\n', '; ')
  const known = { failed: 'failed', unreachable: 'unreachable', stopped: 'interrupted', refused: 'refused' } as const
  return { status: known[end.outcome as keyof typeof known] ?? 'refused', detail: detail.slice(0, 500) }
}

/** An event of a line; undefined for what is none. */
export function parseLine(line: string): Record<string, string> | undefined {
  try {
    return JSON.parse(line) as Record<string, string>
  } catch {
    return undefined
  }
}
