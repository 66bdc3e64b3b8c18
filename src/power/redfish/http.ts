/** JSON over HTTPS to one controller: certificate first, slow and busy controllers borne with. */
import type { ClientRequestArgs, Agent as HttpAgent, IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { type CertificateCheck, checkCertificate } from '../certificates.ts'
import { PowerError } from '../errors.ts'

// An import of node:http makes Node load its WebSocket and fetch, too: 25 ms that every command would pay.
const { Agent: PlainAgent, request: requestPlain } = process.getBuiltinModule('node:http')

export interface RedfishRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Path below the controller's address. */
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

export interface RedfishResponse {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** Parsed JSON; undefined when there is none. */
  readonly body: unknown
}

export interface HttpOptions {
  readonly host: string
  readonly base: URL
  readonly check: CertificateCheck
  /** Milliseconds for one request. Busy controllers take tens of seconds for a GET. */
  readonly requestTimeoutMs?: number | undefined
  /** Milliseconds between tries of a controller that says 503 without Retry-After. */
  readonly retryMs?: number | undefined
}

const REQUEST_TIMEOUT_MS = 60_000
const RETRY_MS = 3_000
/** Seconds; a Retry-After beyond this is not believed. */
const LONGEST_RETRY = 60
const TRIES = 6
/** Bytes; a system resource of a big server has a few hundred KB. */
const MAX_BODY = 16 * 1024 * 1024
const MAX_REDIRECTS = 3

export class RedfishHttp implements Disposable {
  readonly #options: HttpOptions
  readonly #agent: HttpAgent
  /** For what must not be sent twice: a kept connection may be closed by the controller just as a request is sent. */
  readonly #freshAgent: HttpAgent

  constructor(options: HttpOptions) {
    this.#options = options
    // One connection: controllers have few, and mix up sessions under parallel requests.
    const agent = (keepAlive: boolean): HttpAgent =>
      options.base.protocol === 'http:'
        ? new PlainAgent({ keepAlive, maxSockets: 1 })
        : new CheckingAgent(options.check, keepAlive)
    this.#agent = agent(true)
    this.#freshAgent = agent(false)
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
    this.#freshAgent.destroy()
  }

  /** Any answer but 503 comes back as it is. Throws PowerError `unreachable`, `certificate` or `protocol`. */
  async send(wanted: RedfishRequest): Promise<RedfishResponse> {
    const { host, base, retryMs = RETRY_MS } = this.#options
    let path = wanted.path
    for (let tries = 1, redirects = 0; ; ) {
      const response = await this.#once({ ...wanted, path })
      const target = response.headers.location
      if (wanted.method === 'GET' && [301, 302, 307, 308].includes(response.status) && target !== undefined) {
        const url = URL.parse(target, new URL(path, base).href)
        if (url?.origin !== base.origin || ++redirects > MAX_REDIRECTS)
          throw new PowerError('protocol', host, `${path} is redirected to ${target}, which is not followed`)
        path = url.pathname + url.search
        continue
      }
      if (response.status !== 503 && response.status !== 429) return response
      if (tries++ >= TRIES) {
        throw new PowerError('unreachable', host, `${base.host} is busy: ${response.status} to ${TRIES} tries`, {
          hint: 'wait for what it does (an update, a restart), or restart the controller itself',
        })
      }
      const after = Number(response.headers['retry-after'])
      await sleep(after > 0 ? Math.min(after, LONGEST_RETRY) * 1000 : retryMs, undefined, { signal: wanted.signal })
    }
  }

  async #once(wanted: RedfishRequest): Promise<RedfishResponse> {
    const { method, path, body, headers, signal } = wanted
    const { host, base, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.#options
    const url = new URL(path, base)
    // `//HOST/…` is a path in a controller's answer, too. Passwords and tokens are for this controller alone.
    if (url.origin !== base.origin) throw new PowerError('protocol', host, `${base.host} names ${url.host} for its own`)
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const timeout = AbortSignal.timeout(requestTimeoutMs)
    const agent = method === 'POST' ? this.#freshAgent : this.#agent
    const stop = AbortSignal.any([signal, timeout])
    // A request without a connection yet does not end by its signal alone: it waits for the connection's end.
    const drop = (): void => {
      if (agent instanceof CheckingAgent) agent.drop()
    }
    stop.addEventListener('abort', drop)
    let wasStale = false
    return new Promise<RedfishResponse>((resolve, reject) => {
      const send = base.protocol === 'http:' ? requestPlain : request
      const outgoing = send(
        url,
        {
          method,
          agent,
          signal: stop,
          headers: {
            accept: 'application/json',
            'odata-version': '4.0',
            // Some controllers do not take chunked bodies.
            ...(content ? { 'content-type': 'application/json', 'content-length': content.length } : {}),
            ...headers,
          },
        },
        (incoming) => {
          readBody(incoming).then((text) => {
            resolve({ status: incoming.statusCode!, headers: incoming.headers, body: parseJson(text) })
          }, reject)
        },
      )
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        wasStale = outgoing.reusedSocket && error.code === 'ECONNRESET'
        reject(error)
      })
      outgoing.end(content)
    })
      .catch((error: unknown) => {
        signal.throwIfAborted()
        if (error instanceof PowerError) throw error
        if (wasStale) return this.#once(wanted)
        if (timeout.aborted) {
          throw new PowerError('unreachable', host, `${base.host} did not answer within ${requestTimeoutMs / 1000} s`, {
            cause: error,
            hint: `asked: ${method} ${path}`,
          })
        }
        throw unreachable(host, base, error)
      })
      .finally(() => stop.removeEventListener('abort', drop))
  }
}

/** Hands out connections whose certificate was checked before a byte was sent over them. */
class CheckingAgent extends Agent {
  readonly #check: CertificateCheck
  /** Not handed out yet, so that nobody else would end them. */
  readonly #pending = new Set<TLSSocket>()

  constructor(check: CertificateCheck, keepAlive: boolean) {
    super({ keepAlive, maxSockets: 1 })
    this.#check = check
  }

  /** Ends connections that a request which is over was waiting for. */
  drop(): void {
    for (const socket of this.#pending) socket.destroy(new Error('nobody waits for this connection any more'))
  }

  override destroy(): void {
    this.drop()
    super.destroy()
  }

  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { policy } = this.#check
    const name = String(options.host)
    const verify = 'mode' in policy && policy.mode === 'verify'
    const socket = connect({
      host: name,
      port: Number(options.port),
      ...(isIP(name) ? {} : { servername: name }),
      rejectUnauthorized: verify,
    })
    this.#pending.add(socket)
    const fail = (error: Error): void => {
      this.#pending.delete(socket)
      socket.destroy()
      callback!(error, socket)
    }
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      const checked = verify ? Promise.resolve() : checkCertificate(this.#check, socket.getPeerCertificate())
      checked.then(() => {
        this.#pending.delete(socket)
        socket.off('error', fail)
        callback!(null, socket)
      }, fail)
    })
    return undefined
  }
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw new Error(`the answer is longer than ${MAX_BODY} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Controllers send HTML with some errors, and nothing with some successes. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function unreachable(host: string, base: URL, error: unknown): PowerError {
  const { code = '', message = String(error) } = error as NodeJS.ErrnoException
  const isTrust = /^(CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_TLS_CERT)/.test(code)
  if (isTrust) {
    return new PowerError('certificate', host, `the certificate of ${base.host} is not trusted: ${message}`, {
      cause: error,
      hint: 'no password was sent; leave certificate out to have it remembered at first sight, or give its SHA256 fingerprint',
    })
  }
  const isTls = code === 'EPROTO' || /^ERR_SSL/.test(code)
  return new PowerError('unreachable', host, `${base.host} cannot be reached: ${message}`, {
    cause: error,
    hint: isTls
      ? 'its TLS is too old for this machine (or it is no TLS port): update its firmware, or use type ipmi'
      : 'check address, network and firewall of the management network',
  })
}
