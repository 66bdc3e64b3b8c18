/** On defined data our evaluator and Handlebars itself give the same text. */
import assert from 'node:assert/strict'
import Handlebars from 'handlebars'
import t from 'tap'
import fc from '../property.ts'
import { plain, text } from './support.ts'

const data = {
  s: 'str',
  n: 3,
  zero: 0,
  yes: true,
  no: false,
  blank: '',
  list: ['a', 'b', 'c'],
  empty: [],
  map: { x: '1', y: '2' },
  objects: [
    { name: 'o1', tags: ['p', 'q'], sub: { k: 'v1' } },
    { name: 'o2', tags: [], sub: { k: 'v2' } },
  ],
}

/** What can be said inside a context: paths to text, to lists and maps, and what their items are. */
interface Kind {
  readonly printable: readonly string[]
  readonly iterable: readonly (readonly [path: string, item: Kind])[]
  readonly maps: readonly (readonly [path: string, kind: Kind])[]
}

const item: Kind = { printable: ['this', '.'], iterable: [], maps: [] }
const sub: Kind = { printable: ['k', './k', 'this.k'], iterable: [['this', item]], maps: [] }
const object: Kind = {
  printable: ['name', 'sub.k', 'tags.length'],
  iterable: [
    ['tags', item],
    ['this.sub', item],
  ],
  maps: [['sub', sub]],
}
const map: Kind = { printable: ['x', 'y'], iterable: [['this', item]], maps: [] }
const root: Kind = {
  printable: [
    's',
    'n',
    'zero',
    'yes',
    'no',
    'blank',
    'map.x',
    'list.[1]',
    'objects.[0].sub.k',
    'list.length',
    '@root.s',
  ],
  iterable: [
    ['list', item],
    ['empty', item],
    ['map', item],
    ['objects', object],
  ],
  maps: [
    ['map', map],
    ['objects.[1]', object],
  ],
}

/**
 * Builds a template from a stream of numbers. A bar follows each value: without escaping, Handlebars 4.7 adds two
 * numbers that stand next to each other, `{{ 1 }}{{ 2 }}` -> 3; ours prints 12.
 */
class Builder {
  readonly #numbers: readonly number[]
  #at = 0

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers
  }

  number(below: number): number {
    return (this.#numbers[this.#at++] ?? 0) % below
  }

  pick<T>(of: readonly T[]): T {
    return of[this.number(of.length)]!
  }

  /** `stack` holds the kinds of the contexts, innermost last; `loops` how many of them are `each`. */
  body(stack: readonly Kind[], loops: number, depth: number): string {
    let made = ''
    for (let i = this.number(4); i >= 0; i--) made += this.part(stack, loops, depth)
    return made
  }

  path(stack: readonly Kind[], loops: number): string {
    if (loops > 0 && this.number(4) === 0)
      return this.pick(['@index', '@key', '@first', '@last', ...(loops > 1 ? ['@../index', '@../last'] : [])])
    const up = this.number(stack.length)
    const path = this.pick(stack[stack.length - 1 - up]!.printable)
    if (path.startsWith('@') || up === 0) return path
    return '../'.repeat(up) + path.replace(/^(this\.|\.\/)/, '').replace(/^(this|\.)$/, 'this')
  }

  part(stack: readonly Kind[], loops: number, depth: number): string {
    const here = stack.at(-1)!
    const tilde = () => this.pick(['', '', '', '~'])
    const open = (inner: string) => `{{${tilde()}${inner}${tilde()}}}`
    switch (this.number(depth > 3 ? 4 : 9)) {
      case 0:
        return this.pick(['text ', "= & ' <b> ", '\n', '\n  ', ' ', '\t\n', '\\\\ ', '{ } ', '$1'])
      case 1:
        return `${open(this.path(stack, loops))}|`
      case 2:
        return `${tilde() ? '{{~{' : '{{{'}${this.path(stack, loops)}${tilde() ? '}~}}' : '}}}'}|`
      case 3:
        return this.pick([open('! note'), '{{!-- {{x}} --}}', '\\{{esc}} '])
      case 4:
      case 5: {
        const name = this.pick(['if', 'unless'])
        const zero = this.pick(['', '', ' includeZero=true'])
        const middle = this.pick([
          '',
          open('else') + this.body(stack, loops, depth + 1),
          open(`else if ${this.path(stack, loops)}`) + this.body(stack, loops, depth + 1),
        ])
        return `${open(`#${name} ${this.path(stack, loops)}${zero}`)}${this.body(stack, loops, depth + 1)}${middle}${open(`/${name}`)}`
      }
      case 6:
      case 7: {
        if (here.iterable.length === 0) return 'leaf'
        const [path, kind] = this.pick(here.iterable)
        const names = this.pick(['', ` as |v${depth} i${depth}|`])
        const named = names ? `${open(`i${depth}`)}|` : ''
        const other = this.pick(['', open('else') + this.body(stack, loops, depth + 1)])
        return `${open(`#each ${path}${names}`)}${named}${this.body([...stack, kind], loops + 1, depth + 1)}${other}${open('/each')}`
      }
      default: {
        if (here.maps.length === 0) return 'leaf'
        const [path, kind] = this.pick(here.maps)
        return `${open(`#with ${path}`)}${this.body([...stack, kind], loops, depth + 1)}${open('/with')}`
      }
    }
  }
}

t.test('same text as Handlebars', async (t) => {
  const scope = plain(data)
  let tried = 0
  let blocks = 0
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 10, maxLength: 80 }), (numbers) => {
      const source = `>${new Builder(numbers).body([root], 0, 0)}`
      const expected = Handlebars.compile(source, { noEscape: true, strict: true })(data)
      assert.equal(text(source).evaluate(scope), expected, source)
      tried++
      if (source.includes('{{#each') || source.includes('{{~#each')) blocks++
    }),
    { numRuns: 2000, includeErrorInReport: true },
  )
  t.ok(tried >= 2000 && blocks > 400, `${blocks} of ${tried} templates with loops`)
})
