import t from 'tap'
import { isSwift, limit, Pattern, withinTime } from '../../src/shared/time-limit.ts'

limit.ms = 200
const TEXT = `${'a'.repeat(60)}!`

t.test('a pattern that does not come to an end is stopped, and not tried again', async (t) => {
  const pattern = new Pattern('^(a+)+$')
  t.throws(() => pattern.test(TEXT), /^the regular expression \^\(a\+\)\+\$ takes more than 0\.2 s\n {2}a repetition/)
  const started = performance.now()
  limit.ms = 60_000
  t.throws(() => pattern.exec(TEXT), /takes more than/)
  t.throws(() => pattern.exec('aa'), /takes more than/, 'whatever the text')
  t.ok(performance.now() - started < 30_000, 'at once')
  limit.ms = 200
})

t.test('other patterns do what RegExp does', async (t) => {
  const pattern = new Pattern('(?<n>\\d)(x)?', 'g')
  t.strictSame('a1x b2'.replace(pattern, '[$<n>$2]'), 'a[1x] b[2]')
  t.strictSame(
    [...'a1x b2'.matchAll(pattern)].map((m) => m[0]),
    ['1x', '2'],
  )
  t.strictSame('1x2'.split(new Pattern('x')), ['1', '2'])
  t.ok(new Pattern('^(?!#)a').test('ab'))
  t.ok(pattern instanceof RegExp)
})

t.test('the message names the pattern inside of something larger; errors and results go through', async (t) => {
  const pattern = new Pattern('^(b+)+$')
  t.throws(
    () => withinTime('the file', () => pattern.test(TEXT.replaceAll('a', 'b'))),
    /expression \^\(b\+\)\+\$ takes/,
  )
  t.throws(
    () =>
      withinTime('a loop', () => {
        for (;;);
      }),
    /^a loop takes more than 0\.2 s/,
  )
  t.equal(
    withinTime('x', () => withinTime('y', () => 7)),
    7,
  )
  t.throws(
    () =>
      withinTime('x', () => {
        throw new TypeError('own')
      }),
    { name: 'TypeError', message: 'own' },
  )
  t.equal(
    withinTime('x', () => new Pattern('a').test('a')),
    true,
    'and all is as before',
  )
})

t.test('which patterns need no limit', async (t) => {
  for (const swift of ['^PermitRootLogin ', '\\sbench1$', '[#;]x', 'a.b']) t.ok(isSwift(new RegExp(swift)), swift)
  for (const slow of ['a*', '(ab)', 'a|b', 'a+b', 'a{2,}', '^#?x', '(?=x)x']) t.notOk(isSwift(new RegExp(slow)), slow)
})
