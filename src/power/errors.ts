/**
 * - `unreachable`: the controller does not answer (refused, no route, name unknown, timeout, busy to the end)
 * - `auth`: it answers but does not let us in
 * - `certificate`: it shows another certificate than the known one; nothing was sent to it
 * - `refused`: it answers and says no
 * - `unsupported`: it, or this kind of power control, cannot do that
 * - `ignored`: it said yes, and did not do it
 * - `protocol`: its answer makes no sense
 */
export type PowerErrorKind = 'unreachable' | 'auth' | 'certificate' | 'refused' | 'unsupported' | 'ignored' | 'protocol'

/** Power control of a host failed: the world's doing, not a mistake in the input. */
export class PowerError extends Error {
  readonly kind: PowerErrorKind
  readonly host: string
  /** What to do about it. */
  readonly hint: string | undefined

  constructor(kind: PowerErrorKind, host: string, message: string, options?: ErrorOptions & { hint?: string }) {
    super(message, options)
    this.name = 'PowerError'
    this.kind = kind
    this.host = host
    this.hint = options?.hint
  }
}
