/**
 * Turns Handlebars' syntax tree into closures. Handlebars' own runtime cannot be made strict: `{{#if missing}}`,
 * `{{#each missing}}`, helper arguments and null pass silently there. Here a path that leads to nothing is an error
 * wherever it stands, except as the first argument of a helper that says so (`default`, `defined`).
 *
 * What differs from Handlebars on purpose: a name without arguments is always a variable, never a helper;
 * `{{ "text" }}` prints the text; maps and lists cannot be printed; every `each` and `with` is one step of `../`;
 * partials, decorators, `{{#name}}` sections and inherited properties do not exist.
 */
import { didYouMean, Problems, UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { callHelper, type Helper, helpers } from './helpers.ts'
import type { Locate } from './locate.ts'
import type { Scope } from './scope.ts'
import { type Data, type Frame, rootFrame, spend } from './template-frame.ts'
import { compilePath, isPath, type PathNode } from './template-path.ts'

export interface Template {
  render(scope: Scope): string
  /** The value when the text is exactly one mustache. */
  readonly single: ((scope: Scope) => unknown) | undefined
  /** The root names that it reads. */
  readonly references: ReadonlySet<string>
}

type Eval<T = unknown> = (frame: Frame) => T

/** Names that blocks around a node declare with `as |item index|`, innermost first. */
export interface BlockNames {
  readonly names: readonly string[]
  readonly outer: BlockNames | undefined
}

/** Throws UserError with every unknown helper, wrong argument count and unsupported construct. */
export function compileProgram(program: hbs.AST.Program, source: string, locate: Locate): Template {
  const compiler = new Compiler(source, locate)
  const [only] = program.body
  const isSingle = program.body.length === 1 && only!.type === 'MustacheStatement'
  const single = isSingle ? compiler.mustache(only as hbs.AST.MustacheStatement, undefined) : undefined
  const render = single ? (frame: Frame) => compiler.print(single(frame), only!) : compiler.program(program, undefined)
  compiler.problems.throwIfAny()
  return {
    render: (scope) => render(rootFrame(scope)),
    single: single && ((scope) => single(rootFrame(scope))),
    references: compiler.references,
  }
}

const BLOCKS = ['if', 'unless', 'each', 'with']

class Compiler {
  readonly problems = new Problems()
  readonly references = new Set<string>()
  readonly #locate: Locate
  readonly #lineStarts: number[] = [0]

  constructor(source: string, locate: Locate) {
    this.#locate = locate
    for (let i = source.indexOf('\n'); i !== -1; i = source.indexOf('\n', i + 1)) this.#lineStarts.push(i + 1)
  }

  program(program: hbs.AST.Program | undefined, names: BlockNames | undefined): Eval<string> {
    const parts = (program?.body ?? []).map((node) => this.statement(node, names)).filter((part) => part !== '')
    if (parts.length === 0) return () => ''
    return (frame) => {
      let text = ''
      for (const part of parts) text = joined(text, typeof part === 'string' ? part : part(frame))
      return text
    }
  }

  statement(node: hbs.AST.Statement, names: BlockNames | undefined): string | Eval<string> {
    switch (node.type) {
      case 'ContentStatement':
        return (node as hbs.AST.ContentStatement).value
      case 'CommentStatement':
        return ''
      case 'MustacheStatement': {
        const run = this.mustache(node as hbs.AST.MustacheStatement, names)
        return (frame) => this.print(run(frame), node)
      }
      case 'BlockStatement':
        return this.block(node as hbs.AST.BlockStatement, names)
      case 'PartialStatement':
      case 'PartialBlockStatement':
        return this.refuse(
          'partials ({{> name}}) are not supported',
          node,
          'include the text, or render a second template',
        )
      default:
        return this.refuse('decorators ({{* name}}) are not supported', node)
    }
  }

  /** `{{ path }}`, `{{ helper a b }}` or `{{ literal }}`. */
  mustache(node: hbs.AST.MustacheStatement, names: BlockNames | undefined): Eval {
    if (!isPath(node.path)) return this.expression(node.path, names)
    return node.params.length === 0 && !node.hash ? this.path(node.path, names) : this.call(node as Call, names)
  }

  expression(node: hbs.AST.Expression, names: BlockNames | undefined): Eval {
    if (isPath(node)) return this.path(node, names)
    if (node.type === 'SubExpression') return this.call(node as unknown as Call, names)
    if (node.type === 'UndefinedLiteral') return this.refuse('"undefined" cannot be used', node)
    const { value = null } = node as hbs.AST.StringLiteral | hbs.AST.NullLiteral as { value?: unknown }
    return () => value
  }

  path(node: PathNode, names: BlockNames | undefined, optional = false): Eval {
    try {
      const path = compilePath(node, names, optional, () => this.place(node))
      if (path.root !== undefined) this.references.add(path.root)
      return path.evaluate
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      this.problems.list.push(...error.problems)
      return () => ''
    }
  }

  call(node: Call, names: BlockNames | undefined): Eval {
    const name = node.path.original
    const helper = Object.hasOwn(helpers, name) ? helpers[name] : undefined
    if (!helper) {
      const hint = BLOCKS.includes(name)
        ? `write {{#${name} …}} … {{/${name}}}`
        : didYouMean(name, Object.keys(helpers))
      return this.refuse(`unknown helper "${name}"`, node.path, hint)
    }
    const { params } = node
    if (node.hash)
      return this.refuse(`the helper "${name}" takes no named arguments`, node.hash, `write ${helper.signature}`)
    if (params.length < helper.min || params.length > helper.max) {
      return this.refuse(`wrong number of arguments for the helper "${name}"`, node, `write ${helper.signature}`)
    }
    const args = params.map((param, i) =>
      i === 0 && helper.optional && isPath(param) ? this.path(param, names, true) : this.expression(param, names),
    )
    return this.caller(helper, args, node)
  }

  caller(helper: Helper, args: Eval[], node: hbs.AST.Node): Eval {
    return (frame) =>
      callHelper(
        helper,
        args.map((arg) => arg(frame)),
        frame.scope.options,
        () => this.place(node),
      )
  }

  block(node: hbs.AST.BlockStatement, names: BlockNames | undefined): string | Eval<string> {
    const name = node.path.original
    const [param] = node.params
    if (name === 'raw' && !param) return this.program(node.program, names)
    if (!BLOCKS.includes(name)) {
      const hint = didYouMean(name, BLOCKS) ?? `write {{#each ${name}}}, {{#if ${name}}} or {{#with ${name}}}`
      return this.refuse(`unknown block "${name}"`, node.path, hint)
    }
    if (!param || node.params.length > 1) return this.refuse(`{{#${name}}} takes one argument`, node)
    const declared = node.program?.blockParams
    const main = this.program(node.program, declared ? { names: declared, outer: names } : names)
    const other = this.program(node.inverse, names)
    const value = this.expression(param, names)
    const isLogic = name === 'if' || name === 'unless'
    const includeZero = this.hash(node, isLogic ? 'includeZero' : undefined, names)
    if (name === 'each') return this.each(node, value, main, other, declared !== undefined)
    if (name === 'with') return withBlock(value, main, other, declared !== undefined)
    const [yes, no] = name === 'if' ? [main, other] : [other, main]
    return (frame) => (isTruthy(value(frame), Boolean(includeZero(frame))) ? yes(frame) : no(frame))
  }

  /** The one named argument that a block may have. */
  hash(node: hbs.AST.BlockStatement, known: string | undefined, names: BlockNames | undefined): Eval {
    let given: Eval = () => undefined
    for (const pair of node.hash?.pairs ?? []) {
      if (pair.key === known) given = this.expression(pair.value, names)
      else this.refuse(`{{#${node.path.original}}} does not know "${pair.key}"`, pair)
    }
    return given
  }

  each(
    node: hbs.AST.BlockStatement,
    list: Eval,
    main: Eval<string>,
    other: Eval<string>,
    named: boolean,
  ): Eval<string> {
    return (frame) => {
      const items = list(frame)
      if (typeof items !== 'object' || items === null) {
        throw new UserError({
          message: `{{#each}} needs a list or a map, not ${describe(items)}`,
          place: this.place(node.params[0]!),
        })
      }
      const isList = Array.isArray(items)
      const keys = isList ? undefined : Object.keys(items)
      const count = keys ? keys.length : (items as unknown[]).length
      let text = ''
      for (let index = 0; index < count; index++) {
        spend(frame, () => this.place(node))
        const key = keys ? keys[index]! : index
        const item = (items as Record<string | number, unknown>)[key]
        const data: Data = { index, key, first: index === 0, last: index === count - 1, outer: frame.data }
        const inner = named ? { values: [item, key], outer: frame.named } : frame.named
        text = joined(text, main({ ...frame, context: { value: item, outer: frame.context }, data, named: inner }))
      }
      return count === 0 ? other(frame) : text
    }
  }

  print(value: unknown, node: hbs.AST.Node): string {
    if (typeof value === 'string') return value
    if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
    throw new UserError({
      message: `${describe(value)} cannot be printed into text`,
      place: this.place(node),
      hint: value === null || value === undefined ? undefined : 'write {{ json x }}, {{ yaml x }} or {{ join x "," }}',
    })
  }

  refuse(message: string, node: hbs.AST.Node, hint?: string): () => string {
    this.problems.add(`template: ${message}`, this.place(node), hint)
    return () => ''
  }

  place(node: hbs.AST.Node): Place {
    const { start, end } = node.loc
    const offset = this.#lineStarts[start.line - 1]! + start.column
    return this.#locate(offset, Math.max(offset + 1, this.#lineStarts[end.line - 1]! + end.column))
  }
}

/** A helper's call; a statement or a sub-expression. */
interface Call extends hbs.AST.Node {
  path: hbs.AST.PathExpression
  params: hbs.AST.Expression[]
  hash?: hbs.AST.Hash
}

function withBlock(value: Eval, main: Eval<string>, other: Eval<string>, named: boolean): Eval<string> {
  return (frame) => {
    const context = value(frame)
    if (!isTruthy(context, true)) return other(frame)
    const inner = named ? { values: [context], outer: frame.named } : frame.named
    return main({ ...frame, context: { value: context, outer: frame.context }, named: inner })
  }
}

/** Handlebars' truth: an empty list is false, and so is 0 unless `includeZero`; an empty map is true. */
export function isTruthy(value: unknown, includeZero = false): boolean {
  if (Array.isArray(value)) return value.length > 0
  return Boolean(value) || (includeZero && value === 0)
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a map' : `a ${typeof value}`
}

/** Characters that a template may give. Variables that hold each other several times grow beyond any memory otherwise. */
const LONGEST = 16 * 1024 * 1024

function joined(text: string, more: string): string {
  if (text.length + more.length <= LONGEST) return text + more
  throw new UserError(`this template gives more than ${LONGEST / 1024 / 1024} Mi characters`)
}
