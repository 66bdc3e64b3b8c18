/**
 * Reads: typed questions about a host. A read is made of asks; the engine puts all asks of a window into one script,
 * each question once, those of one kind together (one `stat` process for forty paths), and hands the answers back.
 *
 * A kind's script prints one or more sections to standard output and ends each by calling `rb_mark`, which keeps the
 * status of the last command. The functions it needs stand in its `prelude` and are sent to a shell only once.
 */

/** What one section printed, and the status of its last command. */
export interface Section {
  readonly out: Buffer
  readonly rc: number
}

/** One kind of question: how to ask many at once in POSIX sh, and how to read the answers. */
export interface AskKind<K, T> {
  readonly name: string
  /** sh functions that `script` calls; names begin with `rb_`. */
  readonly prelude?: string
  /** Prints the answers for all keys; every section ends in `rb_mark`. */
  script(keys: readonly K[]): string
  /** How many sections the script prints for these keys. */
  sections(keys: readonly K[]): number
  /** The answers, one a key in their order. Throws ReadError for an answer that says the question could not be answered. */
  parse(sections: readonly Section[], keys: readonly K[]): readonly T[]
  /** The resources whose change would change the answer. */
  reads(key: K): readonly string[]
  /** What keys have in common when they mean the same question; `merge` then makes one of two. */
  id?(key: K): string
  merge?(a: K, b: K): K
}

/** One question. */
export interface Ask {
  readonly kind: AskKind<unknown, unknown>
  readonly key: unknown
  readonly id: string
}

/** A typed read: its asks, and what to make of their answers. */
export interface Read<T> {
  readonly asks: readonly Ask[]
  readonly from: (answers: readonly unknown[]) => T
}

/** The host could not answer: e.g. a file that may not be read. Fails the task. */
export class ReadError extends Error {
  override name = 'ReadError'
}

/** A read of one question of a kind. */
export function ask<K, T>(kind: AskKind<K, T>, key: K): Read<T> {
  const id = `${kind.name} ${kind.id ? kind.id(key) : JSON.stringify(key)}`
  return { asks: [{ kind: kind as AskKind<unknown, unknown>, key, id }], from: ([answer]) => answer as T }
}

/** A read whose answer is computed from another one's. */
export function map<A, B>(source: Read<A>, fn: (answer: A) => B): Read<B> {
  return { asks: source.asks, from: (answers) => fn(source.from(answers)) }
}

/** A read that asks nothing. */
export function known<T>(value: T): Read<T> {
  return { asks: [], from: () => value }
}

/** What a read answers; undefined where the read itself may be undefined. */
export type AnswerOf<R> = R extends Read<infer T> ? T : undefined

/** Several reads as one; the answer has the same shape. Undefined members stay undefined. */
export function all<R extends Record<string, Read<unknown> | undefined>>(
  reads: R,
): Read<{ [P in keyof R]: AnswerOf<R[P]> }> {
  const names = Object.keys(reads)
  const asks: Ask[] = []
  const spans = names.map((name) => {
    const start = asks.length
    asks.push(...(reads[name]?.asks ?? []))
    return [name, start, asks.length] as const
  })
  return {
    asks,
    from: (answers) =>
      Object.fromEntries(
        spans.map(([name, start, end]) => [name, reads[name]?.from(answers.slice(start, end))]),
      ) as never,
  }
}

/** A list of reads as one read of a list. */
export function each<T>(reads: readonly Read<T>[]): Read<T[]> {
  const asks = reads.flatMap((r) => r.asks)
  return {
    asks,
    from: (answers) => {
      let at = 0
      return reads.map((r) => {
        const mine = answers.slice(at, at + r.asks.length)
        at += r.asks.length
        return r.from(mine)
      })
    },
  }
}

/** All resources that a read's answer depends on. */
export function resourcesOf(read: Read<unknown>): string[] {
  return [...new Set(read.asks.flatMap((a) => a.kind.reads(a.key)))]
}
