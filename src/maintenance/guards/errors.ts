import { UserError } from '../../shared/errors.ts'

/** Nothing was touched: one or more guards say no. */
export class GuardRefused extends UserError {
  readonly node: string
  readonly reasons: readonly string[]

  constructor(node: string, reasons: readonly string[], hint?: string) {
    super(
      reasons.map((reason, i) => ({
        message: `node ${node}: ${reason}`,
        ...(i === reasons.length - 1 ? { hint } : {}),
      })),
    )
    this.name = 'GuardRefused'
    this.node = node
    this.reasons = reasons
  }
}

/** The lock of a node is not ours any more, or nobody can say whether it is: no protected step may begin. */
export class GuardLost extends UserError {
  readonly node: string
  /** Nobody answered; the lock may still be ours. */
  readonly unreachable: boolean

  constructor(
    node: string,
    message: string,
    { unreachable = false, cause }: { unreachable?: boolean; cause?: unknown } = {},
  ) {
    super(
      {
        message: `node ${node}: ${message}`,
        hint: unreachable
          ? 'nothing more was begun; when the API is back, run the same again'
          : 'nothing more was begun; see runbook node locks',
      },
      { cause },
    )
    this.name = 'GuardLost'
    this.node = node
    this.unreachable = unreachable
  }
}
