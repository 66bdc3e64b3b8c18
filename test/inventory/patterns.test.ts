import t from 'tap'
import { matchHosts, splitPattern } from '../../src/inventory/patterns.ts'
import { expandRange, parseHosts } from '../../src/inventory/ranges.ts'
import { UserError } from '../../src/shared/errors.ts'
import fc from '../property.ts'

const names = {
  hosts: new Map(['web1', 'web2', 'web3', 'db1', 'db2', 'fd00::1', 'lb'].map((name) => [name, {}])),
  groups: new Map([
    ['all', { hosts: ['web1', 'web2', 'web3', 'db1', 'db2', 'fd00::1', 'lb'] }],
    ['web', { hosts: ['web1', 'web2', 'web3'] }],
    ['db', { hosts: ['db1', 'db2'] }],
    ['prod', { hosts: ['web1', 'db1', 'lb'] }],
    ['ungrouped', { hosts: ['fd00::1'] }],
  ]),
}

t.test('host patterns', async (t) => {
  const table: [string, string][] = [
    ['web', 'web1 web2 web3'],
    ['web1', 'web1'],
    ['web:db', 'web1 web2 web3 db1 db2'],
    ['web,db1', 'web1 web2 web3 db1'],
    ['web, db1', 'web1 web2 web3 db1'],
    ['web:&prod', 'web1'],
    ['web:!web2', 'web1 web3'],
    ['!web:&prod:all', 'db1 lb'],
    ['!web', 'db1 db2 fd00::1 lb'],
    ['&prod', 'web1 db1 lb'],
    ['all', 'web1 web2 web3 db1 db2 fd00::1 lb'],
    ['*', 'web1 web2 web3 db1 db2 fd00::1 lb'],
    ['w*', 'web1 web2 web3'],
    ['*b1', 'web1 db1'],
    ['db?', 'db1 db2'],
    ['web[12]', ''],
    ['w[ed]b[!2]', 'web1 web3'],
    ['web[0]', 'web1'],
    ['web[-1]', 'web3'],
    ['web[0:1]', 'web1 web2'],
    ['web[1:]', 'web2 web3'],
    ['web[0-1]', 'web1 web2'],
    ['web[:1]', 'web1 web2'],
    ['web[0:1]:db', 'web1 web2 db1 db2'],
    ['web:!web[0]', 'web2 web3'],
    ['~(web|db)[12]', 'web1 web2 db1 db2'],
    ['~web[12]:db1', 'web1 web2 db1'],
    ['~(?:db)\\d', 'db1 db2'],
    ['nothing*', ''],
    ['fd00::1', 'fd00::1'],
    ['ungrouped', 'fd00::1'],
    ['localhost', 'localhost'],
    ['127.0.0.1,web1', '127.0.0.1 web1'],
  ]
  for (const [pattern, expected] of table) t.equal([...matchHosts(pattern, names)].join(' '), expected, pattern)
  t.same(splitPattern('a:b:c[0:1]:!d'), ['a', 'b', 'c[0:1]', '!d'])
})

t.test('wrong patterns', async (t) => {
  const table: [string, RegExp][] = [
    ['wbe', /no host or group is called "wbe"\n {2}did you mean "web"/],
    ['web:!dbb', /"dbb"/],
    ['~(', /Invalid regular expression/],
    ['', /empty/],
    ['@/no/such/file', /cannot read \/no\/such\/file: it does not exist/],
  ]
  for (const [pattern, expected] of table) t.throws(() => matchHosts(pattern, names), { message: expected }, pattern)
})

t.test('any pattern gives hosts or a UserError', async () => {
  const piece = fc.constantFrom('web', 'db1', ':', ',', '!', '&', '[', ']', '0', '-1', '*', '?', '~', '(', '\\', 'é')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (parts) => {
      try {
        matchHosts(parts.join(''), names)
      } catch (error) {
        if (!(error instanceof UserError)) throw error
      }
    }),
    { numRuns: 2000 },
  )
})

t.test('ranges', async (t) => {
  const table: [string, string[]][] = [
    ['web', ['web']],
    ['web[01:03].x', ['web01.x', 'web02.x', 'web03.x']],
    ['w[8:11]', ['w8', 'w9', 'w10', 'w11']],
    ['w[098:101]', ['w098', 'w099', 'w100', 'w101']],
    ['db-[a:c]', ['db-a', 'db-b', 'db-c']],
    ['n[0:10:5]', ['n0', 'n5', 'n10']],
    ['n[:2]', ['n0', 'n1', 'n2']],
    ['r[1:2]-[a:b]', ['r1-a', 'r1-b', 'r2-a', 'r2-b']],
  ]
  for (const [name, expected] of table) t.same(expandRange(name), expected, name)
  for (const bad of ['w[3:1]', 'w[a:9]', 'w[1]', 'w[]', 'w[1:2:0]', 'w[1:99999999]', 'w[1:999][1:999]']) {
    t.throws(() => expandRange(bad), UserError, bad)
  }
  t.same(parseHosts('web[1:2]:2222'), { names: ['web1', 'web2'], port: 2222 })
  t.same(parseHosts('[fd00::1]:22'), { names: ['fd00::1'], port: 22 })
  t.same(parseHosts('fd00::1'), { names: ['fd00::1'], port: undefined })
  t.same(parseHosts('10.0.0.1:22'), { names: ['10.0.0.1'], port: 22 })
})
