import { setTimeout as sleep } from 'node:timers/promises'
import type { SessionErrorKind } from '../../src/session/session.ts'

/** What `t.rejects` shall find. */
export function sessionError(kind: SessionErrorKind, message: RegExp = /./, hint?: RegExp): { message: RegExp } {
  return Object.assign({ name: 'SessionError', kind, message }, hint && { hint })
}

/** Takes a host's lock, which other tests on this machine may hold for a moment. */
export async function patiently(lock: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await lock()
    } catch (error) {
      if (attempt === 400) throw error
      await sleep(50)
    }
  }
}
