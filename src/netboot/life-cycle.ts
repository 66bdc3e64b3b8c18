/**
 * What a machine boots, as a pure function of what happened to it. One rule stands above all: what writes to disks is
 * given out once for each repave that an operator asked for, and everything else boots the local disk.
 */

/**
 * - `discovered`: seen on the network, nothing done
 * - `booting`: an installer was given to it, nothing heard from it yet
 * - `installing`: the installer reports
 * - `installed`: the installer said it is done
 * - `reachable`: the installed system said it is up
 * - `failed`: the installer said so, or nothing was heard in time
 */
export const PHASES = ['discovered', 'booting', 'installing', 'installed', 'reachable', 'failed'] as const
export type Phase = (typeof PHASES)[number]

/** An operator's wish to install a machine anew. Times are milliseconds since the epoch. */
export interface Repave {
  /** Names this one wish; what the installer reports must carry it. Not a secret. */
  readonly token: string
  readonly asked: number
  /** Until when it may begin: a wish that was forgotten must not wipe a machine that reboots next year. */
  readonly until: number
  /** When the installer was given out. From then on this wish gives out nothing. */
  readonly served?: number | undefined
  /** How many more times it may be asked for again when it times out. */
  readonly retries: number
  /** The installer tells nothing: see KernelProfile.reports. */
  readonly silent?: boolean | undefined
  /** Whether the machine is restarted for it through its power control, for each try. */
  readonly restart?: boolean | undefined
}

/** A wish that the machine restarts. It is fulfilled when the machine is seen to boot from the network. */
export interface Restart {
  readonly asked: number
  /** Until when it may begin. */
  readonly until: number
  /** When power control was told. Written down before that, so that a crash in between restarts nothing twice. */
  readonly begun?: number | undefined
  readonly retries: number
  /** Cuts the power, and does not ask the operating system. */
  readonly force: boolean
}

export interface MachineState {
  readonly phase: Phase
  /** When the phase began. */
  readonly since: number
  readonly repave?: Repave | undefined
  readonly restart?: Restart | undefined
  /** The installer's last step, or why it failed. */
  readonly detail?: string | undefined
}

export type MachineEvent =
  /** Was seen on the network. */
  | { readonly type: 'seen'; readonly at: number }
  /** Asks what to boot, and gets it: the only event with a `boot` in its result. */
  | { readonly type: 'boot'; readonly at: number; readonly silent?: boolean | undefined }
  /** Asked what to boot, and gets its local disk whatever its state is. */
  | { readonly type: 'local'; readonly at: number }
  | {
      readonly type: 'repave'
      readonly at: number
      readonly token: string
      readonly until: number
      readonly retries: number
      /** Restart it for that; times as for `restart`. */
      readonly restart?: { readonly until: number; readonly retries: number } | undefined
    }
  | { readonly type: 'cancel'; readonly at: number }
  | {
      readonly type: 'restart'
      readonly at: number
      readonly until: number
      readonly retries: number
      readonly force: boolean
    }
  | { readonly type: 'cancel-restart'; readonly at: number }
  /** Power control is about to be told. */
  | { readonly type: 'restarting'; readonly at: number }
  /** Power control refused, or could not be reached. */
  | { readonly type: 'not-restarted'; readonly at: number; readonly reason: string }
  | { readonly type: 'progress'; readonly at: number; readonly token: string; readonly step: string }
  | { readonly type: 'installed'; readonly at: number; readonly token: string }
  | { readonly type: 'failed'; readonly at: number; readonly token: string; readonly reason: string }
  /** The installed system is up (phone-home). */
  | { readonly type: 'reachable'; readonly at: number; readonly token: string }
  /** A look at the clock. `token` names the next try, if there is one. */
  | {
      readonly type: 'tick'
      readonly at: number
      readonly timeout: number
      readonly token: string
      readonly valid: number
      /** Of restarts. */
      readonly reboot: { readonly timeout: number; readonly valid: number; readonly retries: number }
    }

export interface Transition {
  readonly state: MachineState
  readonly boot?: 'installer' | 'local' | undefined
  /** Why the event changed nothing, where somebody should know. */
  readonly refused?: string | undefined
  /** What is not tried any more: the settings say what is done with the machine. */
  readonly gaveUp?: 'repave' | 'reboot' | undefined
}

/** Whether an installer would be given out now. */
export function repavePending(state: MachineState | undefined, now: number): boolean {
  const repave = state?.repave
  // Spelt so that a time that is no number is never pending.
  return repave !== undefined && repave.token !== '' && repave.served === undefined && repave.until > now
}

/** Whether power control is to be told now. */
export function restartPending(state: MachineState | undefined, now: number): boolean {
  const restart = state?.restart
  return restart !== undefined && restart.begun === undefined && restart.until > now
}

/** The state after an event. `undefined` is a machine that nothing is known of. */
export function step(before: MachineState | undefined, event: MachineEvent): Transition {
  const state: MachineState = before ?? { phase: 'discovered', since: event.at }
  const { repave, restart } = state
  const to = (phase: Phase, change: Partial<MachineState> = {}): Transition => ({
    state: { repave, restart, ...change, phase, since: phase === state.phase ? state.since : event.at },
  })
  /** To boot from the network is what a restart waits for. */
  const restarted = (): Transition => {
    if (repave?.silent && state.phase === 'installing') {
      return to('installed', { repave: undefined, restart: undefined, detail: 'booted after its installer' })
    }
    return restart ? to(state.phase, { restart: undefined, detail: 'restarted, boots its local disk' }) : { state }
  }
  const busy = repave?.served !== undefined && underWay(state)
  switch (event.type) {
    case 'seen':
      return { state }
    case 'repave': {
      if (busy) return { state, refused: `is ${state.phase}; cancel that first` }
      const { at, token, until, retries } = event
      return to(state.phase, {
        detail: state.detail,
        repave: { token, asked: at, until, retries, restart: event.restart && true },
        restart: event.restart ? { asked: at, force: true, ...event.restart } : restart,
      })
    }
    case 'cancel':
      if (repave === undefined) return { state, refused: 'has no repave to cancel' }
      return to(underWay(state) ? 'failed' : state.phase, {
        repave: undefined,
        restart: repave.restart ? undefined : restart,
        detail: 'repave cancelled',
      })
    case 'restart': {
      if (busy) return { state, refused: `is ${state.phase}; cancel that first` }
      if (restart?.begun !== undefined) return { state, refused: 'is restarting; cancel that first' }
      const { at, until, retries, force } = event
      return to(state.phase, { detail: state.detail, restart: { asked: at, until, retries, force } })
    }
    case 'cancel-restart':
      if (restart === undefined) return { state, refused: 'has no reboot to cancel' }
      return to(state.phase, { restart: undefined, detail: 'reboot cancelled' })
    case 'restarting':
      if (restart === undefined || !restartPending(state, event.at) || busy) {
        return { state, refused: 'has no restart pending' }
      }
      return to(state.phase, { restart: { ...restart, begun: event.at }, detail: 'restarts' })
    case 'not-restarted':
      return restart?.begun === undefined ? { state } : to(state.phase, { detail: event.reason })
    case 'boot':
      if (repave !== undefined && repavePending(state, event.at)) {
        return {
          ...to('booting', { repave: { ...repave, served: event.at, silent: event.silent }, restart: undefined }),
          boot: 'installer',
        }
      }
      return { ...restarted(), boot: 'local' }
    case 'local':
      return restarted()
    case 'tick':
      return tick(state, event)
  }
  if (repave?.served === undefined || repave.token !== event.token) {
    return { state, refused: 'reports for a repave that is not under way' }
  }
  switch (event.type) {
    case 'progress':
      // What comes late changes nothing: the installer's last report may overtake others.
      return underWay(state) ? to('installing', { detail: event.step }) : { state }
    case 'failed':
      return underWay(state) ? to('failed', { detail: event.reason }) : { state }
    case 'installed':
      return underWay(state) ? to('installed') : { state }
    case 'reachable':
      return to('reachable', { repave: undefined })
  }
}

function tick(before: MachineState, event: MachineEvent & { type: 'tick' }): Transition {
  const { at, token, valid, reboot } = event
  let state = before
  let gaveUp: Transition['gaveUp']
  const { repave } = before
  if (repave?.served !== undefined && underWay(before) && at - repave.served >= event.timeout) {
    const detail = `nothing of an end was heard for ${minutes(event.timeout)}`
    const again = repave.retries > 0
    if (!again) gaveUp = 'repave'
    state = {
      phase: 'failed',
      since: at,
      detail: again ? `${detail}; may try again` : detail,
      repave: again
        ? { ...repave, token, asked: at, until: at + valid, served: undefined, retries: repave.retries - 1 }
        : undefined,
      restart:
        again && repave.restart
          ? { asked: at, until: at + reboot.valid, retries: reboot.retries, force: true }
          : before.restart,
    }
  }
  const { restart } = state
  if (restart?.begun !== undefined && at - restart.begun >= reboot.timeout) {
    const again = restart.retries > 0
    // What power control said tells more.
    const why =
      state.detail === 'restarts'
        ? `was not seen to boot from the network for ${minutes(reboot.timeout)}`
        : state.detail
    if (!again) gaveUp ??= 'reboot'
    state = {
      ...state,
      detail: `${why}; ${again ? 'restarted once more' : 'the reboot is given up'}`,
      restart: again
        ? { ...restart, asked: at, until: at + reboot.valid, begun: undefined, retries: restart.retries - 1 }
        : undefined,
    }
  }
  return { state, gaveUp }
}

const minutes = (ms: number): string => `${Math.round(ms / 60_000)} minutes`

function underWay({ phase }: MachineState): boolean {
  return phase === 'booting' || phase === 'installing'
}
