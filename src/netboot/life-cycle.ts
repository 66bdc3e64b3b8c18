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
}

export interface MachineState {
  readonly phase: Phase
  /** When the phase began. */
  readonly since: number
  readonly repave?: Repave | undefined
  /** The installer's last step, or why it failed. */
  readonly detail?: string | undefined
}

export type MachineEvent =
  /** Was seen on the network. */
  | { readonly type: 'seen'; readonly at: number }
  /** Asks what to boot, and gets it: the only event with a `boot` in its result. */
  | { readonly type: 'boot'; readonly at: number }
  | {
      readonly type: 'repave'
      readonly at: number
      readonly token: string
      readonly until: number
      readonly retries: number
    }
  | { readonly type: 'cancel'; readonly at: number }
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
    }

export interface Transition {
  readonly state: MachineState
  readonly boot?: 'installer' | 'local' | undefined
  /** Why the event changed nothing, where somebody should know. */
  readonly refused?: string | undefined
}

/** Whether an installer would be given out now. */
export function repavePending(state: MachineState | undefined, now: number): boolean {
  const repave = state?.repave
  // Spelt so that a time that is no number is never pending.
  return repave !== undefined && repave.token !== '' && repave.served === undefined && repave.until > now
}

/** The state after an event. `undefined` is a machine that nothing is known of. */
export function step(before: MachineState | undefined, event: MachineEvent): Transition {
  const state: MachineState = before ?? { phase: 'discovered', since: event.at }
  const { repave } = state
  const to = (phase: Phase, change: Partial<MachineState> = {}): Transition => ({
    state: { repave, ...change, phase, since: phase === state.phase ? state.since : event.at },
  })
  switch (event.type) {
    case 'seen':
      return { state }
    case 'repave':
      if (repave?.served !== undefined && underWay(state)) {
        return { state, refused: `is ${state.phase}; cancel that first` }
      }
      return to(state.phase, {
        detail: state.detail,
        repave: { token: event.token, asked: event.at, until: event.until, retries: event.retries },
      })
    case 'cancel':
      if (repave === undefined) return { state, refused: 'has no repave to cancel' }
      return to(underWay(state) ? 'failed' : state.phase, { repave: undefined, detail: 'repave cancelled' })
    case 'boot':
      if (repave === undefined || !repavePending(state, event.at)) return { state, boot: 'local' }
      return { ...to('booting', { repave: { ...repave, served: event.at } }), boot: 'installer' }
  }
  if (event.type === 'tick') {
    if (repave?.served === undefined || !underWay(state) || event.at - repave.served < event.timeout) return { state }
    const detail = `nothing of an end was heard for ${Math.round(event.timeout / 60_000)} minutes`
    if (repave.retries === 0) return to('failed', { repave: undefined, detail })
    const next = { token: event.token, asked: event.at, until: event.at + event.valid, retries: repave.retries - 1 }
    return to('failed', { repave: next, detail: `${detail}; may try again` })
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

function underWay({ phase }: MachineState): boolean {
  return phase === 'booting' || phase === 'installing'
}
