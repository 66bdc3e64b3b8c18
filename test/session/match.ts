import type { SessionErrorKind } from '../../src/session/session.ts'

/** What `t.rejects` shall find. */
export function sessionError(kind: SessionErrorKind, message: RegExp = /./, hint?: RegExp): { message: RegExp } {
  return Object.assign({ name: 'SessionError', kind, message }, hint && { hint })
}
