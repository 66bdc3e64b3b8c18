import { setTimeout as sleep } from 'node:timers/promises'
import { SessionError } from './session.ts'

/**
 * SSH_MSG_CHANNEL_OPEN_FAILURE reasons that may pass (RFC 4254 section 5.1): prohibited, connect failed (so OpenSSH calls
 * it when MaxSessions are open), resource shortage.
 */
const PASSING_REASONS = new Set<unknown>([1, 2, 4])
const MAX_WAIT_MS = 300

/** A channel that sshd has closed still counts against MaxSessions for a moment, so one that is refused is tried again. */
export async function retryRefused<T>(
  host: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  open: () => Promise<T>,
): Promise<T> {
  const end = performance.now() + timeoutMs
  for (let wait = 20; ; wait = Math.min(2 * wait, MAX_WAIT_MS)) {
    try {
      return await open()
    } catch (error) {
      if (!PASSING_REASONS.has((error as { reason?: unknown }).reason)) throw error
      if (performance.now() + wait > end) {
        throw new SessionError('timeout', host, `the host opens no more channels: ${(error as Error).message}`, {
          hint: 'is MaxSessions in its sshd_config below 5?',
        })
      }
      await sleep(wait, undefined, signal ? { signal } : {})
    }
  }
}
