/** Jinja expressions as typed ones that CEL and Handlebars share. What could mean something else is refused. */
import type { Env } from './env.ts'
import { anyOf, equal, oursFor } from './equality.ts'
import { resolveAnsible } from './facts.ts'
import { applyFilter } from './filters.ts'
import { computedInterface, interfaceFact } from './interfaces.ts'
import { bin, call, get, type Ir, isEmpty, isPath, lit, not, variable } from './ir.ts'
import type { CompareSign, Expr } from './jinja/ast.ts'
import { callMethod, foundAt, PYTHON_METHODS } from './methods.ts'
import {
  asDouble,
  calculated,
  foundBy,
  isDouble,
  isNumber,
  mapOf,
  placeOf,
  refuseEntry,
  refuseMessage,
  sliceOf,
} from './operands.ts'
import { Refused } from './refused.ts'
import { applyTest } from './tests.ts'
import { ANY, BOOL, entryOf, INT, itemOf, join, listOf, MAP, STRING } from './types.ts'

export class Translator {
  readonly env: Env

  constructor(env: Env) {
    this.env = env
  }

  /** With more names. */
  with(locals: Iterable<readonly [string, Ir]>): Translator {
    return new Translator({
      ...this.env,
      typeOf: (name) => this.env.typeOf(name),
      names: () => this.env.names(),
      note: (n) => this.env.note(n),
      locals: new Map([...this.env.locals, ...locals]),
    })
  }

  /** A name for a macro's item that nothing else has. */
  freshName(): string {
    let name = 'one'
    for (let i = 2; this.env.locals.has(name) || this.env.typeOf(name); i++) name = `one${i}`
    return name
  }

  /** Throws Refused. */
  value(expr: Expr): Ir {
    switch (expr.op) {
      case 'const':
        if (expr.float && Number.isInteger(expr.value))
          throw new Refused('1.0 and 1 are the same number here', 'write a text or a whole number')
        return lit(expr.value)
      case 'name':
      case 'attr':
      case 'item':
        return this.#path(expr)
      case 'filter':
        return applyFilter(this, expr)
      case 'test':
        return applyTest(this, expr)
      case 'call':
        return callMethod(this, expr)
      case 'unary':
        return this.#unary(expr)
      case 'binary':
        return this.#binary(expr)
      case 'compare':
        return this.#compare(expr)
      case 'concat':
        return expr.parts.map((part) => this.text(this.value(part))).reduce((a, b) => bin('+', a, b, STRING))
      case 'if':
        return this.#if(expr)
      case 'list':
      case 'tuple': {
        const items = expr.items.map((item) => this.value(item))
        return { op: 'list', items, type: listOf(items.length > 0 ? items.map(({ type }) => type).reduce(join) : ANY) }
      }
      case 'dict':
        return mapOf(this, expr.items)
      case 'slice':
        return sliceOf(this, expr)
    }
  }

  /** Where Jinja asks whether something is true. */
  condition(expr: Expr): Ir {
    return this.#asked(expr, (value) => this.truth(value))
  }

  /** A condition of a task, which must be a boolean: of what nobody knows CEL checks that when it runs. */
  taskCondition(expr: Expr): Ir {
    return this.#asked(expr, (value) => (value.type.kind === 'any' && !value.type.nullable ? value : this.truth(value)))
  }

  /**
   * Between two values. A variable of which nothing is known must be a boolean: an inventory that says `no` has a text there,
   * as YAML 1.2 has it, which would be true.
   */
  choice(expr: Expr): Ir {
    return this.#asked(expr, (value) => {
      const isUnseen = value.op === 'var' && !value.local && value.type.kind === 'any' && !value.type.nullable
      return isUnseen ? value : this.truth(value)
    })
  }

  #asked(expr: Expr, truth: (value: Ir) => Ir): Ir {
    if (expr.op === 'unary' && expr.sign === 'not') return not(this.#asked(expr.of, truth))
    if (expr.op === 'name' && expr.name === 'ansible_facts') return call('defined', BOOL, variable('facts', MAP))
    if (expr.op === 'binary' && (expr.sign === 'and' || expr.sign === 'or')) {
      const [left, right] = [this.#asked(expr.left, truth), this.#asked(expr.right, truth)]
      return bin(expr.sign === 'and' ? '&&' : '||', left, right)
    }
    return truth(this.value(expr))
  }

  /** Python's truth of a value, as a boolean. */
  truth(ir: Ir): Ir {
    const { kind, nullable } = ir.type
    refuseMessage(ir)
    const guard = (test: Ir): Ir => (nullable && isPath(ir) ? bin('&&', call('defined', BOOL, ir), test) : test)
    switch (kind) {
      case 'bool':
        return guard(ir)
      case 'any':
        // A default of null: an inventory gives it a value of any type, or nothing does.
        return nullable && isPath(ir) ? not(isEmpty(call('default', ANY, ir, lit('')))) : call('truthy', BOOL, ir)
      case 'string': {
        const found = foundBy(ir)
        if (found) return found
        // A default is a text, an inventory may say false: the size of that is an error, its being no "" would be true.
        if (isPath(ir) && !ir.type.result) return guard(bin('>', call('size', INT, ir), lit(0)))
        return bin('!=', ir, lit(''))
      }
      case 'int':
        return guard(bin('!=', ir, lit(0)))
      case 'list':
      case 'map':
        if (foundBy(ir)) return foundBy(ir)!
        return guard(bin('>', call('size', INT, ir), lit(0)))
      case 'null':
        return lit(false)
      default:
        throw new Refused('a number with a fraction as a condition', 'compare it with == or >')
    }
  }

  /** A value as Jinja prints it. */
  text(ir: Ir): Ir {
    // Who reads it knows the system by our word, too, and by one that the table has not.
    if (ir.op === 'mapped' && this.env.isMessage) return ir.of
    switch (ir.type.kind) {
      case 'string':
        return ir
      case 'int':
        return ir.op === 'lit' ? lit(String(ir.value)) : call('string', STRING, ir)
      case 'bool':
        return ir.op === 'lit'
          ? lit(ir.value ? 'True' : 'False')
          : { op: 'cond', test: ir, yes: lit('True'), no: lit('False'), type: STRING }
      case 'any':
        return call('string', STRING, ir)
      case 'null':
        throw new Refused('a null, which Python prints as None', 'give it a text')
      default:
        if (this.env.isMessage && /^(list|map)$/.test(ir.type.kind)) {
          this.env.note({ kind: 'layout' })
          return call('json', STRING, ir)
        }
        throw new Refused(
          `a ${ir.type.kind === 'float' ? 'number with a fraction' : ir.type.kind}, which Python prints in its own way`,
          'join it, or write json or yaml',
        )
    }
  }

  /** A constant text of an argument. */
  constText(expr: Expr | undefined, what: string): string {
    if (expr?.op === 'const' && typeof expr.value === 'string') return expr.value
    throw new Refused(`${what} with a computed argument`, 'write it by hand')
  }

  #path(expr: Expr): Ir {
    const steps: Expr[] = []
    let at = expr
    while (at.op === 'attr' || at.op === 'item') {
      steps.unshift(at.op === 'attr' ? { op: 'const', value: at.name } : at.key)
      at = at.of
    }
    if (at.op !== 'name') return steps.reduce((of, key) => this.#entry(of, key), this.value(at))
    const local = this.env.locals.get(at.name)
    if (local) return steps.reduce((of, key) => this.#entry(of, key), local)
    const names = [
      at.name,
      ...steps.map((step) => (step.op === 'const' && typeof step.value === 'string' ? step.value : undefined)),
    ]
    const known = names.slice(0, names.includes(undefined) ? names.indexOf(undefined) : undefined) as string[]
    if (at.name === 'hostvars' && steps.length > 1) return this.#otherHost(steps, names.slice(2))
    const isOwn = at.name.startsWith('ansible_') && at.name !== 'ansible_facts' && this.env.typeOf(at.name)
    if (at.name === 'ansible_facts' && steps.length > 0 && known.length === 1)
      return this.#interface(variable('facts', MAP), this.value(steps[0]!), steps.slice(1), names.slice(2))
    const own = isOwn ? undefined : resolveAnsible(known)
    if (own?.note) this.env.note({ kind: own.note })
    const start = own?.ir ?? this.#variable(at.name)
    return steps.slice(own ? own.used - 1 : 0).reduce((of, key) => this.#entry(of, key), start)
  }

  #variable(name: string): Ir {
    const type = this.env.typeOf(name)
    if (!type && name !== 'item') this.env.note({ kind: 'unseen', name })
    return variable(name, type ?? ANY)
  }

  /** `hostvars[host].ansible_default_ipv4.address` and its like. */
  #otherHost(steps: readonly Expr[], names: readonly (string | undefined)[]): Ir {
    const host = get(variable('hostvars', MAP), this.value(steps[0]!), MAP)
    const known = names.slice(0, names.includes(undefined) ? names.indexOf(undefined) : undefined) as string[]
    const rest = steps.slice(1)
    const [name] = known
    const computed = name === undefined ? computedInterface(this.value(rest[0]!)) : undefined
    if (computed) return this.#interface(get(host, 'facts', MAP), computed, rest.slice(1), names.slice(1))
    if (name?.startsWith('ansible_') && name !== 'ansible_host') {
      const found = resolveAnsible(known, get(host, 'facts', MAP))
      if (found?.note) this.env.note({ kind: found.note })
      if (found && name !== 'ansible_check_mode')
        return rest.slice(found.used).reduce((of, key) => this.#entry(of, key), found.ir)
    }
    const first = get(host, this.value(rest[0]!), (name && this.env.typeOf(name)) || ANY)
    return rest.slice(1).reduce((of, key) => this.#entry(of, key), first)
  }

  /** A fact whose computed name must be that of an interface: with any other one the run fails. */
  #interface(facts: Ir, name: Ir, steps: readonly Expr[], names: readonly (string | undefined)[]): Ir {
    const known = names.slice(0, names.includes(undefined) ? names.indexOf(undefined) : undefined) as string[]
    const { ir, used } = interfaceFact(facts, name, known)
    if (used === 0) throw new Refused('a fact whose name is computed', 'name it, or use facts.interfaces[name]')
    this.env.note({ kind: 'interfaces' })
    return steps.slice(used).reduce((of, key) => this.#entry(of, key), ir)
  }

  #entry(of: Ir, keyExpr: Expr): Ir {
    const key = this.value(keyExpr)
    if (of.op === 'lit' || of.type.kind === 'int' || of.type.kind === 'bool')
      throw new Refused('an entry of something that has none', 'mend the expression')
    if (key.op === 'lit' && typeof key.value === 'string') {
      // An entry of a text is never there, which is what `default` is for; a method would be.
      if (of.type.kind === 'string' && !PYTHON_METHODS.test(key.value) && isPath(of)) return get(of, key, ANY)
      if (of.type.kind === 'string' || of.type.kind === 'list')
        throw new Refused(`the method or entry "${key.value}"`, 'write it by hand')
      refuseEntry(of, key.value)
      if (of.type.entries?.results && key.value === 'results') return get(of, 'results', entryOf(of.type, 'results'))
      return get(of, key, entryOf(of.type, key.value))
    }
    if (key.op === 'lit' && typeof key.value === 'number') return placeOf(of, key.value)
    if (key.op === 'lit') throw new Refused('an index that is no name or number', 'mend the expression')
    return get(of, key, itemOf(of.type))
  }

  #unary({ sign, of }: Expr & { op: 'unary' }): Ir {
    if (sign === 'not') return not(this.condition(of))
    const ir = this.value(of)
    if (ir.op === 'lit' && typeof ir.value === 'number') return lit(sign === '-' ? -ir.value : ir.value)
    throw new Refused(`the sign "${sign}" of a variable`, 'write 0 - x')
  }

  #binary(expr: Expr & { op: 'binary' }): Ir {
    const { sign } = expr
    if (sign === 'and' || sign === 'or') {
      const [left, right] = [this.value(expr.left), this.value(expr.right)]
      if (left.type.kind === 'bool' && right.type.kind === 'bool') return bin(sign === 'and' ? '&&' : '||', left, right)
      // Python gives one of the operands, not a truth.
      const test = this.truth(left)
      if (left.type.kind === 'any') throw new Refused(`"${sign}" that gives one of its sides`, 'write a ? b : c')
      const [yes, no] = sign === 'and' ? [right, left] : [left, right]
      return { op: 'cond', test, yes, no, type: join(left.type, right.type) }
    }
    return calculated(sign, this.value(expr.left), this.value(expr.right))
  }

  #compare({ first, rest }: Expr & { op: 'compare' }): Ir {
    const found = rest.length === 1 ? foundAt(this, first, rest[0]!) : undefined
    if (found) return found
    let left = this.value(first)
    const parts = rest.map(({ sign, right: expr }) => {
      const right = this.value(expr)
      const part = this.compare(sign, left, right)
      left = right
      return part
    })
    return parts.reduce((a, b) => bin('&&', a, b))
  }

  compare(sign: CompareSign, left: Ir, right: Ir): Ir {
    if (sign === 'not in') return not(this.compare('in', left, right))
    if (sign === '!=') return not(this.compare('==', left, right))
    for (const side of [left, right]) refuseMessage(side)
    if (sign === 'in') return this.#in(left, right)
    if (/^[<>]/.test(sign) && [left, right].some(isDouble) && [left, right].every(isNumber))
      return bin(sign, asDouble(left), asDouble(right))
    if (left.type.kind === 'float' || right.type.kind === 'float')
      throw new Refused('comparing a number with a fraction', 'compare whole numbers, or texts')
    if (sign === '==') return equal(left, right)
    const kinds = [left.type.kind, right.type.kind]
    if (kinds.some((kind) => kind === 'bool' || kind === 'null' || kind === 'list' || kind === 'map'))
      throw new Refused(`"${sign}" between ${kinds.join(' and ')}`, 'compare numbers, or texts')
    if (!kinds.includes('any') && kinds[0] !== kinds[1])
      throw new Refused(`"${sign}" between ${kinds.join(' and ')}, an error in Python too`, 'convert with int(…)')
    return bin(sign, left, right)
  }

  #in(left: Ir, right: Ir): Ir {
    if (left.op === 'mapped' && right.op === 'list') {
      const ours = right.items.flatMap((item) => {
        if (item.op !== 'lit' || typeof item.value !== 'string')
          throw new Refused('a computed list of distributions', 'use facts.os')
        return oursFor(left.table, item.value)
      })
      return bin('in', left.of, { op: 'list', items: [...new Set(ours)].map(lit), type: listOf(STRING) })
    }
    if (right.op === 'list') return anyOf(left, right.items)
    if (right.type.kind === 'list') {
      if (left.type.kind === 'bool' || left.type.kind === 'float')
        throw new Refused('a boolean in a list: 1 is True in Python', 'compare with exists')
      return bin('in', left, right)
    }
    if (right.type.kind === 'map') return call('contains', BOOL, right, left)
    if (right.type.kind === 'string' && left.type.kind !== 'string' && left.type.kind !== 'any')
      throw new Refused('looking for something in a text that is no text', 'convert it with string(…)')
    return call('contains', BOOL, right, left)
  }

  #if(expr: Expr & { op: 'if' }): Ir {
    if (!expr.no) throw new Refused('"if" without "else", which gives nothing', 'write a ? b : c')
    const [test, yes, no] = [this.choice(expr.test), this.value(expr.yes), this.value(expr.no)]
    return { op: 'cond', test, yes, no, type: join(yes.type, no.type) }
  }
}
