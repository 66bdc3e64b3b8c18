import type { ChannelKind } from './channel.ts'

/**
 * sshd takes 10 channels a connection (MaxSessions) and counts closed ones for a moment longer; recycled channels fail
 * now and then with 6 in flight, never with 4.
 */
const LIMIT = 4

/** Shares out the channels of one connection. Passing ones always have at least one slot, so that they cannot starve. */
export class ChannelSlots {
  #lasting = 0
  #passing = 0
  readonly #queue: (() => void)[] = []

  /** Waits for a slot; what it resolves to gives the slot back. */
  async take(kind: ChannelKind, signal?: AbortSignal): Promise<() => void> {
    if (kind === 'urgent') return () => {}
    if (kind === 'lasting') {
      this.#lasting++
      return () => {
        this.#lasting--
        this.#next()
      }
    }
    if (!this.#hasRoom()) {
      await new Promise<void>((resolve, reject) => {
        const turn = () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }
        const onAbort = () => {
          this.#queue.splice(this.#queue.indexOf(turn), 1)
          reject(signal!.reason)
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        this.#queue.push(turn)
      })
    } else this.#passing++
    return () => {
      this.#passing--
      this.#next()
    }
  }

  #hasRoom(): boolean {
    return this.#passing < Math.max(1, LIMIT - this.#lasting)
  }

  #next(): void {
    while (this.#queue.length > 0 && this.#hasRoom()) {
      this.#passing++
      this.#queue.shift()!()
    }
  }
}
