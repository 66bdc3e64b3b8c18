import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import { DEFAULT_WISH, Machines } from '../../src/netboot/machines.ts'
import { Tokens } from '../../src/netboot/tokens.ts'

t.test('survives the process, and two processes give out one installer', async (t) => {
  const folder = t.testdir()
  const one = openNetbootDatabase(folder)
  const two = openNetbootDatabase(folder)
  t.equal(statSync(join(folder, '.runbook/netboot.db')).mode & 0o777, 0o600)
  const machines = new Machines(one)
  t.strictSame(machines.boot('n1', 1), { boot: 'local' })
  t.equal(machines.repave('n1', 1, DEFAULT_WISH), undefined)
  const boots = [new Machines(two).boot('n1', 2), machines.boot('n1', 2)].map(({ boot }) => boot)
  t.strictSame(boots, ['installer', 'local'])
  one.close()
  two.close()
  const again = openNetbootDatabase(folder)
  t.teardown(() => again.close())
  const later = new Machines(again)
  t.equal(later.state('n1')?.phase, 'booting')
  t.equal(later.boot('n1', 3).boot, 'local')
  t.match(later.repave('n1', 3, DEFAULT_WISH), /is booting; cancel that first/)
  const wishes = { repave: DEFAULT_WISH, reboot: DEFAULT_WISH }
  t.match(later.tick(4 + DEFAULT_WISH.timeout, wishes), [{ name: 'n1', gaveUp: 'repave' }])
  t.equal(later.state('n1')?.phase, 'failed')
  t.strictSame(
    later.history('n1').map(({ what }) => what.split(' ')[0]),
    ['repave', 'boot', 'tick'],
  )
})

t.test('a restart survives the process, and is begun by one of two', async (t) => {
  const folder = t.testdir()
  const [one, two] = [openNetbootDatabase(folder), openNetbootDatabase(folder)]
  t.teardown(() => {
    one.close()
    two.close()
  })
  const machines = new Machines(one)
  const other = new Machines(two)
  t.equal(machines.restart('n1', 1, { ...DEFAULT_WISH, retries: 1, force: false }), undefined)
  t.strictSame(other.toRestart(2), ['n1'])
  const begun = [machines, other].map((each) => each.apply('n1', { type: 'restarting', at: 2 }).refused)
  t.strictSame(begun, [undefined, 'has no restart pending'])
  t.strictSame(other.toRestart(3), [])
  const wishes = { repave: DEFAULT_WISH, reboot: DEFAULT_WISH }
  t.match(other.tick(2 + DEFAULT_WISH.timeout, wishes), [{ name: 'n1', gaveUp: undefined }])
  t.strictSame(machines.toRestart(3 + DEFAULT_WISH.timeout), ['n1'])
  machines.bootLocal('n1', 4 + DEFAULT_WISH.timeout)
  t.match(other.state('n1'), { restart: undefined, detail: 'restarted, boots its local disk' })
})

t.test('what cannot be read or written boots the local disk', async (t) => {
  const db = openNetbootDatabase(undefined)
  const troubles: string[] = []
  const machines = new Machines(db, (message) => troubles.push(message))
  const waiting = { phase: 'discovered', since: 0, repave: { token: 'A', asked: 0, until: 1e15, retries: 0 } }
  for (const state of ['{', '{}', JSON.stringify({ ...waiting, phase: 'odd' }), JSON.stringify({ ...waiting, x: 1 })]) {
    db.prepare('INSERT INTO machines (name, state) VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state').run(
      'n1',
      state,
    )
    t.equal(machines.boot('n1', 1).boot, 'local', state)
  }
  t.equal(troubles.length, 4)
  machines.repave('n2', 1, DEFAULT_WISH)
  db.exec('PRAGMA query_only = ON')
  t.equal(machines.boot('n2', 1).boot, 'local')
  t.match(troubles.at(-1), /n2 boots its local disk, as its state cannot be written/)
  db.exec('PRAGMA query_only = OFF')
  t.equal(machines.boot('n2', 1).boot, 'installer')
  db.close()
  t.equal(machines.boot('n2', 1).boot, 'local')
})

t.test('strangers are remembered up to a number', async (t) => {
  const db = openNetbootDatabase(undefined)
  const machines = new Machines(db)
  db.exec('BEGIN')
  const insert = db.prepare('INSERT INTO machines (name, state) VALUES (?, ?)')
  for (let i = 0; i < 1000; i++) insert.run(`m${i}`, '{"phase":"discovered","since":0}')
  db.exec('COMMIT')
  machines.discover('m1000', 1)
  t.equal(machines.all().size, 1000)
})

t.test('tokens', async (t) => {
  const db = openNetbootDatabase(undefined)
  const tokens = new Tokens(db)
  const grant = { machine: 'n1', repave: 'A' }
  const token = tokens.issue('seed', grant, 0)
  t.strictSame(tokens.check(token, 'seed', 1), grant)
  t.equal(tokens.check(token, 'report', 1), undefined, 'another purpose')
  t.equal(tokens.check(token, 'seed', 3600_000), undefined, 'expired')
  for (const wrong of [
    '',
    '.',
    token.slice(0, -1),
    `${token}x`,
    `${token.split('.')[0]}.`,
    `.${token.split('.')[1]}`,
  ]) {
    t.equal(tokens.check(wrong, 'seed', 1), undefined, wrong)
  }
  t.strictSame([tokens.take(token, 'user-data'), tokens.take(token, 'user-data')], [true, false])
  t.ok(tokens.take(token, 'meta-data'))
  t.ok(tokens.isTag('n1', new Tokens(db).tag('n1')), 'the same after a restart')
  t.notOk(tokens.isTag('n2', tokens.tag('n1')))
  const stored = JSON.stringify(db.prepare('SELECT * FROM tokens').all())
  t.notOk(stored.includes(token.split('.')[1]!))
  tokens.issue('seed', grant, 4000_000)
  t.equal(db.prepare('SELECT * FROM tokens').all().length, 1, 'expired ones are removed')
})
