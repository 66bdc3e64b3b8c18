/** The parts of requests that strangers fill in. */
import type { IncomingMessage } from 'node:http'

/** A request that gets this status. */
export class BadRequest extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Reports and phone-homes have some kilobytes. */
const MOST_BODY = 64 << 10

/**
 * The decoded segments of a request target, its query left out, empty ones too (shim asks for `//grubx64.efi`).
 * An encoded slash stays inside its segment, and one that goes up is an error; nothing is normalised away.
 */
export function segmentsOf(target: string): string[] {
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/, 1)[0]!
  if (!path.startsWith('/')) throw new BadRequest(400, 'not a path')
  let segments: string[]
  try {
    segments = path.split('/').filter(Boolean).map(decodeURIComponent)
  } catch {
    throw new BadRequest(400, 'not a path')
  }
  if (segments.some((one) => one === '..' || /[\0-\x1f\x7f/\\]/.test(one))) throw new BadRequest(400, 'not a path')
  return segments
}

/** A body of at most 64 KiB, as text. */
export async function readBody(request: IncomingMessage): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > MOST_BODY) throw new BadRequest(413, 'too large')
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of request) {
      size += (part as Buffer).length
      if (size > MOST_BODY) throw new BadRequest(413, 'too large')
      parts.push(part as Buffer)
    }
  } catch (error) {
    if (error instanceof BadRequest) throw error
    throw new BadRequest(400, 'the body broke off')
  }
  return Buffer.concat(parts).toString('utf8')
}
