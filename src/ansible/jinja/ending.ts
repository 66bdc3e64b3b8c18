/**
 * Ansible gives a result as many newlines at its end as the template has (`preserve_trailing_newlines` in its templating
 * engine), though Jinja drops the one behind a last block. Here those newlines are written where they are missing.
 */
import { Refused } from '../refused.ts'
import type { Node } from './ast.ts'

/** Nothing was printed at all: that stays empty. */
const NOTHING = -1

/** Throws Refused when it depends on a loop how many are missing. */
export function withEnding(nodes: readonly Node[], source: string): Node[] {
  const wanted = newlines(source)
  return wanted === 0 ? [...nodes] : padded(nodes, new Set([NOTHING]), wanted)
}

function newlines(text: string): number {
  return /\n*$/.exec(text)![0].length
}

function padded(nodes: readonly Node[], before: ReadonlySet<number>, wanted: number): Node[] {
  const last = nodes.at(-1)
  if (last?.op === 'branch') {
    const at = endings(nodes.slice(0, -1), before)
    const cases = last.cases.map(({ test, body }) => ({ test, body: padded(body, at, wanted) }))
    return [...nodes.slice(0, -1), { ...last, cases, otherwise: padded(last.otherwise, at, wanted) }]
  }
  const all = endings(nodes, before)
  const [fewest, ...others] = [...all].filter((n) => n !== NOTHING).sort((a, b) => a - b)
  if (fewest === undefined || fewest >= wanted) return [...nodes]
  if (others.length > 0 || all.has(NOTHING))
    throw new Refused('a loop at the end of a template', 'write a line behind it')
  return [...nodes, { op: 'text', text: '\n'.repeat(wanted - fewest) }]
}

/** With how many newlines a result can end; a value that is printed is taken to end with none. */
function endings(nodes: readonly Node[], before: ReadonlySet<number>): ReadonlySet<number> {
  let now = before
  for (const node of nodes) {
    if (node.op === 'text') {
      const count = newlines(node.text)
      now =
        count === node.text.length
          ? new Set([...now].map((n) => (count === 0 ? n : Math.max(n, 0) + count)))
          : new Set([count])
    } else if (node.op === 'output') now = new Set([0])
    else if (node.op === 'branch') {
      const at = now
      now = new Set([...node.cases.map(({ body }) => body), node.otherwise].flatMap((body) => [...endings(body, at)]))
    } else if (node.op === 'for') {
      const none = node.otherwise.length > 0 ? endings(node.otherwise, now) : now
      now = new Set([...none, ...endings(node.body, now)])
    }
  }
  return now
}
