import { quote } from '../shared/quote.ts'
import { SessionError } from './session.ts'
import type { OpenPassing } from './upload.ts'

/** Streams a file from the host; the reader's pace is the sender's. */
export async function* download(
  host: string,
  open: OpenPassing,
  path: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Buffer> {
  if (path.includes('\n')) throw new TypeError('the path of a download cannot hold a newline')
  signal?.throwIfAborted()
  const { channel, ready } = await open(`exec </dev/null; exec cat -- ${quote(path)}`, signal)
  const abort = () => channel.close()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    await ready
    let stderr = ''
    channel.stderr
      .on('data', (chunk: Buffer) => {
        if (stderr.length < 4096) stderr += chunk
      })
      .resume()
    try {
      for await (const chunk of channel.stdout) yield chunk
    } catch {
      // Destroyed in between: the exit status below tells.
    }
    const rc = await channel.exit
    signal?.throwIfAborted()
    if (rc === 0) return
    const why = stderr.trim().replace(/^cat: /, '') || 'the channel ended before the file was whole'
    throw new SessionError(rc === null ? 'lost' : 'upload', host, `cannot read ${path}: ${why}`)
  } finally {
    signal?.removeEventListener('abort', abort)
    channel.close()
  }
}
