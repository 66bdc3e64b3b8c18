import { didYouMean, UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { PENDING, PendingError, type Scope } from './scope.ts'
import type { BlockNames } from './template-compiler.ts'
import type { Frame } from './template-frame.ts'
import { undefinedHint } from './undefined-hint.ts'

export type PathNode = hbs.AST.PathExpression

export function isPath(node: hbs.AST.Node): node is PathNode {
  return node.type === 'PathExpression'
}

export interface Path {
  /** Throws UserError when the path leads to nothing or to null; an optional one gives undefined then. */
  evaluate(frame: Frame): unknown
  /** The variable that it starts at, if it is one. */
  readonly root: string | undefined
}

const DATA = ['index', 'key', 'first', 'last'] as const

/** Throws UserError for an unknown `@name`. */
export function compilePath(
  node: PathNode,
  names: BlockNames | undefined,
  optional: boolean,
  place: () => Place,
): Path {
  const [first, ...rest] = node.parts as string[]
  const start = node.data ? compileData(node, place) : (blockParam(node, names) ?? context(node.depth))
  const atRoot = node.data && first === 'root'
  const steps = node.data || start.named ? (atRoot ? rest : node.parts.slice(1)) : (node.parts as string[])
  const evaluate = (frame: Frame): unknown => {
    let value = start.evaluate(frame)
    let isPresent = value !== undefined && value !== null
    for (let i = 0; i < steps.length && isPresent; i++) {
      const next = value === frame.scope ? frame.scope.get(steps[i]!) : property(value, steps[i]!)
      if (next === PENDING) throw new PendingError(steps.slice(0, i + 1).join('.'))
      if (next === undefined || next === null) {
        if (optional) return undefined
        throw missing(node, value, steps.slice(0, i + 1), next, frame.scope, place())
      }
      value = next
      isPresent = true
    }
    if (value === frame.scope) {
      throw new UserError({
        message: `"${node.original}" means all variables here`,
        place: place(),
        hint: 'name one of them',
      })
    }
    if (isPresent) return value
    if (optional) return undefined
    throw new UserError({
      message: `"${node.original}" is ${value === null ? 'null' : 'not defined'} here`,
      place: place(),
    })
  }
  return { evaluate, root: start.named || (node.data && !atRoot) ? undefined : steps[0] }
}

interface Start {
  evaluate(frame: Frame): unknown
  /** The first part of the path is used up. */
  readonly named?: boolean
}

function context(depth: number): Start {
  return {
    evaluate(frame) {
      let at: Frame['context'] | undefined = frame.context
      for (let i = 0; i < depth; i++) at = at?.outer
      return at?.value
    },
  }
}

function compileData(node: PathNode, place: () => Place): Start {
  const name = node.parts[0]!
  if (name === 'root') return { evaluate: (frame) => frame.scope }
  const known = DATA.find((one) => one === name)
  if (!known) {
    throw new UserError({
      message: `template: unknown name "@${name}"`,
      place: place(),
      hint: didYouMean(name, [...DATA, 'root'])?.replace('"', '"@') ?? 'known: @index, @key, @first, @last, @root',
    })
  }
  return {
    evaluate(frame) {
      let data = frame.data
      for (let i = 0; i < node.depth; i++) data = data?.outer
      return data?.[known]
    },
  }
}

/** `as |item|` names: how many blocks up and which of its names is known when compiling. */
function blockParam(node: PathNode, names: BlockNames | undefined): Start | undefined {
  // `this.x` and `./x` always mean the context, as in Handlebars.
  if (node.depth > 0 || /^\.|^this\b/.test(node.original)) return undefined
  let up = 0
  for (let at = names; at; at = at.outer, up++) {
    const index = at.names.indexOf(node.parts[0]!)
    if (index === -1) continue
    const levels = up
    return {
      named: true,
      evaluate(frame) {
        let named = frame.named
        for (let i = 0; i < levels; i++) named = named?.outer
        return named?.values[index]
      },
    }
  }
  return undefined
}

/** An own property, and the length of lists and strings; nothing inherited. */
export function property(value: unknown, key: string): unknown {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'object' || typeof value === 'string') {
    return Object.hasOwn(value as object, key) ? (value as Record<string, unknown>)[key] : undefined
  }
  return undefined
}

function missing(
  node: PathNode,
  owner: unknown,
  steps: string[],
  found: unknown,
  scope: Scope,
  place: Place,
): UserError {
  const name = steps.at(-1)!
  const path = steps.join('.')
  if (found === null) {
    return new UserError({
      message: `"${path}" is null`,
      place,
      hint: `write {{ default ${node.original} "…" }} if that can be`,
    })
  }
  if (owner === scope) {
    return new UserError({ message: `"${name}" is not defined`, place, hint: undefinedHint(name, scope.names()) })
  }
  const parent = steps.length > 1 ? `"${steps.slice(0, -1).join('.')}"` : 'the item of this block'
  const keys = typeof owner === 'object' && owner !== null && !Array.isArray(owner) ? Object.keys(owner) : []
  const inRoot = steps.length === 1 && !node.data && scope.has(name)
  return new UserError({
    message: Array.isArray(owner) ? `${parent} is a list and has no "${name}"` : `${parent} has no "${name}"`,
    place,
    hint: inRoot
      ? `write @root.${path} for the variable: inside a block a name means a part of its item`
      : didYouMean(name, keys),
  })
}
