/** CEL with our functions, and without its habit to swallow errors. */
import { Environment, EvaluationError } from '@marcbachmann/cel-js'
import { fromCel, toCel } from './cel-data.ts'
import { HelperError } from './helper-parts.ts'
import { helpers, runHelper } from './helpers.ts'
import type { ScopeOptions } from './scope.ts'

/** A node of the library's syntax tree, as far as we look into it. */
export interface Node {
  readonly op: string
  readonly args: unknown
  readonly start: number
  readonly end: number
  readonly left?: Node
  readonly right?: Node
  readonly meta: { alternate?: unknown; macro?: unknown }
  setMeta(key: string, value: unknown): Node
}

interface Evaluator {
  run(node: Node, context: unknown): unknown
}

interface Context {
  getValue(name: string): unknown
}

interface Macro {
  readonly args: readonly Node[]
}

/** Helpers that are operators or words of CEL's own, or macros below. */
export const NOT_FUNCTIONS = 'default defined eq ne lt le gt ge and or not lookup list string type'.split(' ')

export const environment = makeEnvironment()

/** The names that can be called, for "did you mean". */
export const functionNames: ReadonlySet<string> = new Set(
  environment.getDefinitions().functions.map(({ name }) => name),
)

let options: ScopeOptions = {}

/** Runs `fn`; functions that are called meanwhile see these options. */
export function withOptions<T>(given: ScopeOptions, fn: () => T): T {
  const outer = options
  options = given
  try {
    return fn()
  } finally {
    options = outer
  }
}

function makeEnvironment(): Environment {
  const made = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false })
  for (const [name, helper] of Object.entries(helpers)) {
    if (NOT_FUNCTIONS.includes(name)) continue
    const handler = (...args: unknown[]) => {
      try {
        return toCel(runHelper(helper, args.map(fromCel), options))
      } catch (error) {
        // The library's own error gets the place of the call.
        if (error instanceof HelperError) throw new EvaluationError(`${name}: ${error.message}`)
        throw error
      }
    }
    for (let n = helper.min; n <= helper.max; n++) {
      made.registerFunction(`${name}(${Array(n).fill('dyn').join(', ')}): dyn`, handler)
    }
  }
  made.registerFunction('defined(ast): bool', ({ args }: Macro) => ({
    args,
    typeCheck: checkArgs('bool'),
    evaluate: (ev: Evaluator, macro: Macro, context: Context) => optional(ev, macro.args[0]!, context) != null,
    async: false,
  }))
  made.registerFunction('default(ast, ast): dyn', ({ args }: Macro) => ({
    args,
    typeCheck: checkArgs('dyn'),
    evaluate: (ev: Evaluator, macro: Macro, context: Context) =>
      optional(ev, macro.args[0]!, context) ?? ev.run(macro.args[1]!, context),
    async: false,
  }))
  // A whole number in a variable is an integer, so a factor of 2.0 arrives as 2: both kinds must go together.
  for (const [left, right] of [
    ['int', 'double'],
    ['double', 'int'],
  ]) {
    made.registerOperator(`${left} + ${right}: double`, (a: number, b: number) => Number(a) + Number(b))
    made.registerOperator(`${left} - ${right}: double`, (a: number, b: number) => Number(a) - Number(b))
    made.registerOperator(`${left} * ${right}: double`, (a: number, b: number) => Number(a) * Number(b))
    made.registerOperator(`${left} / ${right}: double`, (a: number, b: number) => Number(a) / Number(b))
  }
  return made
}

function checkArgs(type: string) {
  return (
    checker: { check(node: Node, context: unknown): unknown; getType(name: string): unknown },
    macro: Macro,
    context: unknown,
  ) => {
    for (const arg of macro.args) checker.check(arg, context)
    return checker.getType(type)
  }
}

/** A path that may lead to nothing; what stands in its way is not swallowed (a template in a variable that fails). */
function optional(ev: Evaluator, node: Node, context: Context): unknown {
  if (node.op === 'id') return context.getValue(node.args as string)
  if (node.op !== '.' && node.op !== '[]') return ev.run(node, context)
  const [ownerNode, keyNode] = node.args as [Node, Node | string]
  const owner = optional(ev, ownerNode, context)
  const key = typeof keyNode === 'string' ? keyNode : ev.run(keyNode, context)
  if (owner instanceof Map) return owner.get(key)
  if (Array.isArray(owner)) return typeof key === 'bigint' ? owner[Number(key)] : undefined
  if (typeof owner === 'object' && owner !== null && Object.hasOwn(owner, String(key)))
    return owner[String(key) as keyof typeof owner]
  return undefined
}

/** Every node of a tree, what macros expand to included. */
export function* nodes(value: unknown, seen = new Set<unknown>()): Iterable<Node> {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (isNode(value)) {
    yield value
    yield* nodes(value.args, seen)
    yield* nodes(value.meta.alternate, seen)
    yield* nodes(value.meta.macro, seen)
  } else {
    for (const part of Object.values(value)) yield* nodes(part, seen)
  }
}

function isNode(value: object): value is Node {
  return 'op' in value && 'setMeta' in value
}

/** `list`, `type`, `map` … are types in CEL and common names of variables: a variable that exists wins. */
export function preferVariable(node: Node): void {
  if (node.op !== 'id' || node.args === 'cel' || !environment.hasVariable(node.args as string)) return
  const type = environment.evaluate(node.args as string)
  node.setMeta('check', (checker: { dynType: unknown }) => checker.dynType)
  node.setMeta('evaluate', (_: Evaluator, id: Node, context: Context) => context.getValue(id.args as string) ?? type)
}

/**
 * CEL's `a || b` is true when b is, even if a fails: a misspelt name would go unseen until the day it matters. Here
 * operands are evaluated from the left, and an error is an error; the same for `all` and `exists`.
 */
export function makeStrict(node: Node): void {
  if (node.op === '||') node.setMeta('evaluate', strictLogic(true))
  if (node.op === '&&') node.setMeta('evaluate', strictLogic(false))
  if (node.op === 'comprehension') (node.args as { errorsAreFatal: boolean }).errorsAreFatal = true
}

function strictLogic(decisive: boolean) {
  return (ev: Evaluator, node: Node, context: unknown): boolean => {
    const left = operand(ev, node.left!, context)
    return left === decisive ? decisive : operand(ev, node.right!, context)
  }
}

function operand(ev: Evaluator, node: Node, context: unknown): boolean {
  const value = ev.run(node, context)
  if (typeof value === 'boolean') return value
  throw new EvaluationError('this side of a logical operator is neither true nor false', node as never)
}
