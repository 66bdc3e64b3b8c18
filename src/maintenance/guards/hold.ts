import { setTimeout as sleep } from 'node:timers/promises'
import { isUnreachable } from '../../shared/kubernetes.ts'
import { GuardLost } from './errors.ts'
import type { ExitGuard } from './settings.ts'
import type { Entry, GuardStore, Ledger, Pulse, Snapshot } from './store.ts'
import type { GuardEvent, Hold } from './types.ts'
import { holderWords } from './words.ts'

export interface HoldOptions {
  readonly store: GuardStore
  readonly entry: Entry
  /** The first sign of life; already written. */
  readonly pulse: Pulse
  /** Milliseconds that the lock is valid without a sign of life. */
  readonly validMs: number
  readonly onEvent: (event: GuardEvent) => void
  /** Waits until the node has been Ready for long enough; why it is not, when it will not be. */
  readonly soak: (signal: AbortSignal) => Promise<string | undefined>
  /** Ends the soak early. */
  readonly signal: AbortSignal
  /** Called once when it is over. */
  readonly onEnd: () => void
}

/** Renewed after this part of the lease, and given up after that part without success; client-go has 10 and 2/15 of 15 s. */
const RENEW_AFTER = 1 / 4
const GIVE_UP_AFTER = 2 / 3
/** After a failure it is tried again this often in a lease. */
const TRIES = 20

/** A lock that is held: see Hold. */
export function holdLock(options: HoldOptions): Hold {
  const { store, entry, validMs, onEvent, soak, onEnd } = options
  const { node, id, token } = entry
  const lost = new AbortController()
  let pulse = options.pulse
  let renewedAt = performance.now()
  let renewedAtWall = Date.now()
  /** Promised by `renew({ forMs })`. */
  let promisedUntil = 0
  let timer: NodeJS.Timeout | undefined
  let busy: Promise<unknown> = Promise.resolve()
  let released = false
  let used = false
  let ended = false

  const lose = (error: GuardLost): GuardLost => {
    if (!lost.signal.aborted) {
      clearTimeout(timer)
      lost.abort(error)
      onEvent({ type: 'lost', node, message: error.problems[0]!.message })
    }
    return error
  }

  const beat = async (forMs: number): Promise<void> => {
    if (lost.signal.aborted) throw lost.signal.reason
    const [started, startedWall] = [performance.now(), Date.now()]
    // Others wait for longer than we rely on it.
    const valid = validMs + Math.max(0, forMs, promisedUntil - started)
    let next = await store.beat(pulse, { node, id, validMs: valid })
    if (!next) {
      // Somebody wrote: perhaps we ourselves, and the answer was lost.
      const snapshot = await store.read()
      const there = snapshot.pulses.get(node)
      if (there?.id === id) next = await store.beat(there, { node, id, validMs: valid })
      if (!next) throw lose(new GuardLost(node, lossWords(snapshot, entry)))
    }
    pulse = next
    renewedAt = started
    renewedAtWall = startedWall
    promisedUntil = Math.max(promisedUntil, started + forMs)
  }
  /** One after another: each goes on from the version that the one before has written. */
  const inTurn = <T>(fn: () => Promise<T>): Promise<T> => {
    const mine = busy.then(fn)
    busy = mine.catch(() => {})
    return mine
  }

  const schedule = (ms: number): void => {
    clearTimeout(timer)
    if (ended || lost.signal.aborted) return
    timer = setTimeout(() => {
      inTurn(() => beat(0)).then(
        () => schedule(validMs * RENEW_AFTER),
        (error) => {
          if (lost.signal.aborted || ended) return
          const until = Math.max(renewedAt + validMs * GIVE_UP_AFTER, promisedUntil)
          // A machine that was suspended has a clock that stood still meanwhile; the other one did not.
          const slept = Math.max(0, Date.now() - renewedAtWall - (performance.now() - renewedAt))
          if (performance.now() + slept < until) return schedule(validMs / TRIES)
          const seconds = Math.round((performance.now() + slept - renewedAt) / 1000)
          const words = `its lock could not be renewed for ${seconds} s: ${(error as Error).message.split('\n')[0]}`
          lose(new GuardLost(node, words, { unreachable: true, cause: error }))
        },
      )
    }, ms)
  }
  schedule(validMs * RENEW_AFTER)

  const release = async (how: ExitGuard, words?: string): Promise<void> => {
    if (released) return
    released = true
    let left = how === 'left' ? (words ?? 'it was left unfinished') : undefined
    if (how === 'back' && !lost.signal.aborted) {
      left = await soak(AbortSignal.any([options.signal, lost.signal])).catch(() => undefined)
    }
    ended = true
    clearTimeout(timer)
    await busy
    try {
      if (!lost.signal.aborted || (lost.signal.reason as GuardLost).unreachable) {
        await giveBack(store, entry, left)
        await store.drop(pulse)
        onEvent({
          type: 'released',
          node,
          message: left === undefined ? 'the lock is given back' : `the lock is given back; ${left}`,
        })
      }
    } catch (error) {
      const why = (error as Error).message.split('\n')[0]
      const message = `the lock could not be given back, it expires ${Math.round(pulse.validMs / 1000)} s after its last sign of life: ${why}`
      onEvent({ type: 'warning', node, message })
    } finally {
      onEnd()
    }
  }

  return {
    node,
    token,
    signal: lost.signal,
    renew: async ({ forMs = 0 } = {}) => {
      used = true
      try {
        await inTurn(() => beat(forMs))
      } catch (error) {
        if (error instanceof GuardLost || !isUnreachable(error)) throw error
        const words = `it cannot be said whether its lock is still ours: ${error.message.split('\n')[0]}`
        throw new GuardLost(node, words, { unreachable: true, cause: error })
      }
    },
    release,
    [Symbol.asyncDispose]: () => release(used ? 'left' : 'untouched'),
  }
}

/** Attempts to change a ledger that others change at the same time. */
const CONFLICTS = 100

/** Takes a lock out of the ledger, or marks what its node was left as. */
async function giveBack(store: GuardStore, { id }: Entry, left: string | undefined): Promise<void> {
  await changeLedger(store, (ledger) => {
    if (!ledger.entries.some((one) => one.id === id)) return undefined
    const entries =
      left === undefined
        ? ledger.entries.filter((one) => one.id !== id)
        : ledger.entries.map((one) => (one.id === id ? { ...one, left } : one))
    return { ...ledger, entries }
  })
}

/** Changes the ledger as it stands; `undefined` leaves it. */
export async function changeLedger(
  store: GuardStore,
  change: (ledger: Ledger, snapshot: Snapshot) => Ledger | undefined,
  signal?: AbortSignal,
): Promise<void> {
  for (let conflicts = 0; ; conflicts++) {
    const snapshot = await store.read(signal)
    const ledger = change(snapshot.ledger, snapshot)
    if (!ledger || (await store.swap(snapshot.version, ledger, signal))) return
    if (conflicts >= CONFLICTS) throw new Error(`${store.place}: the locks change all the time`)
    await sleep(Math.random() * 100, undefined, { signal })
  }
}

function lossWords({ ledger, pulses }: Snapshot, { node, id }: Entry): string {
  const broken = ledger.broken.findLast((one) => one.id === id)
  if (broken) return `its lock was broken by ${broken.by}: ${broken.reason}`
  const now = ledger.entries.find((entry) => entry.node === node && entry.id !== id)
  if (now) return `its lock was taken over by ${holderWords(now)}`
  const other = pulses.get(node)
  return other ? `its lock is being taken over by ${other.id}` : 'its lock is gone: somebody removed it'
}
