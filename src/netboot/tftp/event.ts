/** The beginning or the end of a transfer. */
export interface TftpEvent {
  /** Milliseconds since the epoch. */
  readonly time: number
  /** IPv4 address. */
  readonly client: string
  /** As it was asked for, made fit for logs and terminals. */
  readonly file: string
  /** `refused`: never began. `stopped`: the client said so, as firmware does that only asks for the size. */
  readonly outcome: 'started' | 'done' | 'refused' | 'stopped' | 'failed'
  /** Bytes acknowledged. */
  readonly bytes: number
  readonly size?: number
  /** Milliseconds since the request. */
  readonly took: number
  readonly reason?: string
}

/** Strangers choose names: no control characters, no novels. */
export function shown(file: string): string {
  return file.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')
}
