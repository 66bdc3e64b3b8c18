import { randomBytes } from 'node:crypto'
import type { Readable, Writable } from 'node:stream'

/** A process on the host. Nobody gets unhandled `error` events from its streams: a transport listens to them. */
export interface Channel {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Settles when the process ended (`null`: killed, or nobody knows), even if a child of it keeps the streams open. */
  readonly exit: Promise<number | null>
  /** Gives the channel up at once. */
  close(): void
}

/** What a transport must give; everything else (framing, users, uploads, locks) is built on it once. */
export interface Transport {
  /** The inventory's name of the host. */
  readonly host: string
  readonly user: string
  /**
   * Starts a command line with the login shell of the user. `kind` is what the channel is for: a `lasting` one stays
   * open, `passing` ones share what is left of the channel limit, an `urgent` one (killing a script) waits for nobody.
   */
  open(command: string, kind: ChannelKind, signal?: AbortSignal): Promise<Channel>
  /** Settles when the connection is gone; with an error that says why unless it was closed by us. */
  readonly closed: Promise<Error | undefined>
  /** Ends at once. Never throws. */
  close(): Promise<void>
}

export type ChannelKind = 'lasting' | 'passing' | 'urgent'

/** 128 bits that no output holds by chance and no script can know. */
export function newNonce(): string {
  return randomBytes(16).toString('hex')
}

/** How long output may trickle in after the end of its process: a child left behind may hold the streams for ever. */
export const AFTER_EXIT_MS = 500

/** Settles when the process has ended and all its output was read. Something else must be reading. */
export async function drained(channel: Channel): Promise<void> {
  const ended = (stream: Readable) =>
    stream.readableEnded || stream.destroyed
      ? undefined
      : new Promise<void>((resolve) => {
          stream.once('end', resolve)
          stream.once('close', resolve)
        })
  const streams = Promise.all([ended(channel.stdout), ended(channel.stderr)])
  await channel.exit
  let timer: NodeJS.Timeout | undefined
  await Promise.race([
    streams,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, AFTER_EXIT_MS)
    }),
  ])
  clearTimeout(timer)
  channel.close()
}
