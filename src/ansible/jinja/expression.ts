/**
 * Reads Jinja2 expressions. An own parser: nunjucks, the one in JavaScript, reads another language (no chained
 * comparisons, no `not in` as one operator, other filters' arguments) and has not been looked after for years.
 * Precedence as in jinja2/parser.py 3.1.
 */
import { Refused } from '../refused.ts'
import type { Args, BinarySign, CompareSign, Expr } from './ast.ts'
import { notUnderstood, type Token, tokens } from './lexer.ts'

/** Deeper than any expression that a person wrote, less than what ends the stack. */
const MAX_DEPTH = 60

/** Throws Refused for what is no Jinja expression. */
export function parseExpression(source: string, rawStrings = false): Expr {
  const parser = new Parser(tokens(source, rawStrings))
  const expr = parser.tuple()
  parser.end()
  return expr
}

/** `{% for a, b in list if x %}` after the word `for`. */
export function parseFor(source: string): { names: string[]; of: Expr; filter: Expr | undefined } {
  const parser = new Parser(tokens(source))
  const names = parser.names()
  parser.expectName('in')
  const of = parser.tupleWithoutIf()
  const filter = parser.acceptName('if') ? parser.expression() : undefined
  if (parser.acceptName('recursive')) throw notUnderstood('recursive')
  parser.end()
  return { names, of, filter }
}

/** `{% set name = value %}` after the word `set`. */
export function parseSet(source: string): { name: string; value: Expr } {
  const parser = new Parser(tokens(source))
  const [name, ...more] = parser.names()
  if (more.length > 0 || !parser.accept('=')) throw notUnderstood('set')
  const value = parser.tuple()
  parser.end()
  return { name: name!, value }
}

class Parser {
  readonly #tokens: readonly Token[]
  #at = 0
  #depth = 0

  constructor(list: readonly Token[]) {
    this.#tokens = list
  }

  get #next(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: 'the end' }
  }

  accept(sign: string): boolean {
    if (this.#next.kind !== 'sign' || this.#next.text !== sign) return false
    this.#at++
    return true
  }

  acceptName(name: string): boolean {
    if (this.#next.kind !== 'name' || this.#next.text !== name) return false
    this.#at++
    return true
  }

  expect(sign: string): void {
    if (!this.accept(sign)) throw notUnderstood(this.#next.text)
  }

  expectName(name: string): void {
    if (!this.acceptName(name)) throw notUnderstood(this.#next.text)
  }

  end(): void {
    if (this.#next.kind !== 'end') throw notUnderstood(this.#next.text)
  }

  names(): string[] {
    const list = []
    const open = this.accept('(')
    do {
      if (this.#next.kind !== 'name') throw notUnderstood(this.#next.text)
      list.push(this.#next.text)
      this.#at++
    } while (this.accept(','))
    if (open) this.expect(')')
    return list
  }

  tuple(): Expr {
    return this.#tupleOf(() => this.expression())
  }

  tupleWithoutIf(): Expr {
    return this.#tupleOf(() => this.#or())
  }

  #tupleOf(read: () => Expr): Expr {
    const first = read()
    if (this.#next.kind !== 'sign' || this.#next.text !== ',') return first
    const items = [first]
    while (this.accept(',') && this.#at < this.#tokens.length) items.push(read())
    return { op: 'tuple', items }
  }

  expression(): Expr {
    if (++this.#depth > MAX_DEPTH) throw new Refused('this expression is nested too deeply', 'split it')
    let expr = this.#or()
    while (this.acceptName('if')) {
      const test = this.#or()
      const no = this.acceptName('else') ? this.expression() : undefined
      expr = { op: 'if', test, yes: expr, no }
    }
    this.#depth--
    return expr
  }

  #or(): Expr {
    let left = this.#and()
    while (this.acceptName('or')) left = { op: 'binary', sign: 'or', left, right: this.#and() }
    return left
  }

  #and(): Expr {
    let left = this.#not()
    while (this.acceptName('and')) left = { op: 'binary', sign: 'and', left, right: this.#not() }
    return left
  }

  #not(): Expr {
    if (!this.acceptName('not')) return this.#compare()
    if (++this.#depth > MAX_DEPTH) throw new Refused('this expression is nested too deeply', 'split it')
    const of = this.#not()
    this.#depth--
    return { op: 'unary', sign: 'not', of }
  }

  #compare(): Expr {
    const first = this.#sum()
    const rest: { sign: CompareSign; right: Expr }[] = []
    for (;;) {
      const sign = this.#compareSign()
      if (!sign) break
      rest.push({ sign, right: this.#sum() })
    }
    return rest.length === 0 ? first : { op: 'compare', first, rest }
  }

  #compareSign(): CompareSign | undefined {
    const { kind, text } = this.#next
    if (kind === 'sign' && /^(==|!=|<=?|>=?)$/.test(text)) {
      this.#at++
      return text as CompareSign
    }
    if (this.acceptName('in')) return 'in'
    const after = this.#tokens[this.#at + 1]
    if (kind === 'name' && text === 'not' && after?.kind === 'name' && after.text === 'in') {
      this.#at += 2
      return 'not in'
    }
    return undefined
  }

  #sum(): Expr {
    return this.#signs(['+', '-'], () => this.#concat())
  }

  #concat(): Expr {
    const parts = [this.#product()]
    while (this.accept('~')) parts.push(this.#product())
    return parts.length === 1 ? parts[0]! : { op: 'concat', parts }
  }

  #product(): Expr {
    return this.#signs(['*', '/', '//', '%'], () => this.#unary())
  }

  #signs(signs: readonly BinarySign[], operand: () => Expr): Expr {
    let left = operand()
    for (;;) {
      const sign = signs.find((one) => this.#next.kind === 'sign' && this.#next.text === one)
      if (!sign) return left
      this.#at++
      left = { op: 'binary', sign, left, right: operand() }
    }
  }

  #unary(withFilter = true): Expr {
    if (++this.#depth > MAX_DEPTH) throw new Refused('this expression is nested too deeply', 'split it')
    let expr: Expr
    if (this.accept('-')) expr = { op: 'unary', sign: '-', of: this.#unary(false) }
    else if (this.accept('+')) expr = { op: 'unary', sign: '+', of: this.#unary(false) }
    else expr = this.#postfix(this.#primary())
    if (this.accept('**')) expr = { op: 'binary', sign: '**', left: expr, right: this.#unary(false) }
    this.#depth--
    return withFilter ? this.#filters(expr) : expr
  }

  #primary(): Expr {
    const token = this.#next
    this.#at++
    if (token.kind === 'name') {
      const known: Record<string, boolean | null> = { true: true, True: true, false: false, False: false, none: null }
      if (token.text === 'None' || Object.hasOwn(known, token.text)) {
        return { op: 'const', value: known[token.text] ?? null }
      }
      return { op: 'name', name: token.text }
    }
    if (token.kind === 'string') {
      let value = token.value as string
      while (this.#next.kind === 'string') {
        value += this.#next.value
        this.#at++
      }
      return { op: 'const', value }
    }
    if (token.kind === 'int') return { op: 'const', value: token.value! }
    if (token.kind === 'float') return { op: 'const', value: token.value!, float: true }
    if (token.text === '(') {
      if (this.accept(')')) return { op: 'tuple', items: [] }
      const inner = this.tuple()
      this.expect(')')
      return inner
    }
    if (token.text === '[') return { op: 'list', items: this.#list(']') }
    if (token.text === '{') return this.#dict()
    throw notUnderstood(token.text)
  }

  #list(close: string): Expr[] {
    const items = []
    while (!this.accept(close)) {
      items.push(this.expression())
      if (!this.accept(',')) {
        this.expect(close)
        break
      }
    }
    return items
  }

  #dict(): Expr {
    const items: [Expr, Expr][] = []
    while (!this.accept('}')) {
      const key = this.expression()
      this.expect(':')
      items.push([key, this.expression()])
      if (!this.accept(',')) {
        this.expect('}')
        break
      }
    }
    return { op: 'dict', items }
  }

  #postfix(start: Expr): Expr {
    let expr = start
    for (;;) {
      if (this.accept('.')) {
        const { kind, text, value } = this.#next
        this.#at++
        if (kind === 'name') expr = { op: 'attr', of: expr, name: text }
        else if (kind === 'int') expr = { op: 'item', of: expr, key: { op: 'const', value: value! } }
        else throw notUnderstood(text)
      } else if (this.accept('[')) expr = this.#subscript(expr)
      else if (this.accept('(')) expr = { op: 'call', of: expr, args: this.#args() }
      else return expr
    }
  }

  #subscript(of: Expr): Expr {
    if (this.accept(':')) return this.#slice(of, undefined)
    const key = this.expression()
    if (this.accept(':')) return this.#slice(of, key)
    this.expect(']')
    return { op: 'item', of, key }
  }

  #slice(of: Expr, from: Expr | undefined): Expr {
    const to = this.accept(']') ? undefined : this.expression()
    if (to && !this.accept(']')) throw new Refused('a slice with a step', 'write the list')
    return { op: 'slice', of, from, to }
  }

  #args(): Args {
    const list: Expr[] = []
    const named: Record<string, Expr> = {}
    while (!this.accept(')')) {
      const after = this.#tokens[this.#at + 1]
      if (this.#next.kind === 'name' && after?.kind === 'sign' && after.text === '=') {
        const name = this.#next.text
        this.#at += 2
        named[name] = this.expression()
      } else list.push(this.expression())
      if (!this.accept(',')) {
        this.expect(')')
        break
      }
    }
    return { list, named }
  }

  #filters(start: Expr): Expr {
    let expr = start
    for (;;) {
      if (this.accept('|')) expr = { op: 'filter', of: expr, name: this.#dotted(), args: this.#optionalArgs() }
      else if (this.acceptName('is')) expr = this.#test(expr)
      else if (this.#next.kind === 'sign' && /^[.[(]$/.test(this.#next.text)) expr = this.#postfix(expr)
      else return expr
    }
  }

  #optionalArgs(): Args {
    return this.accept('(') ? this.#args() : { list: [], named: {} }
  }

  #test(of: Expr): Expr {
    const negated = this.acceptName('not')
    const name = this.#dotted()
    const { kind, text } = this.#next
    let args: Args = { list: [], named: {} }
    if (kind === 'sign' && text === '(') args = this.#optionalArgs()
    // One argument may stand without parentheses: `x is sameas y`, `x is match "a"`.
    else if (
      kind === 'string' ||
      kind === 'int' ||
      kind === 'float' ||
      (kind === 'sign' && (text === '[' || text === '{')) ||
      (kind === 'name' && !/^(else|or|and|if|in|not|is)$/.test(text))
    )
      args = { list: [this.#postfix(this.#primary())], named: {} }
    return { op: 'test', of, name, args, negated }
  }

  #dotted(): string {
    if (this.#next.kind !== 'name') throw notUnderstood(this.#next.text)
    let name = this.#next.text
    this.#at++
    while (this.#next.text === '.' && this.#tokens[this.#at + 1]?.kind === 'name') {
      name += `.${this.#tokens[this.#at + 1]!.text}`
      this.#at += 2
    }
    return name
  }
}
