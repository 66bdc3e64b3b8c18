/** The shape of one helper. */
import type { ScopeOptions } from './scope.ts'

export interface Helper {
  readonly signature: string
  readonly summary: string
  /** A template and what it gives. */
  readonly examples: readonly (readonly [template: string, result: unknown])[]
  /** Number of arguments. */
  readonly min: number
  readonly max: number
  /** The first argument may be undefined or null. */
  readonly optional?: boolean
  /** Throws HelperError for arguments that it cannot use. */
  readonly call: (args: unknown[], options: ScopeOptions) => unknown
}

/** A helper without optional arguments beyond those in brackets; the number of arguments is that of its signature. */
export function pure(
  signature: string,
  summary: string,
  example: string,
  result: unknown,
  call: (args: unknown[]) => unknown,
): Helper {
  const params = signature
    .split(' ')
    .slice(1)
    .filter((word) => word !== '…')
  const min = params.filter((param) => !param.startsWith('[')).length
  return { signature, summary, examples: [[example, result]], min, max: params.length, call }
}
