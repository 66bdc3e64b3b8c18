/**
 * Secrets are tainted at their source (a vars file that was encrypted, a become password, `no_log` arguments) by
 * adding them here, and every sink (terminal, JSON, journal, diff, error, HTTP) passes its text through `redact`.
 */

export const REDACTED = '********'

/** Shorter strings than this would blank out half of every text; they are not redacted. */
const SHORTEST = 4

export class Redactor {
  #secrets = new Set<string>()
  #pattern: RegExp | undefined
  #longest = 0

  /** Adds a secret in every form in which it could show: as it is, its single lines, JSON-escaped, sh-quoted, base64. */
  add(secret: string): void {
    const forms = new Set<string>([secret, secret.trim()])
    for (const line of secret.split(/\r?\n/)) if (line.trim().length >= 8) forms.add(line.trim())
    for (const form of [...forms]) {
      forms.add(JSON.stringify(form).slice(1, -1))
      forms.add(form.replaceAll("'", "'\\''"))
      forms.add(Buffer.from(form).toString('base64').replace(/=+$/, ''))
      forms.add(encodeURIComponent(form))
    }
    for (const form of forms) {
      if (form.length < SHORTEST || this.#secrets.has(form)) continue
      this.#secrets.add(form)
      this.#longest = Math.max(this.#longest, form.length)
      this.#pattern = undefined
    }
  }

  get size(): number {
    return this.#secrets.size
  }

  /** The text with every secret replaced. */
  redact(text: string): string {
    if (this.#secrets.size === 0) return text
    return text.replace(this.#regexp(), REDACTED)
  }

  /** A copy of plain data (JSON-like) with every string redacted, keys too. */
  redactDeep<T>(value: T): T {
    if (this.#secrets.size === 0) return value
    return this.#deep(value) as T
  }

  /**
   * Redacts a text that comes in pieces: a secret that is split across two chunks is found too. Text that could be the
   * beginning of a secret is held back until the next chunk or `end`.
   */
  stream(): { push(chunk: string): string; end(): string } {
    let held = ''
    return {
      push: (chunk) => {
        const text = this.redact(held + chunk)
        const keep = this.#heldBack(text)
        held = text.slice(text.length - keep)
        return text.slice(0, text.length - keep)
      },
      end: () => {
        const rest = held
        held = ''
        return rest
      },
    }
  }

  /** How many characters at the end of `text` are a beginning of some secret. */
  #heldBack(text: string): number {
    for (let n = Math.min(this.#longest - 1, text.length); n > 0; n--) {
      const tail = text.slice(text.length - n)
      for (const secret of this.#secrets) if (secret.startsWith(tail)) return n
    }
    return 0
  }

  #regexp(): RegExp {
    this.#pattern ??= new RegExp(
      [...this.#secrets]
        .sort((a, b) => b.length - a.length)
        .map((s) => RegExp.escape(s))
        .join('|'),
      'g',
    )
    return this.#pattern
  }

  #deep(value: unknown): unknown {
    if (typeof value === 'string') return this.redact(value)
    if (Array.isArray(value)) return value.map((item) => this.#deep(item))
    if (value !== null && typeof value === 'object' && !(value instanceof Date) && !ArrayBuffer.isView(value)) {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [this.redact(k), this.#deep(v)]))
    }
    return value
  }
}
