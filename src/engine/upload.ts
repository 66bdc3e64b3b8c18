import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { Upload } from '../module/change.ts'
import type { Shell } from '../session/session.ts'
import { UserError } from '../shared/errors.ts'

/** Does the upload of a change: from memory, from a file of the controller, or from a URL that the controller fetches. */
export async function upload(shell: Shell, { path, source, mode, owner, group }: Upload, signal?: AbortSignal) {
  const options = { mode, owner, group, fresh: true, signal }
  if ('content' in source) return await shell.upload(source.content, path, options)
  if ('url' in source) return await shell.upload(await fetchBody(source, signal), path, options)
  const sent = await shell.upload(createReadStream(source.file), path, options)
  if (sent.sha256 !== source.sha256) throw new UserError(`${source.file} changed while it was being read`)
  return sent
}

type UrlSource = Extract<Upload['source'], { url: string }>

/** The body of a URL; the time-out is for the headers and for each piece of the body, not for the whole. */
async function fetchBody({ url, headers, timeoutMs }: UrlSource, signal?: AbortSignal): Promise<AsyncIterable<Buffer>> {
  const stall = new AbortController()
  const late = (): void => stall.abort(new Error(`nothing came for ${timeoutMs / 1000} s`))
  let timer = setTimeout(late, timeoutMs)
  try {
    const response = await fetch(url, {
      headers,
      signal: signal ? AbortSignal.any([signal, stall.signal]) : stall.signal,
    })
    if (!response.ok || !response.body) throw new Error(`HTTP status ${response.status}`)
    const body = Readable.fromWeb(response.body as never)
    return (async function* () {
      try {
        for await (const chunk of body) {
          clearTimeout(timer)
          timer = setTimeout(late, timeoutMs)
          yield chunk as Buffer
        }
      } finally {
        clearTimeout(timer)
      }
    })()
  } catch (error) {
    clearTimeout(timer)
    signal?.throwIfAborted()
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    throw new UserError(`the controller cannot fetch ${url}: ${cause instanceof Error ? cause.message : cause}`)
  }
}
