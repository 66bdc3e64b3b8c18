/** Files to slow, fast, broken and hostile readers: validators, ranges, places, and a least speed. */
import { once } from 'node:events'
import type { FileHandle } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NotBelow, type Opened, openBelow } from '../open-below.ts'
import type { Places } from './queue.ts'
import { matchesTag, parseRange } from './range.ts'

export interface DownloadLimits {
  /** A reader that takes less than this many bytes in `window` is cut off: it keeps others waiting. */
  readonly least: number
  /** Milliseconds. */
  readonly window: number
}

export const DEFAULT_DOWNLOAD_LIMITS: DownloadLimits = { least: 64 << 10, window: 30_000 }

/** Bytes a read; two of them a download is what a download costs in memory. */
const BLOCK = 512 << 10

export interface Sent {
  readonly status: number
  /** Bytes of the body that went out; the last block of a broken one is not counted. */
  readonly bytes: number
  /** False when the reader went away, was cut off, or the file could not be read to its end. */
  readonly complete: boolean
}

/** Answers GET and HEAD with a file below `root`. Never rejects. */
export async function download(
  request: IncomingMessage,
  response: ServerResponse,
  { root, path, places, limits }: { root: string; path: string; places: Places; limits: DownloadLimits },
): Promise<Sent> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  let opened: Opened
  try {
    opened = await openBelow(root, path)
  } catch (error) {
    return refuse(response, statusOf(error))
  }
  const { handle, size, id, modified } = opened
  try {
    const etag = `"${id}"`
    const headers: Record<string, string | number> = {
      'accept-ranges': 'bytes',
      etag,
      'last-modified': modified.toUTCString(),
      'content-type': 'application/octet-stream',
    }
    if (matchesTag(request.headers['if-none-match'], etag)) {
      response.writeHead(304, headers).end()
      return { status: 304, bytes: 0, complete: true }
    }
    const ifRange = request.headers['if-range']
    const asked = ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, size) : undefined
    if (asked === 'none') {
      response.writeHead(416, { ...headers, 'content-range': `bytes */${size}`, 'content-length': 0 }).end()
      return { status: 416, bytes: 0, complete: true }
    }
    const status = asked ? 206 : 200
    const { from, to } = asked ?? { from: 0, to: size - 1 }
    headers['content-length'] = to - from + 1
    if (asked) headers['content-range'] = `bytes ${from}-${to}/${size}`
    if (request.method === 'HEAD') {
      response.writeHead(status, headers).end()
      return { status, bytes: 0, complete: true }
    }
    const who = request.socket.remoteAddress ?? ''
    if (!(await places.take(who, gone.signal))) {
      if (gone.signal.aborted) return { status, bytes: 0, complete: false }
      return refuse(response, 503)
    }
    try {
      response.writeHead(status, headers)
      const bytes = await send(response, handle, from, to + 1, limits, gone.signal)
      return { status, bytes, complete: bytes === to - from + 1 }
    } finally {
      places.leave(who)
    }
  } finally {
    handle.close().catch(() => {})
  }
}

/** Sends `[from, end)` and gives how many bytes went out; fewer than asked for when it was broken off. */
async function send(
  response: ServerResponse,
  handle: FileHandle,
  from: number,
  end: number,
  { least, window }: DownloadLimits,
  gone: AbortSignal,
): Promise<number> {
  // What the kernel took, block by block: the socket's own count sees a slow reader within a block too.
  const { socket } = response
  let before = socket?.bytesWritten ?? 0
  const taken = (): number => (socket ? socket.bytesWritten - socket.writableLength : 0)
  const watch = setInterval(() => {
    const now = taken()
    if (now - before < least) response.destroy()
    before = now
  }, window)
  const spare = [
    Buffer.allocUnsafeSlow(Math.min(BLOCK, end - from)),
    Buffer.allocUnsafeSlow(Math.min(BLOCK, end - from)),
  ]
  let at = from
  let writing: Promise<boolean> = Promise.resolve(true)
  try {
    for (let turn = 0; at < end && !gone.aborted; turn ^= 1) {
      // Reads one block while the other one is on its way.
      const { bytesRead } = await handle.read(spare[turn]!, 0, Math.min(BLOCK, end - at), at)
      if (!(await writing)) break
      if (bytesRead === 0) {
        // Cut short while it was sent: the length is promised already, so only a broken connection tells the truth.
        response.destroy()
        break
      }
      writing = write(response, spare[turn]!.subarray(0, bytesRead), gone)
      at += bytesRead
    }
    if ((await writing) && at === end && !gone.aborted) {
      response.end()
      // A response closes when it is finished, too; which of both it was, it knows.
      if (!response.closed) await once(response, 'close')
      if (response.writableFinished) return at - from
    }
    return Math.max(0, at - from - BLOCK)
  } catch {
    response.destroy()
    return Math.max(0, at - from - BLOCK)
  } finally {
    clearInterval(watch)
  }
}

/** Resolves when the bytes are the kernel's, with false when the connection is gone. */
function write(response: ServerResponse, bytes: Buffer, gone: AbortSignal): Promise<boolean> {
  if (gone.aborted) return Promise.resolve(false)
  return new Promise((resolve) => {
    const leave = (): void => resolve(false)
    gone.addEventListener('abort', leave, { once: true })
    response.write(bytes, (error) => {
      gone.removeEventListener('abort', leave)
      resolve(!error)
    })
  })
}

function refuse(response: ServerResponse, status: number): Sent {
  const headers = { 'content-length': 0, ...(status === 503 && { 'retry-after': '5' }) }
  if (!response.headersSent) response.writeHead(status, headers).end()
  return { status, bytes: 0, complete: true }
}

function statusOf(error: unknown): number {
  if (error instanceof NotBelow) return 404
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EACCES' || code === 'EPERM' || code === 'ELOOP') return 403
  if (code === 'EMFILE' || code === 'ENFILE') return 503
  return code === 'EIO' ? 500 : 404
}
