/** Options of a transfer: blksize (RFC 2348), timeout and tsize (RFC 2349), windowsize (RFC 7440). */

export interface Limits {
  /** Bytes in a block at most. 1468 fills an Ethernet frame; more would be fragmented. */
  readonly blockSize: number
  /** Blocks in flight at most. */
  readonly windowSize: number
}

export const DEFAULT_LIMITS: Limits = { blockSize: 1468, windowSize: 64 }

export interface Terms {
  /** Bytes in a block. */
  readonly blockSize: number
  /** Blocks sent before an acknowledgement is awaited. */
  readonly windowSize: number
  /** Seconds until the first retransmission, if the client asked for a time. */
  readonly timeout: number | undefined
  /** What the option acknowledgement says; empty when there is none to send. */
  readonly accepted: readonly (readonly [name: string, value: string])[]
}

/**
 * What is agreed on. An option that is unknown or has a bad value is left out of the acknowledgement, which is how
 * RFC 2347 declines one; the transfer goes on without it.
 */
export function negotiate(options: ReadonlyMap<string, string>, size: number, limits = DEFAULT_LIMITS): Terms {
  const accepted: [string, string][] = []
  let blockSize = 512
  let windowSize = 1
  let timeout: number | undefined
  for (const [name, text] of options) {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (name === 'blksize' && value >= 8 && value <= 65464) {
      blockSize = Math.min(value, limits.blockSize)
      accepted.push([name, String(blockSize)])
    } else if (name === 'windowsize' && value >= 1 && value <= 65535) {
      windowSize = Math.min(value, limits.windowSize)
      accepted.push([name, String(windowSize)])
    } else if (name === 'timeout' && value >= 1 && value <= 255) {
      timeout = value
      accepted.push([name, text])
    } else if (name === 'tsize' && value >= 0) {
      accepted.push([name, String(size)])
    }
  }
  return { blockSize, windowSize, timeout, accepted }
}
