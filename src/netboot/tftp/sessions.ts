/** Who is being sent what, and how many of them there may be. */
import type { RemoteInfo } from 'node:dgram'
import type { Request } from './packet.ts'
import type { Socket } from './socket.ts'
import type { Transfer } from './transfer.ts'

export interface Session {
  /** From `keyOf`. */
  readonly key: string
  readonly client: RemoteInfo
  readonly request: Request
  readonly socket: Socket
  /** When it was asked for, by `performance.now()`. */
  readonly begun: number
  /** Undefined while the file is being opened. */
  transfer?: Transfer
  /** What a thread calls it that goes on with it. */
  handed?: number | undefined
  /** Bytes acknowledged, as that thread last said. */
  bytes?: number
  /** No thread could have it. */
  stays?: boolean
}

/** A client's transfers differ in its port (RFC 1350 section 4). */
export function keyOf({ address, port }: RemoteInfo): string {
  return `${address} ${port}`
}

export class Sessions {
  readonly #most: number
  readonly #mostPerClient: number
  readonly #all = new Map<string, Session>()
  /** Those whose client has acknowledged nothing yet, the oldest first: whoever asks may have invented his address. */
  readonly #halfOpen = new Set<Session>()
  readonly #perClient = new Map<string, number>()

  /** How many at once, of all clients and of one address. */
  constructor(most: number, mostPerClient: number) {
    this.#most = most
    this.#mostPerClient = mostPerClient
  }

  get size(): number {
    return this.#all.size
  }

  get(client: RemoteInfo): Session | undefined {
    return this.#all.get(keyOf(client))
  }

  values(): Iterable<Session> {
    return this.#all.values()
  }

  has(session: Session): boolean {
    return this.#all.get(session.key) === session
  }

  /** Whether `client` may have one more: yes, no, or if another one, which was never answered, gives way. */
  room({ address }: RemoteInfo): boolean | Session {
    if ((this.#perClient.get(address) ?? 0) >= this.#mostPerClient) return false
    if (this.#all.size < this.#most) return true
    const [oldest] = this.#halfOpen
    return oldest ?? false
  }

  add(session: Session): void {
    this.#all.set(session.key, session)
    this.#halfOpen.add(session)
    const { address } = session.client
    this.#perClient.set(address, (this.#perClient.get(address) ?? 0) + 1)
  }

  /** The client has acknowledged something: it is there. */
  answered(session: Session): void {
    this.#halfOpen.delete(session)
  }

  /** False when it is not among them any more. */
  remove(session: Session): boolean {
    if (!this.has(session)) return false
    this.#all.delete(session.key)
    this.#halfOpen.delete(session)
    const { address } = session.client
    const left = this.#perClient.get(address)! - 1
    if (left > 0) this.#perClient.set(address, left)
    else this.#perClient.delete(address)
    return true
  }
}
