import { codeFrame, formatPlace, type Place } from './source.ts'

/** One thing that is wrong with the user's input: what, where, and how to mend it. */
export interface Problem {
  /** What is wrong, as a sentence without a full stop. */
  readonly message: string
  readonly place?: Place | undefined
  /** What to do about it, e.g. `did you mean "when"?`. */
  readonly hint?: string | undefined
}

/**
 * An error that the user can cause and mend. Shown without a stack; everything else that is thrown is a bug.
 * Carries one or more problems, so that all errors of a playbook can be shown at once.
 */
export class UserError extends Error {
  readonly problems: readonly Problem[]

  constructor(problem: string | Problem | readonly Problem[], options?: ErrorOptions) {
    const problems = typeof problem === 'string' ? [{ message: problem }] : [problem].flat()
    super(problems.map(formatProblem).join('\n\n'), options)
    this.name = 'UserError'
    this.problems = problems
  }
}

/** `site.yml:3:5: unknown keyword "wehn"` with the line and the hint below it. */
export function formatProblem({ message, place, hint }: Problem): string {
  const head = place ? `${formatPlace(place)}: ${message}` : message
  const frame = place ? `\n${codeFrame(place)}` : ''
  return `${head}${frame}${hint ? `\n  ${hint}` : ''}`
}

/** Collects problems so that they are reported together. */
export class Problems {
  readonly list: Problem[] = []

  add(message: string, place?: Place, hint?: string): void {
    this.list.push({ message, place, hint })
  }

  /** Runs `fn`; a UserError that it throws is collected, and `undefined` comes back. */
  catch<T>(fn: () => T): T | undefined {
    try {
      return fn()
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      this.list.push(...error.problems)
      return undefined
    }
  }

  /** As `catch`, for what takes time. */
  async catchAsync<T>(fn: () => Promise<T>): Promise<T | undefined> {
    try {
      return await fn()
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      this.list.push(...error.problems)
      return undefined
    }
  }

  /** Throws all that was collected, if anything was. */
  throwIfAny(): void {
    if (this.list.length > 0) throw new UserError(this.list)
  }
}

/** The nearest of `known` to `word` by Damerau-Levenshtein distance, if it is near enough to be meant. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `did you mean "x"?` or undefined. */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const best = nearest(word, known)
  return best === undefined ? undefined : `did you mean "${best}"?`
}

function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let value = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) value = Math.min(value, before[j - 2]! + 1)
      row.push(value)
    }
    before = last
    last = row
  }
  return last[b.length]!
}
