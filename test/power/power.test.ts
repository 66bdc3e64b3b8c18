/** Following a change until it is seen, with a controller in memory that behaves as told. */
import t from 'tap'
import type { PowerAction, PowerDriver, PowerState } from '../../src/power/driver.ts'
import { PowerError, type PowerErrorKind } from '../../src/power/errors.ts'
import { makePower } from '../../src/power/power.ts'

const TIMING = { pollMs: 5, repeatOnMs: 40, pauseMs: 5 }

/** `looks`: what each look at the state gives; the last one stays. An error kind is thrown. */
function scripted(looks: readonly (PowerState | PowerErrorKind)[], act: (action: PowerAction) => void = () => {}) {
  const acts: PowerAction[] = []
  let at = 0
  const driver: PowerDriver = {
    description: 'scripted',
    seesPower: true,
    async state() {
      const look = looks[Math.min(at++, looks.length - 1)]!
      if (look === 'on' || look === 'off' || look === 'unknown') return look
      throw new PowerError(look, 'n1', `the controller is ${look}`)
    },
    async act(action) {
      acts.push(action)
      act(action)
    },
    boot: async (target) => ({ target, once: true, notes: [] }),
    async [Symbol.asyncDispose]() {},
  }
  return { power: makePower('n1', driver, TIMING), acts }
}

const refuse = (): never => {
  throw new PowerError('refused', 'n1', 'no')
}

t.test('on and off', async (t) => {
  for (const [name, looks, verb, acts, result] of [
    ['on already', ['on'], 'on', [], 'on'],
    ['late', ['off', 'off', 'unknown', 'off', 'on'], 'on', ['on'], 'on'],
    ['off already', ['off'], 'soft', [], 'off'],
    ['soft', ['on', 'on', 'off'], 'soft', ['soft-off'], 'off'],
    ['hard', ['on', 'unknown', 'off'], 'hard', ['hard-off'], 'off'],
    [
      'the controller is away meanwhile',
      ['on', 'unreachable', 'protocol', 'refused', 'off'],
      'hard',
      ['hard-off'],
      'off',
    ],
    ['never soft', ['on'], 'soft', ['soft-off'], { kind: 'ignored', hint: /--force/ }],
    ['never hard: nobody is cut off twice', ['on'], 'hard', ['hard-off'], { kind: 'ignored' }],
    [
      'away at the end',
      ['on', 'on', 'unreachable'],
      'soft',
      ['soft-off'],
      { kind: 'unreachable', message: /nobody knows whether the host is off/ },
    ],
    ['locked out', ['off', 'auth'], 'on', ['on'], { kind: 'auth' }],
    ['another certificate', ['off', 'certificate'], 'on', ['on'], { kind: 'certificate' }],
    ['away at the beginning', ['unreachable'], 'on', [], { kind: 'unreachable' }],
  ] as const) {
    const { power, acts: done } = scripted(looks)
    const call = { timeoutMs: 80 }
    const promise = verb === 'on' ? power.on(call) : power.off({ ...call, force: verb === 'hard' })
    if (typeof result === 'string') t.equal(await promise, result, name)
    else await t.rejects(promise, { name: 'PowerError', ...result }, name)
    t.same(done, acts, `${name}: what was done`)
  }
})

t.test('a dropped "on" is said again', async (t) => {
  const { power, acts } = scripted(['off'])
  await t.rejects(power.on({ timeoutMs: 150 }), { name: 'PowerError', kind: 'ignored' })
  t.ok(acts.length >= 2 && acts.length <= 4, `${acts.length} times`)
})

t.test('a no to what has happened already', async (t) => {
  t.equal(await scripted(['off', 'on'], refuse).power.on(), 'on')
  await t.rejects(scripted(['off'], refuse).power.on(), { name: 'PowerError', kind: 'refused' })
})

t.test('cycle', async (t) => {
  const usual = scripted(['on', 'on', 'on', 'off', 'off', 'on'])
  t.equal(await usual.power.cycle({ force: false }), 'on')
  t.same(usual.acts, ['soft-off', 'on'])
  const wasOff = scripted(['off', 'off', 'on'])
  t.equal(await wasOff.power.cycle({ force: true }), 'on')
  t.same(wasOff.acts, ['on'])
  const stuck = scripted(['on'])
  await t.rejects(stuck.power.cycle({ force: false, timeoutMs: 50 }), { name: 'PowerError', kind: 'ignored' })
  t.same(stuck.acts, ['soft-off'], 'what does not go off is not turned on')
})

t.test('it stops when told, with the reason', async (t) => {
  const stop = new AbortController()
  const { power, acts } = scripted(['on'])
  setTimeout(() => stop.abort(new Error('stopped by hand')), 30)
  await t.rejects(power.off({ force: false, signal: stop.signal }), { message: 'stopped by hand' })
  t.same(acts, ['soft-off'])
  await t.rejects(power.on({ signal: stop.signal }), { message: 'stopped by hand' })
})
