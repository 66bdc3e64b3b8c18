/** Power control that can be trusted: every change is followed until it is seen to have happened. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { HostPower, PowerCall } from '../shared/power.ts'
import type { BootOverride, BootTarget, PowerAction, PowerDriver, PowerState } from './driver.ts'
import { PowerError } from './errors.ts'

export type { PowerCall }

/** The power of one host. Methods throw PowerError, and the signal's reason when it aborts. */
export interface Power extends HostPower {
  /** Off as above, a pause, on. A host that is off is turned on. */
  cycle(call: PowerCall & { readonly force: boolean }): Promise<PowerState>
  /** Restarts without asking the operating system. No controller tells whether it happened; a new boot_id does. */
  reset(call?: PowerCall): Promise<void>
  /** From where the next boot comes; read back. That it comes from there is proven by the host alone. */
  bootOnce(target: BootTarget, call?: PowerCall): Promise<BootOverride>
}

export interface PowerTiming {
  /** Milliseconds between looks at the state. */
  readonly pollMs: number
  /** A controller that is busy drops what it has accepted: `on` is said again after so many milliseconds. */
  readonly repeatOnMs: number
  /** Milliseconds that a host stays off in a cycle, so that power supplies discharge. */
  readonly pauseMs: number
}

const DEFAULT_TIMEOUT_MS = 300_000
const TIMING: PowerTiming = { pollMs: 2_000, repeatOnMs: 45_000, pauseMs: 5_000 }

export function makePower(host: string, driver: PowerDriver, timing: PowerTiming = TIMING): Power {
  const deadlineOf = ({ signal, timeoutMs = DEFAULT_TIMEOUT_MS }: PowerCall): Deadline => {
    const timeout = AbortSignal.timeout(timeoutMs)
    return {
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      timeout,
      caller: signal,
      until: performance.now() + timeoutMs,
      timeoutMs,
    }
  }

  /** Whatever ends because of our own deadline is a controller that does not answer, not a crash. */
  const within = async <T>(call: PowerCall, work: (deadline: Deadline) => Promise<T>): Promise<T> => {
    call.signal?.throwIfAborted()
    const deadline = deadlineOf(call)
    try {
      return await work(deadline)
    } catch (error) {
      call.signal?.throwIfAborted()
      if (error instanceof PowerError || !deadline.timeout.aborted) throw error
      throw new PowerError('unreachable', host, `no answer within ${seconds(deadline.timeoutMs)}`, {
        cause: error,
        hint: `asked: ${driver.description}`,
      })
    }
  }

  /** Does the action unless the state is there already, and waits for the state. */
  const reach = async (wanted: 'on' | 'off', action: PowerAction, deadline: Deadline): Promise<PowerState> => {
    if ((await driver.state(deadline.signal)) === wanted) return wanted
    await act(action, wanted, deadline)
    if (!driver.seesPower) return 'unknown'
    let repeatAt = performance.now() + timing.repeatOnMs
    let last: PowerState | undefined
    let trouble: unknown
    for (;;) {
      try {
        last = await driver.state(deadline.signal)
        if (last === wanted) return wanted
        trouble = undefined
        // Only `on` is said again: nobody must lose power twice by one command.
        if (action === 'on' && last === 'off' && performance.now() > repeatAt) {
          repeatAt = performance.now() + timing.repeatOnMs
          await act(action, wanted, deadline)
        }
      } catch (error) {
        // Controllers restart their web server, lose sessions, are busy: all that counts is what is seen at the end.
        if (!(error instanceof PowerError) || ['auth', 'certificate'].includes(error.kind)) {
          if (!deadline.timeout.aborted) throw error
        }
        // A look that the deadline cut short says nothing against what was seen before.
        if (last === undefined || !deadline.timeout.aborted) trouble = error
      }
      if (performance.now() + timing.pollMs > deadline.until) {
        throw notReached(host, wanted, action, last ?? 'unknown', deadline.timeoutMs, trouble)
      }
      await pause(timing.pollMs, deadline.caller)
    }
  }

  /** A controller may say no to what has happened by itself meanwhile. */
  const act = async (action: PowerAction, wanted: 'on' | 'off', { signal }: Deadline): Promise<void> => {
    try {
      await driver.act(action, signal)
    } catch (error) {
      if (!(error instanceof PowerError) || error.kind !== 'refused') throw error
      if ((await driver.state(signal)) !== wanted) throw error
    }
  }

  const off = (force: boolean, deadline: Deadline): Promise<PowerState> =>
    reach('off', force ? 'hard-off' : 'soft-off', deadline)

  return {
    description: driver.description,
    get seesPower() {
      return driver.seesPower
    },
    wakes: driver.wakes ?? [],
    state: (call = {}) => within(call, ({ signal }) => driver.state(signal)),
    on: (call = {}) => within(call, (deadline) => reach('on', 'on', deadline)),
    off: (call) => within(call, (deadline) => off(call.force, deadline)),
    async cycle(call) {
      const was = await this.state(call)
      if (was !== 'off') {
        const now = await this.off(call)
        if (now !== 'off') {
          throw new PowerError(
            'unsupported',
            host,
            'it cannot be seen whether the host is off, so it was not turned on',
            {
              hint: 'a cycle needs power control that reads the state: redfish, ipmi, or a command that prints it',
            },
          )
        }
        await pause(timing.pauseMs, call.signal)
      }
      return this.on(call)
    },
    reset: (call = {}) =>
      within(call, async ({ signal }) => {
        if ((await driver.state(signal)) === 'off') {
          throw new PowerError('refused', host, 'the host is off, so there is nothing to reset', {
            hint: `runbook power on ${host}`,
          })
        }
        await driver.act('reset', signal)
      }),
    bootOnce: (target, call = {}) => within(call, ({ signal }) => driver.boot(target, signal)),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  }
}

interface Deadline {
  /** Aborts at the deadline and when the caller says so. */
  readonly signal: AbortSignal
  readonly timeout: AbortSignal
  readonly caller: AbortSignal | undefined
  /** On the clock of performance.now(). */
  readonly until: number
  readonly timeoutMs: number
}

/** Throws the signal's reason when it aborts. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    signal?.throwIfAborted()
    throw error
  })
}

function notReached(
  host: string,
  wanted: 'on' | 'off',
  action: PowerAction,
  last: PowerState,
  timeoutMs: number,
  trouble: unknown,
): PowerError {
  const time = seconds(timeoutMs)
  if (trouble !== undefined) {
    const why = trouble instanceof Error ? trouble.message : String(trouble)
    return new PowerError('unreachable', host, `nobody knows whether the host is ${wanted}: ${why}`, {
      cause: trouble,
      hint: `${action} was accepted; look before you repeat it: runbook power status ${host}`,
    })
  }
  const hint = {
    on: 'look at the console and the power supply; some controllers refuse without saying so (no firmware licence, power cap)',
    'soft-off': `the operating system does not shut down, or ignores the power button; --force cuts the power: runbook power off --force ${host}`,
    'hard-off':
      'the controller said yes and did nothing: restart the controller (ipmitool mc reset cold), or pull the plug',
    reset: '',
  }[action]
  return new PowerError('ignored', host, `${action} was accepted, but after ${time} the host is ${said(last)}`, {
    hint,
  })
}

const said = (state: PowerState): string =>
  state === 'unknown' ? 'in a state that the controller does not tell' : state
const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`
