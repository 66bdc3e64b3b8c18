import t from 'tap'
import {
  type MachineEvent,
  type MachineState,
  repavePending,
  restartPending,
  step,
} from '../../src/netboot/life-cycle.ts'
import fc from '../property.ts'

const HOUR = 3600_000
const WISH = { timeout: HOUR, valid: HOUR, retries: 1 }
const repave: MachineEvent = { type: 'repave', at: 1, token: 'A', until: HOUR, retries: 1 }
const boot = (at: number): MachineEvent => ({ type: 'boot', at })
const progress = (token: string): MachineEvent => ({ type: 'progress', at: 3, token, step: 'disk' })
const installed = (token: string): MachineEvent => ({ type: 'installed', at: 4, token })
const failed: MachineEvent = { type: 'failed', at: 4, token: 'A', reason: 'no disk' }
const reachable = (token: string): MachineEvent => ({ type: 'reachable', at: 5, token })
const tick = (at: number): MachineEvent => ({ type: 'tick', at, timeout: HOUR, token: 'B', valid: HOUR, reboot: WISH })
const cancel: MachineEvent = { type: 'cancel', at: 2 }

/** What happens, the phase it ends in, what its boots got, and whether an installer waits. */
const TABLE: [string, MachineEvent[], MachineState['phase'], string, boolean][] = [
  ['a stranger', [boot(1)], 'discovered', 'local', false],
  ['repave asked', [repave], 'discovered', '', true],
  ['once and no more', [repave, boot(2), boot(2), boot(3)], 'booting', 'installer local local', false],
  ['asked too long ago', [repave, boot(HOUR)], 'discovered', 'local', false],
  ['cancelled before', [repave, cancel, boot(2)], 'discovered', 'local', false],
  ['cancelled under way', [repave, boot(2), cancel, boot(3)], 'failed', 'installer local', false],
  [
    'to the end',
    [repave, boot(2), progress('A'), installed('A'), boot(5), reachable('A')],
    'reachable',
    'installer local',
    false,
  ],
  ['end without steps', [repave, boot(2), reachable('A')], 'reachable', 'installer', false],
  ['a step after the end', [repave, boot(2), installed('A'), progress('A')], 'installed', 'installer', false],
  ['reports before it was given out', [repave, progress('A'), reachable('A')], 'discovered', '', true],
  ['reports of another', [repave, boot(2), installed('X')], 'booting', 'installer', false],
  ['failed, and boots again', [repave, boot(2), failed, boot(5)], 'failed', 'installer local', false],
  ['power cut while it installs', [repave, boot(2), progress('A'), boot(4)], 'installing', 'installer local', false],
  ['not late yet', [repave, boot(2), tick(HOUR)], 'booting', 'installer', false],
  ['late, tried again', [repave, boot(2), tick(HOUR + 2), boot(HOUR + 3)], 'booting', 'installer installer', false],
  [
    'late, twice',
    [repave, boot(2), tick(HOUR + 2), boot(HOUR + 3), tick(3 * HOUR), boot(3 * HOUR)],
    'failed',
    'installer installer local',
    false,
  ],
  ['waits for power, is not late', [repave, tick(HOUR - 1)], 'discovered', '', true],
  ['again while under way', [repave, boot(2), { ...repave, token: 'C' }, boot(3)], 'booting', 'installer local', false],
  [
    'again after the end',
    [repave, boot(2), reachable('A'), { ...repave, token: 'C' }, boot(6)],
    'booting',
    'installer installer',
    false,
  ],
]

const restart: MachineEvent = { type: 'restart', at: 1, until: HOUR, retries: 1, force: false }
const restarting = (at: number): MachineEvent => ({ type: 'restarting', at })

/** What happens, what it ends with, whether power control is to be told, and whether something was given up. */
const RESTARTS: [string, MachineEvent[], string | undefined, boolean, string?][] = [
  ['asked', [restart], undefined, true],
  ['asked again before it began', [restart, { ...restart, at: 2, force: true }], undefined, true],
  ['asked too long ago', [restart, tick(HOUR)], undefined, false],
  ['begun', [restart, restarting(2)], 'restarts', false],
  ['begun once', [restart, restarting(2), restarting(3)], 'restarts', false],
  ['seen to boot', [restart, restarting(2), boot(3)], 'restarted, boots its local disk', false],
  [
    'has no profile, seen to boot',
    [restart, restarting(2), { type: 'local', at: 3 }],
    'restarted, boots its local disk',
    false,
  ],
  ['restarted by hand', [restart, boot(3)], 'restarted, boots its local disk', false],
  ['not late yet', [restart, restarting(2), tick(HOUR)], 'restarts', false],
  [
    'late, tried again',
    [restart, restarting(2), tick(HOUR + 2)],
    'was not seen to boot from the network for 60 minutes; restarted once more',
    true,
  ],
  [
    'late, twice',
    [restart, restarting(2), tick(HOUR + 2), restarting(HOUR + 3), tick(3 * HOUR)],
    'was not seen to boot from the network for 60 minutes; the reboot is given up',
    false,
    'reboot',
  ],
  [
    'power control refuses',
    [{ ...restart, retries: 0 }, restarting(2), { type: 'not-restarted', at: 3, reason: 'no power' }, tick(HOUR + 2)],
    'no power; the reboot is given up',
    false,
    'reboot',
  ],
  ['cancelled', [restart, { type: 'cancel-restart', at: 2 }], 'reboot cancelled', false],
  ['not while it installs', [repave, boot(2), restart], undefined, false],
  ['begins before the installer, and not in its midst', [repave, restart, boot(2), restarting(3)], undefined, false],
  ['for a repave', [{ ...repave, restart: { until: HOUR, retries: 0 } }], undefined, true],
  [
    'cancelled with its repave',
    [{ ...repave, restart: { until: HOUR, retries: 0 } }, cancel],
    'repave cancelled',
    false,
  ],
  [
    'for each try of a repave',
    [{ ...repave, restart: { until: HOUR, retries: 0 } }, restarting(2), boot(3), tick(HOUR + 3)],
    'nothing of an end was heard for 60 minutes; may try again',
    true,
  ],
  [
    'a repave is given up',
    [{ ...repave, retries: 0 } as MachineEvent, boot(3), tick(HOUR + 3)],
    'nothing of an end was heard for 60 minutes',
    false,
    'repave',
  ],
]
for (const [name, events, detail, pending, gaveUp] of RESTARTS) {
  t.test(`restart: ${name}`, async (t) => {
    let state: MachineState | undefined
    let last: string | undefined
    for (const event of events) ({ state, gaveUp: last } = step(state, event))
    t.equal(state?.detail, detail)
    t.equal(restartPending(state, events.at(-1)!.at), pending)
    t.equal(last, gaveUp)
  })
}

for (const [name, events, phase, boots, pending] of TABLE) {
  t.test(name, async (t) => {
    let state: MachineState | undefined
    const got: string[] = []
    for (const event of events) {
      const { state: next, boot } = step(state, event)
      state = next
      if (boot) got.push(boot)
    }
    t.equal(state?.phase, phase)
    t.equal(got.join(' '), boots)
    t.equal(repavePending(state, events.at(-1)!.at), pending)
  })
}

t.test('a state that makes no sense boots the local disk', async (t) => {
  const base = { phase: 'discovered', since: 0 } as const
  for (const wrong of [
    { token: '', asked: 0, until: HOUR, retries: 0 },
    { token: 'A', asked: 0, until: Number.NaN, retries: 0 },
    { token: 'A', asked: 0, until: undefined as unknown as number, retries: 0 },
    { token: 'A', asked: 0, until: HOUR, served: 0, retries: 0 },
  ]) {
    t.equal(step({ ...base, repave: wrong }, boot(1)).boot, 'local', JSON.stringify(wrong))
  }
})

const token = fc.constantFrom('A', 'B', 'C')
const at = fc.integer({ min: 0, max: 3 * HOUR })
const event: fc.Arbitrary<MachineEvent> = fc.oneof(
  fc.record({ type: fc.constant('seen' as const), at }),
  fc.record({ type: fc.constant('boot' as const), at }),
  fc.record({ type: fc.constant('cancel' as const), at }),
  fc.record({ type: fc.constant('progress' as const), at, token, step: fc.string() }),
  fc.record({ type: fc.constant('installed' as const), at, token }),
  fc.record({ type: fc.constant('failed' as const), at, token, reason: fc.string() }),
  fc.record({ type: fc.constant('reachable' as const), at, token }),
  fc.record({ type: fc.constant('repave' as const), at, token, until: at, retries: fc.nat(2) }),
  fc.record({ type: fc.constant('tick' as const), at, timeout: at, token, valid: at, reboot: fc.constant(WISH) }),
  fc.record({ type: fc.constant('restart' as const), at, until: at, retries: fc.nat(2), force: fc.boolean() }),
  fc.record({ type: fc.constant('restarting' as const), at }),
  fc.record({ type: fc.constant('not-restarted' as const), at, reason: fc.string() }),
  fc.record({ type: fc.constant('cancel-restart' as const), at }),
  fc.record({ type: fc.constant('local' as const), at }),
)

t.test('no order of events gives out more installers than were asked for, or one that nobody asked for', async () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40, size: 'max' }), (events) => {
      let state: MachineState | undefined
      let allowed = 0
      for (const one of events) {
        const before = state
        const { state: next, boot, refused } = step(state, one)
        if (one.type === 'repave' && !refused) allowed += 1 + one.retries
        // Power is never cut in the midst of an installation.
        if (
          one.type === 'restarting' &&
          before &&
          next !== before &&
          ['booting', 'installing'].includes(before.phase)
        ) {
          if (before.repave?.served !== undefined) return false
        }
        if (boot === 'installer') {
          allowed--
          if (one.type !== 'boot' || !repavePending(before, one.at)) return false
          if (next.repave?.served === undefined || repavePending(next, one.at)) return false
        }
        if (one.type !== 'repave' && one.type !== 'tick' && !repavePending(before, 0) && repavePending(next, 0))
          return false
        state = next
      }
      return allowed >= 0
    }),
    { numRuns: 2000 },
  )
})
