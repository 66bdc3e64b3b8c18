/** A Jinja template as Handlebars that prints the same to the last blank, or a refusal. */
import type { Part } from './assemble.ts'
import { call, type Ir, isPath, isSized } from './ir.ts'
import { noHandlebars, printHandlebars } from './ir-handlebars.ts'
import type { Expr, Node } from './jinja/ast.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { ANY, INT, itemOf, join, STRING, STRINGS, type Type } from './types.ts'

export interface Trouble {
  readonly offset: number
  readonly source: string
  readonly why: Refused
}

/** Values that a template cannot compute are given to it as variables. */
export type Computed = (ir: Ir, source: string) => string | undefined

interface Place {
  readonly t: Translator
  readonly insideEach: boolean
}

export class HandlebarsWriter {
  readonly parts: Part[] = []
  readonly #trouble: (trouble: Trouble) => void
  readonly #computed: Computed
  #root: Place | undefined

  constructor(trouble: (trouble: Trouble) => void, computed: Computed = () => undefined) {
    this.#trouble = trouble
    this.#computed = computed
  }

  nodes(nodes: readonly Node[], t: Translator): void {
    this.#root = { t, insideEach: false }
    this.#nodes(nodes, this.#root, new Map())
  }

  /** `sets` are the names that count to the end of these nodes: those of a loop's body are new in each round. */
  #nodes(nodes: readonly Node[], outer: Place, sets?: Map<string, Ir>): void {
    let place = outer
    for (const node of nodes) {
      switch (node.op) {
        case 'text':
          this.parts.push({ op: 'text', text: node.text })
          break
        case 'comment':
          this.#push(
            'tag',
            node.text.includes('--') ? `{{!-- ${node.text.replaceAll('--', '- -')} --}}` : `{{!-- ${node.text} --}}`,
          )
          break
        case 'output':
          this.#guard(node, () => this.#output(node.expr, node.source, place))
          break
        case 'branch':
          this.#guard(node, () => this.#branch(node, place))
          break
        case 'for':
          this.#guard(node, () => this.#for(node, place))
          break
        case 'set':
          this.#guard(node, () => {
            if (!sets || sets.has(node.name) || (outer !== this.#root && usesLoop(node.value)))
              throw new Refused('a variable that is set more than once or in a block', 'compute it in vars: with !cel')
            sets.set(node.name, place.t.value(node.value))
          })
          if (sets) place = { ...place, t: place.t.with(sets) }
          break
      }
    }
  }

  /** A part that is refused stays as Jinja, marked so that nothing runs before it is mended. */
  #guard(node: Node & { offset: number; source: string }, write: () => void): void {
    const before = this.parts.length
    try {
      write()
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.parts.splice(before)
      this.#trouble({ offset: node.offset, source: node.source, why: error })
      const source = node.source.replace(/\s+/g, ' ').replaceAll('"', "'").replaceAll('}}', '} }')
      this.#push('mustache', `{{ unfinished "${source.replaceAll('\\', '/')}" }}`)
    }
  }

  #push(op: 'mustache' | 'tag', code: string): void {
    this.parts.push({ op, code })
  }

  #output(expr: Expr, source: string, place: Place): void {
    const bare = expr.op === 'filter' && expr.name === 'string' ? expr.of : expr
    if (bare.op === 'if') {
      // Without "else" Jinja prints nothing.
      const { no } = bare
      this.#if(
        place.t.condition(bare.test),
        source,
        place,
        () => this.#output(bare.yes, source, place),
        no && (() => this.#output(no, source, place)),
      )
      return
    }
    this.#print(place.t.value(bare), source, place)
  }

  #print(ir: Ir, source: string, place: Place): void {
    if (ir.op === 'mapped' && place.t.env.isMessage) this.#print(ir.of, source, place)
    else if (ir.op === 'cond') {
      this.#if(
        ir.test,
        source,
        place,
        () => this.#print(ir.yes, source, place),
        () => this.#print(ir.no, source, place),
      )
    } else if (
      ir.op === 'bin' &&
      ir.sign === '+' &&
      ir.type.kind === 'string' &&
      ir.left.type.kind === 'string' &&
      ir.right.type.kind === 'string'
    ) {
      this.#print(ir.left, source, place)
      this.#print(ir.right, source, place)
    } else if (ir.type.kind === 'bool' && ir.op !== 'lit') {
      this.#if(
        ir,
        source,
        place,
        () => this.#text('True'),
        () => this.#text('False'),
      )
    } else if (ir.type.kind === 'any' || ir.type.kind === 'string' || ir.type.kind === 'int' || ir.op === 'lit') {
      if (ir.op === 'lit') place.t.text(ir)
      if (ir.op === 'lit' && (ir.value === '\n' || !/^\s|\\$|\{\{/.test(String(ir.value))))
        this.#text(String((place.t.text(ir) as { value: unknown }).value))
      else this.#push('mustache', `{{ ${this.#code(ir, source, place, true)} }}`)
    } else this.#push('mustache', `{{ ${this.#code(place.t.text(ir), source, place, true)} }}`)
  }

  #text(text: string): void {
    this.parts.push({ op: 'text', text })
  }

  /** As Handlebars, or by the name of a variable that has the value. */
  #code(ir: Ir, source: string, place: Place, outer: boolean): string {
    try {
      return printHandlebars(ir, place, outer)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      if (hasLocal(ir)) return printHandlebars(ir, { ...place, arithmetic: true }, outer)
      const name = this.#computed(ir, source)
      if (name === undefined) throw error
      return place.insideEach ? `@root.${name}` : name
    }
  }

  #if(test: Ir, source: string, place: Place, yes: () => void, no?: () => void): void {
    if (test.op === 'lit') {
      if (test.value) yes()
      else no?.()
      return
    }
    // A list or text is asked for its size in CEL; Handlebars' own truth of it is the same, and of false.
    const empty = test.op === 'bin' && test.sign === '==' && isSized({ ...test, sign: '>' })
    const negated = test.op === 'not' || empty
    const asked = test.op === 'not' ? test.of : empty ? ({ ...test, sign: '>' } as Ir) : test
    const inner = asked.op === 'call' && asked.name === 'truthy' ? asked.args[0]! : asked
    const sized = isSized(inner) && /^(list|string)$/.test(inner.left.args[0]!.type.kind)
    // Helpers see both sides of "and" at once; of nested blocks the inner one is looked at only where the outer one holds.
    const isBoth = inner.op === 'bin' && inner.sign === '&&' && !negated
    if (isBoth && (hasLocal(inner) || !no) && !canPrint(inner, place)) {
      this.#if(inner.left, source, place, () => this.#if(inner.right, source, place, yes, no), no)
      return
    }
    const code = this.#code(sized ? inner.left.args[0]! : inner, source, place, false)
    const word = negated ? 'unless' : 'if'
    this.#push('tag', `{{#${word} ${code}}}`)
    yes()
    if (no) {
      this.#push('tag', '{{else}}')
      no()
    }
    this.#push('tag', `{{/${word}}}`)
  }

  #branch(node: Node & { op: 'branch' }, place: Place): void {
    const [first, ...more] = node.cases
    const hasElse = more.length > 0 || node.otherwise.length > 0
    const otherwise =
      more.length > 0 ? () => this.#branch({ ...node, cases: more }, place) : () => this.#nodes(node.otherwise, place)
    this.#if(
      place.t.condition(first!.test),
      node.source,
      place,
      () => this.#nodes(first!.body, place),
      hasElse ? otherwise : undefined,
    )
  }

  #for(node: Node & { op: 'for' }, place: Place): void {
    const pairs = itemsCall(node.of)
    const given = place.t.value(pairs ?? node.of)
    // A map is gone through by its names.
    const of = !pairs && given.type.kind === 'map' ? call('keys', STRINGS, given) : given
    const [first, second, ...others] = node.names
    if (others.length > 0 || (second !== undefined && !pairs) || (pairs && second === undefined))
      throw noHandlebars('loop over tuples')
    if (!pairs && of.type.kind === 'any') place.t.env.note({ kind: 'loops' })
    if (node.otherwise.length > 0 && node.filter) throw noHandlebars('loop with both a condition and else')
    // What is false or a text as long as nobody gives a list; each of another thing is an error.
    const isLoop =
      of.type.kind === 'list' || of.type.kind === 'any' || (/^(bool|string)$/.test(of.type.kind) && isPath(of))
    if (!pairs && !isLoop) throw noHandlebars(`loop over a ${of.type.kind}`)
    const local = (name: string, type = ANY): Ir => ({ op: 'var', name, local: true, type })
    const names: [string, Ir][] = pairs
      ? [
          [first!, local(first!, STRING)],
          [second!, local(second!, valuesType(of.type))],
        ]
      : [[first!, local(first!, itemOf(of.type))]]
    const loop: Ir = { op: 'var', name: 'loop', local: true, type: LOOP }
    if (usesLoop(node.body) && node.filter) throw noHandlebars('"loop" beside a condition')
    const inner: Place = { t: place.t.with([...names, ['loop', loop]]), insideEach: true }
    const declared = pairs ? `${second} ${first}` : first
    this.#push('tag', `{{#each ${this.#code(of, node.source, place, false)} as |${declared}|}}`)
    const body = (): void => this.#nodes(node.body, inner, new Map())
    if (node.filter) this.#if(inner.t.condition(node.filter), node.source, inner, body)
    else body()
    if (node.otherwise.length > 0) {
      this.#push('tag', '{{else}}')
      this.#nodes(node.otherwise, place)
    }
    this.#push('tag', '{{/each}}')
  }
}

const LOOP = {
  kind: 'map',
  entries: { index: INT, index0: INT, first: { kind: 'bool' }, last: { kind: 'bool' } },
} as const

/** The type of a map's values, of which a boolean may not stand among others: Python prints it as True. Throws Refused. */
export function valuesType(type: Type): Type {
  const values = type.entries ? Object.values(type.entries) : []
  if (values.length === 0) return itemOf(type)
  const all = values.reduce(join)
  if (all.kind === 'any' && values.some(({ kind }) => kind === 'bool'))
    throw new Refused('a loop over values of several types, one a boolean', 'make texts of them first')
  return all
}

/** The map of `map.items()`. */
export function itemsCall(expr: Expr): Expr | undefined {
  if (expr.op === 'call' && expr.of.op === 'attr' && expr.of.name === 'items') return expr.of.of
  return expr.op === 'filter' && expr.name === 'items' ? expr.of : undefined
}

export function usesLoop(nodes: unknown): boolean {
  if (typeof nodes !== 'object' || nodes === null) return false
  if ('op' in nodes && nodes.op === 'name' && 'name' in nodes && nodes.name === 'loop') return true
  return Object.values(nodes).some(usesLoop)
}

function canPrint(ir: Ir, place: Place): boolean {
  try {
    printHandlebars(ir, place)
    return true
  } catch (error) {
    if (error instanceof Refused) return false
    throw error
  }
}

function hasLocal(ir: unknown): boolean {
  if (typeof ir !== 'object' || ir === null) return false
  if ('op' in ir && ir.op === 'macro') return hasLocal((ir as unknown as { of: unknown }).of)
  if ('op' in ir && ir.op === 'var' && 'local' in ir && ir.local) return true
  return Object.values(ir).some(hasLocal)
}
