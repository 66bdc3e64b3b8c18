/** Redfish against a controller with real ones' faults; against a real emulator: peers.test.ts. */
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseFingerprint } from '../../src/power/certificates.ts'
import type { DriverContext, PowerDriver } from '../../src/power/driver.ts'
import { makePower, type Power } from '../../src/power/power.ts'
import { judge } from '../../src/power/redfish/boot.ts'
import { type RedfishSettings, redfishDriver, stateOf } from '../../src/power/redfish/driver.ts'
import { type Json, messagesOf } from '../../src/power/redfish/json.ts'
import fc from '../property.ts'
import { type FakeBmc, LOGIN, type Quirks, selfSigned, startFakeBmc } from './fake-bmc.ts'

const FAST = { pollMs: 20, repeatOnMs: 10_000, pauseMs: 10 }

interface Opened {
  readonly driver: PowerDriver
  readonly power: Power
  readonly notes: string[]
  readonly secrets: string[]
}

function open(t: Test, bmc: FakeBmc, settings: Partial<RedfishSettings> = {}): Opened {
  const notes: string[] = []
  const secrets: string[] = []
  const context: DriverContext = { host: 'n1', note: (text) => notes.push(text), addSecret: (s) => secrets.push(s) }
  const driver = redfishDriver(
    {
      base: bmc.base,
      ...LOGIN,
      certificate: { mode: 'remember' },
      firmware: 'uefi',
      folder: settings.folder ?? t.testdir({}),
      retryMs: 10,
      looks: [0, 5],
      ...settings,
    },
    context,
  )
  t.teardown(() => driver[Symbol.asyncDispose]())
  return { driver, power: makePower('n1', driver, FAST), notes, secrets }
}

async function fake(t: Test, quirks?: Quirks): Promise<FakeBmc> {
  const bmc = await startFakeBmc(quirks)
  t.teardown(() => bmc[Symbol.asyncDispose]())
  return bmc
}

const never = new AbortController().signal

t.test('on, off, cycle, reset, each seen to happen', async (t) => {
  const bmc = await fake(t, { lateLooks: 3 })
  const { power, secrets } = open(t, bmc)
  t.equal(await power.state(), 'off')
  t.equal(await power.on(), 'on')
  t.equal(bmc.state.power, 'On')
  t.equal(await power.on(), 'on', 'again is nothing to do')
  t.equal(bmc.requests.filter(({ method, path }) => method === 'POST' && path.endsWith('Reset')).length, 1)
  t.equal(await power.cycle({ force: true }), 'on')
  await power.reset()
  t.equal(await power.off({ force: false }), 'off')
  t.equal(bmc.state.power, 'Off')
  const types = bmc.requests.flatMap(({ body }) => (body?.ResetType ? [body.ResetType] : []))
  t.same(types, ['On', 'ForceOff', 'On', 'ForceRestart', 'GracefulShutdown'], 'the power is cut only by force')
  await t.rejects(power.reset(), { name: 'PowerError', kind: 'refused', hint: 'runbook power on n1' })
  t.ok(secrets.includes(LOGIN.password), 'the password is told before its use')
  t.equal(bmc.state.sessions.size, 1, 'one session for all of it')
  await power[Symbol.asyncDispose]()
  t.equal(bmc.state.sessions.size, 0, 'and it is ended')
})

t.test('a controller that says yes and does nothing', async (t) => {
  const bmc = await fake(t, { lateLooks: 'never' })
  const { power } = open(t, bmc)
  await t.rejects(power.on({ timeoutMs: 300 }), {
    name: 'PowerError',
    kind: 'ignored',
    message: /on was accepted, but after 0.3 s the host is off/,
  })
  bmc.state.power = 'On'
  await t.rejects(power.off({ force: false, timeoutMs: 300 }), {
    name: 'PowerError',
    kind: 'ignored',
    hint: /--force n1/,
  })
  bmc.state.power = 'PoweringOff'
  await t.rejects(
    power.off({ force: true, timeoutMs: 300 }),
    { name: 'PowerError', kind: 'ignored' },
    'powering off is not off',
  )
})

t.test('what a controller takes', async (t) => {
  for (const [quirks, action, sent] of [
    [{ resetsIn: 'info', resets: ['ForceOn'] }, 'on', ['ForceOn']],
    [{ resetsIn: 'nowhere', resets: ['ForceOn'] }, 'on', ['On', 'ForceOn']],
    [{ resets: ['PushPowerButton'] }, 'on', ['PushPowerButton']],
  ] as const) {
    const bmc = await fake(t, quirks)
    await open(t, bmc).driver.act(action, never)
    t.same(
      bmc.requests.flatMap(({ body }) => (body?.ResetType ? [body.ResetType] : [])),
      sent,
    )
  }
  const bmc = await fake(t, { resets: ['On', 'ForceOff'] })
  bmc.state.power = 'On'
  await t.rejects(open(t, bmc).power.off({ force: false }), {
    name: 'PowerError',
    kind: 'unsupported',
    message: /cannot do soft-off: it offers On, ForceOff/,
    hint: /--force/,
  })
})

t.test('login', async (t) => {
  const basic = await fake(t, { basicOnly: true })
  t.equal(await open(t, basic).power.state(), 'off', 'the password where there are no sessions')

  const short = await fake(t, { sessionRequests: 3 })
  const { driver } = open(t, short)
  for (let i = 0; i < 10; i++) t.equal(await driver.state(never), 'off')
  const logins = short.requests.filter(({ path, method }) => path === '/redfish/v1/Sess' && method === 'POST').length
  t.ok(logins > 1 && logins < 6, 'a session that is gone is made anew')

  const wrong = await fake(t)
  await t.rejects(open(t, wrong, { password: 'wrong one' }).power.on(), {
    name: 'PowerError',
    kind: 'auth',
    hint: /lock/,
  })
  t.ok(wrong.requests.length <= 6, 'and not tried again and again')
})

t.test('busy and slow controllers', async (t) => {
  const bmc = await fake(t, { busy: 3 })
  t.equal(await open(t, bmc).power.state(), 'off')
  const forever = await fake(t, { busy: 1_000 })
  await t.rejects(open(t, forever).power.state(), {
    name: 'PowerError',
    kind: 'unreachable',
    message: /busy: 503 to 6 tries/,
  })
  const slow = await fake(t, { slowMs: 3_000 })
  await t.rejects(open(t, slow, { requestTimeoutMs: 100 }).power.state(), {
    name: 'PowerError',
    kind: 'unreachable',
    message: /within 0.1 s/,
  })
  await t.rejects(open(t, slow).power.state({ timeoutMs: 100 }), {
    name: 'PowerError',
    kind: 'unreachable',
    message: /within 0.1 s/,
  })
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('stopped by hand')), 50)
  await t.rejects(open(t, slow).power.state({ signal: stop.signal }), { message: 'stopped by hand' })
  const gone = await fake(t)
  await gone[Symbol.asyncDispose]()
  await t.rejects(open(t, gone).power.state(), { name: 'PowerError', kind: 'unreachable', message: /ECONNREFUSED/ })
})

t.test('a port that takes connections and says nothing', async (t) => {
  const server = createServer()
  const sockets: Promise<unknown>[] = []
  server.on('connection', (socket) => sockets.push(once(socket.resume(), 'close')))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => void server.close())
  const base = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  const { power } = open(t, await fake(t), { base, requestTimeoutMs: 200 })
  await t.rejects(power.state(), { name: 'PowerError', kind: 'unreachable', message: /did not answer within 0.2 s/ })
  t.equal(sockets.length, 1)
  await Promise.all(sockets)
  t.pass('and no connection is left')
})

t.test('redirects stay with the controller', async (t) => {
  t.equal(await open(t, await fake(t, { redirectRoot: '/redfish/v1/root' })).power.state(), 'off')
  const away = await fake(t, { redirectRoot: 'https://127.0.0.1:1/redfish/v1/root' })
  await t.rejects(open(t, away).power.state(), { name: 'PowerError', kind: 'protocol', message: /not followed/ })
  const around = await fake(t, { redirectRoot: '/redfish/v1/' })
  await t.rejects(open(t, around).power.state(), { name: 'PowerError', kind: 'protocol' })
})

t.test('what a controller says stands elsewhere is not asked for there', async (t) => {
  const tls = selfSigned()
  const elsewhere = await fake(t, { tls })
  const { power } = open(t, await fake(t, { tls, systemsAt: `//127.0.0.1:${elsewhere.port}` }))
  await t.rejects(power.state(), {
    name: 'PowerError',
    kind: 'protocol',
    message: /names 127\.0\.0\.1:\d+ for its own/,
  })
  t.same(elsewhere.requests, [], 'no token goes there')
})

t.test('the power button is not pressed on top of what is happening', async (t) => {
  const bmc = await fake(t, { resetsIn: 'nowhere', resets: ['On', 'PushPowerButton'], resetSays: 500 })
  const { power } = open(t, bmc)
  t.equal(await power.on(), 'on')
  t.same(
    bmc.requests.flatMap(({ body }) => (body?.ResetType ? [body.ResetType] : [])),
    ['On', 'ForceOn'],
  )
})

t.test('several systems', async (t) => {
  const systems = [
    { Id: 'node-a', Name: 'A', SerialNumber: 'S-100', UUID: '0000-AA' },
    { Id: 'node-b', Name: 'B', SerialNumber: 'S-200', UUID: '0000-BB' },
    { Id: 'node-c', Name: 'B', SerialNumber: 'S-300', UUID: '0000-CC' },
  ]
  const bmc = await fake(t, { systems })
  for (const [system, id] of [
    ['node-b', 'node-b'],
    ['s-200', 'node-b'],
    ['0000-cc', 'node-c'],
    ['A', 'node-a'],
  ]) {
    const { driver } = open(t, bmc, { system })
    await driver.act('on', never)
    t.match(bmc.requests.at(-1), { path: `/redfish/v1/Systems/${id}/Actions/ComputerSystem.Reset` }, system!)
  }
  await t.rejects(open(t, bmc).power.state(), {
    name: 'PowerError',
    kind: 'unsupported',
    message: /there are 3 systems.*node-a.*S-100/,
  })
  await t.rejects(open(t, bmc, { system: 'x' }).power.state(), { message: /no system is called "x": there is node-a/ })
  await t.rejects(open(t, bmc, { system: 'b' }).power.state(), { message: /more than one system is called "b"/ })
  await t.rejects(open(t, await fake(t, { systems: [] })).power.state(), {
    name: 'PowerError',
    kind: 'protocol',
    message: /is empty/,
  })
})

t.test('boot from the network, as vendors have it', async (t) => {
  for (const [name, quirks, writes, once] of [
    ['as the standard says', {}, 1, true],
    ['Supermicro: forgets a mode that is not sent', { mode: 'sent' }, 1, true],
    ['HPE: refuses the mode', { mode: 'refused' }, 2, true],
    ['Supermicro X10: knows no mode', { mode: 'absent' }, 1, true],
    ['wants a mode that it does not show', { mode: 'required' }, 2, true],
    ['AMI: at the settings resource only', { settingsOnly: true }, 3, true],
    ['AMI, and the mode refused', { settingsOnly: true, mode: 'refused' }, 4, true],
    ['wants If-Match', { etag: 'required' }, 1, true],
    ['wants the strong form of its weak tag', { etag: 'strong' }, 2, true],
    ['stumbles over If-Match', { etag: 'broken' }, 4, true],
    ['keeps it for every boot', { enabledAs: 'Continuous' }, 1, false],
    ['says yes to Once and stores Disabled', { enabledAs: 'Disabled' }, 3, false],
  ] as const satisfies readonly (readonly [string, Quirks, number, boolean])[]) {
    const bmc = await fake(t, quirks)
    const { power } = open(t, bmc)
    const override = await power.bootOnce('pxe')
    t.match(override, { target: 'pxe', once }, name)
    t.equal(override.notes.length, once ? 0 : 1, 'a note when it has to be taken back')
    t.match(bmc.state.boot, {
      BootSourceOverrideTarget: 'Pxe',
      BootSourceOverrideEnabled: once ? 'Once' : 'Continuous',
    })
    t.equal(bmc.requests.filter(({ method }) => method === 'PATCH').length, writes, `${name}: writes`)
    await power.bootOnce('none')
    t.match(bmc.state.boot, { BootSourceOverrideEnabled: 'Disabled' }, `${name}: taken back`)
  }
  const deaf = await fake(t, { target: 'ignored' })
  await t.rejects(open(t, deaf).power.bootOnce('pxe'), {
    name: 'PowerError',
    kind: 'ignored',
    message: /UEFI: HTTP status 200, but it then reads Enabled Once, Target None, Mode UEFI\n/,
  })
  await t.rejects(open(t, deaf).power.bootOnce('cd'), {
    name: 'PowerError',
    kind: 'unsupported',
    message: /it offers None, Pxe, Hdd/,
  })
})

t.test('certificates', async (t) => {
  const first = selfSigned()
  const bmc = await fake(t, { tls: first })
  const folder = t.testdir({})
  const { power, notes } = open(t, bmc, { folder })
  await power.state()
  t.match(
    notes,
    [`127.0.0.1:${bmc.port} was recorded at first sight: SHA256:${first.sha256}`].map((s) => new RegExp(s)),
  )
  const store = join(folder, '.runbook/bmc-certificates')
  const file = join(store, readdirSync(store)[0]!)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(statSync(join(folder, '.runbook')).mode & 0o777, 0o700)
  t.match(JSON.parse(readFileSync(file, 'utf8')), { sha256: `SHA256:${first.sha256}`, subject: 'bmc' })
  const again = open(t, bmc, { folder })
  await again.power.state()
  t.same(again.notes, [], 'known from now on')

  const other = selfSigned()
  writeFileSync(file, readFileSync(file, 'utf8').replace(first.sha256, other.sha256))
  const before = bmc.requests.length
  await t.rejects(open(t, bmc, { folder }).power.on(), {
    name: 'PowerError',
    kind: 'certificate',
    message: /CHANGED/,
    hint: /remove that file/,
  })
  t.equal(bmc.requests.length, before, 'nothing was sent to it')
  writeFileSync(file, '{')
  await t.rejects(open(t, bmc, { folder }).power.on(), {
    name: 'PowerError',
    kind: 'certificate',
    hint: /remove the file/,
  })

  const pin = (text: string) => ({ sha256: parseFingerprint(text)! })
  t.equal(await open(t, bmc, { folder, certificate: pin(first.sha256) }).power.state(), 'off', 'pinned')
  await t.rejects(open(t, bmc, { certificate: pin(other.sha256) }).power.state(), {
    name: 'PowerError',
    kind: 'certificate',
    hint: new RegExp(`expected SHA256:${other.sha256}, it shows SHA256:${first.sha256}`),
  })
  await t.rejects(open(t, bmc, { certificate: { mode: 'verify' } }).power.state(), {
    name: 'PowerError',
    kind: 'certificate',
    message: /not trusted/,
  })
  t.equal(
    bmc.requests.filter(({ authorized }) => authorized).length,
    bmc.requests.filter(({ path, method }) => path.includes('Systems') || method === 'DELETE').length,
  )
})

t.test('two at once record a certificate once', async (t) => {
  const bmc = await fake(t)
  const folder = t.testdir({})
  const all = Array.from({ length: 6 }, () => open(t, bmc, { folder }))
  await Promise.all(all.map(({ power }) => power.state()))
  t.equal(readdirSync(join(folder, '.runbook/bmc-certificates')).length, 1)
  t.equal(all.flatMap(({ notes }) => notes).length, 1, 'and say so once')
})

t.test('fingerprints as people write them', async (t) => {
  const { sha256 } = selfSigned()
  const plain = sha256.replaceAll(':', '').toLowerCase()
  for (const text of [sha256, `SHA256:${sha256}`, `sha-256=${plain}`, ` ${plain.toUpperCase()} `])
    t.equal(parseFingerprint(text), plain)
  for (const text of ['', 'remember', plain.slice(1), `${plain}0`, `g${plain.slice(1)}`])
    t.equal(parseFingerprint(text), undefined)
})

t.test('whatever a controller answers, reading it does not throw', async () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      for (const { text } of messagesOf(value)) if (/[\n\x1b]/.test(text)) throw new Error('not one line')
      const json = (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}) as Json
      stateOf(json)
      judge(json, 'pxe', 'uefi')
    }),
  )
  const error = { error: { '@Message.ExtendedInfo': [{ MessageId: 'Base.1.0.X', Message: 'a\u001b[31m\nb.' }] } }
  t.same(messagesOf(error), [{ id: 'X', text: 'a [31m b' }])
})
