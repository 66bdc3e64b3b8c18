import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import type { Facts } from '../../src/netboot/facts.ts'
import { DEFAULT_WISH, Machines } from '../../src/netboot/machines.ts'
import { Tokens } from '../../src/netboot/tokens.ts'

const FACTS: Facts = {
  ...{ vendor: '', product: '', serial: '', uuid: '', firmware: 'uefi', firmware_version: '', secure_boot: false },
  ...{ tpm: '', bmc: '', cpu: { model: '', sockets: 1, threads: 1 }, memory: 1, disks: [], nics: [] },
}

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
  const troubles: string[] = []
  const machines = new Machines(db, (message) => troubles.push(message))
  const hour = 3600_000
  const mac = (i: number): string =>
    `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`
  db.exec('BEGIN')
  const insert = db.prepare('INSERT INTO machines (name, state) VALUES (?, ?)')
  const add = (name: string, since: number): unknown => insert.run(name, JSON.stringify({ phase: 'discovered', since }))
  for (let i = 0; i < 2000; i++) add(`node-${i}`, 0)
  for (let i = 0; i < 999; i++) add(mac(i), 10 + i)
  db.exec('COMMIT')
  machines.discover(mac(999), hour)
  t.ok(machines.state(mac(999)), 'machines of the inventory take no places away')
  machines.discover(mac(1000), hour)
  t.equal(machines.state(mac(1000)), undefined, 'a thousand in an hour are enough')
  machines.setFacts(mac(0), hour, FACTS)
  machines.discover(mac(1000), hour + 12)
  t.strictSame(
    [0, 1, 2, 1000].map((i) => machines.state(mac(i)) !== undefined),
    [true, false, true, true],
    'the one that was seen first and told nothing gives way',
  )
  machines.discover(mac(1001), hour + 12)
  t.strictSame([machines.state(mac(0)), machines.facts(mac(0))], [undefined, undefined], 'and then those that did')
  machines.discover(mac(1002), hour + 12)
  t.equal(machines.state(mac(1002)), undefined)
  t.equal(machines.all().size, 3000)
  db.exec('PRAGMA query_only = ON')
  machines.discover(mac(1002), 2 * hour)
  t.match(troubles, [/that 02:00:00:00:03:ea was seen cannot be written/])
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
  t.equal(tokens.settle(token, 'user-data', true), true)
  t.equal(tokens.settle(token, 'user-data', false), false, 'sent is sent')
  t.equal(tokens.settle(token, 'meta-data', false), true)
  t.ok(tokens.take(token, 'meta-data'), 'what was not sent may be asked for again')
  const restarted = new Tokens(db)
  t.equal(restarted.take(token, 'user-data'), false, 'also after a restart')
  t.ok(restarted.take(token, 'meta-data'), 'the server died while it was sent')
  t.equal(restarted.settle('unknown.x', 'meta-data', true), false)
  t.ok(tokens.isTag('n1', new Tokens(db).tag('n1')), 'the same after a restart')
  t.notOk(tokens.isTag('n2', tokens.tag('n1')))
  const stored = JSON.stringify(db.prepare('SELECT * FROM tokens').all())
  t.notOk(stored.includes(token.split('.')[1]!))
  tokens.issue('seed', grant, 4000_000)
  t.equal(db.prepare('SELECT * FROM tokens').all().length, 1, 'expired ones are removed')
})

t.test(
  'what happened to a machine: bounded, without every percentage, and the disk is not waited for in between',
  async (t) => {
    const folder = t.testdir()
    const db = openNetbootDatabase(folder)
    t.teardown(() => db.close())
    const machines = new Machines(db)
    for (let at = 1; at <= 300; at += 2) {
      machines.repave('n1', at, DEFAULT_WISH)
      machines.apply('n1', { type: 'cancel', at: at + 1 })
    }
    const all = machines.history('n1', 1000)
    t.equal(all.length, 200)
    t.equal(all.at(-1)?.at, 300, 'the newest of them')

    machines.repave('n2', 1, DEFAULT_WISH)
    const { token } = machines.boot('n2', 2)
    const steps = ['writes vda: 0 %', 'writes vda: 7 %', 'writes vda: 100 %', 'image verified', 'writes vdb: 1 %']
    for (const [i, step] of steps.entries()) {
      machines.apply('n2', { type: 'progress', at: 10 + i, token: token!, step })
      t.equal(machines.state('n2')?.detail, step)
    }
    t.strictSame(
      machines.history('n2').map(({ what }) => what),
      [
        'repave → discovered',
        'boot → booting',
        'progress → installing writes vda: 0 %',
        'progress image verified',
        'progress writes vdb: 1 %',
      ],
    )
    t.equal(db.prepare('PRAGMA synchronous').get()?.synchronous, 2, 'FULL, for all that is to last')
  },
)
