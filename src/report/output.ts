import type { Writable } from 'node:stream'

/** Where a reporter writes. */
export interface Output {
  write(text: string): void
  /** Whoever read it has gone (`runbook … | head`). The run goes on: hosts may be in the middle of a change. */
  readonly closed: boolean
}

/** EIO: the terminal was closed. */
const GONE = new Set<string | undefined>(['EPIPE', 'EIO', 'ERR_STREAM_DESTROYED'])

/** A stream whose reader may go away: what is written after that is dropped, and nothing is thrown. */
export function output(stream: Writable): Output {
  let closed = false
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!GONE.has(error.code)) throw error
    closed = true
  })
  return {
    write(text) {
      if (!closed && !stream.destroyed) stream.write(text)
    },
    get closed() {
      return closed
    },
  }
}
