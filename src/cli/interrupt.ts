import { EXIT } from './exit.ts'

export interface Interrupt extends Disposable {
  /** First Ctrl-C (or SIGTERM, SIGHUP): running steps come to their end, no more are begun. */
  readonly stop: AbortSignal
  /** Second: running steps are killed. */
  readonly abort: AbortSignal
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Listens to signals until disposed; `say` tells the user what happens. A third one ends the process at once. */
export function listenForInterrupt(say: (text: string) => void): Interrupt {
  const stop = new AbortController()
  const abort = new AbortController()
  const onSignal = (signal: NodeJS.Signals): void => {
    const cause = signal === 'SIGINT' ? 'Ctrl-C' : signal
    if (!stop.signal.aborted) {
      say(`${cause}: each host finishes the step it is at; once more to stop now`)
      stop.abort(new Error(`stopped by ${cause}`))
    } else if (!abort.signal.aborted) {
      say(`${cause}: stopping now`)
      abort.abort(new Error(`stopped by ${cause}`))
    } else process.exit(EXIT.interrupted)
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  return {
    stop: stop.signal,
    abort: abort.signal,
    [Symbol.dispose]() {
      for (const signal of SIGNALS) process.off(signal, onSignal)
    },
  }
}
