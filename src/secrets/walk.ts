/** Goes through the values and comments of a document in the order of SOPS, and puts others in their place. */
import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type Scalar as ScalarNode } from 'yaml'
import { UserError } from '../shared/errors.ts'
import type { Scalar, ScalarValue } from './scalar.ts'

export interface Visitor {
  /** Gives the value to put in its place; undefined makes it a comment. Null has no value, and is not visited. */
  value?(path: readonly string[], scalar: Scalar, node: ScalarNode): ScalarValue | undefined
  /** A line of a comment, without its "#". */
  comment(path: readonly string[], text: string): string
  /** The path of each map and list. */
  container?(path: readonly string[]): void
}

/** The top-level "sops" map is left out. Throws UserError for anchors, which SOPS does not keep. */
export function walk(document: Document, visitor: Visitor): void {
  comments(document as unknown as Node, [], visitor)
  if (document.contents) visit(document.contents, [], visitor)
}

/** Whether the node is a value; else it is an item that stands for a comment. */
function visit(node: Node, path: readonly string[], visitor: Visitor): boolean {
  if (isAlias(node) || (node as ScalarNode).anchor !== undefined)
    throw new UserError({
      message: `${path.join('.')} has an anchor or an alias, which encrypted files cannot keep`,
      hint: 'write the value out where it is used',
    })
  if (isScalar(node)) {
    const { value, source } = node as ScalarNode<ScalarValue | null>
    if (value === null || value === undefined || !visitor.value) return true
    const spelling = node.type === 'PLAIN' || node.type === undefined ? (source ?? String(value)) : `"${source}"`
    const put = visitor.value(path, { value, source: spelling }, node)
    if (put === undefined) return false
    if (put === value) return true
    node.value = put
    // How the other value was written says nothing about this one.
    for (const one of ['type', 'source', 'format'] as const) delete node[one]
    return true
  }
  visitor.container?.(path)
  if (isMap(node)) {
    comments(node, path, visitor)
    for (const { key, value } of node.items as Pair<ScalarNode, Node | null>[]) {
      const name = String(key.value)
      comments(key, path, visitor)
      if (path.length === 0 && name === 'sops') continue
      const inner = [...path, name]
      // What stands above the first key of a map belongs to that map, what stands beside a value to the map around.
      if (value && isScalar(value)) comments(value, path, visitor)
      if (value) visit(value, inner, visitor)
    }
  } else if (isSeq(node)) {
    comments(node, path, visitor)
    let above: string[] = []
    const kept: Node[] = []
    for (const item of node.items as Node[]) {
      if (isScalar(item)) comments(item, path, visitor)
      if (!visit(item, path, visitor)) {
        above.push(String((item as ScalarNode).value))
        continue
      }
      kept.push(item)
      if (above.length > 0) item.commentBefore = [...above, item.commentBefore].filter(Boolean).join('\n')
      above = []
    }
    if (above.length > 0) node.comment = [...above, node.comment].filter(Boolean).join('\n')
    node.items = kept
  }
  return true
}

function comments(node: Node, path: readonly string[], visitor: Visitor): void {
  for (const where of ['commentBefore', 'comment'] as const) {
    const text = node[where]
    if (text)
      node[where] = text
        .split('\n')
        .map((line) => visitor.comment(path, line))
        .join('\n')
  }
}
