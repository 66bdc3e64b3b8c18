import https from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { isUnreachable } from '../shared/kubernetes.ts'
import type { LoadedKubeconfig } from './kubeconfig.ts'
import { answerError, connectionError } from './trouble.ts'

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below the server, beginning with a slash. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  /** Sent as JSON. */
  readonly body?: unknown
  readonly contentType?: string
  /** Milliseconds to the end of the answer. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /** Milliseconds that a connection which cannot be made is tried again; see PATIENCE_MS. */
  readonly patienceMs?: number
}

/** Sends requests to one API server; connections are kept and used again. */
export interface Transport {
  readonly server: string
  /** The body of a 2xx answer, parsed if it is JSON. Throws KubernetesError for every other. */
  send<T = unknown>(request: ApiRequest): Promise<T>
  close(): void
}

const TIMEOUT_MS = 30_000
/**
 * A virtual IP that moves to another control plane, and an API server that is restarted, are away for some seconds, and
 * the server may close a kept connection just as we use it. What may be repeated (RFC 9110, 9.2.2, and apply) is sent
 * again for that long.
 */
const PATIENCE_MS = 8000
const AGAIN_MS = 500
/** The API server closes idle connections after three minutes or more; ours go before. */
const IDLE_MS = 30_000

/**
 * Requests are our own: the library's generated client loses fields that it does not know, and takes a 2xx answer of kind
 * Status "Failure" for a success.
 */
export function openTransport({ credentials, server }: LoadedKubeconfig): Transport {
  const agents = new Map<string, https.Agent>()

  const options = async (): Promise<https.RequestOptions> => {
    const auth = await credentials()
    if (auth.agent) return auth
    const key = `${auth.cert} ${auth.key}`
    let agent = agents.get(key)
    if (!agent) {
      const { ca, cert, key: clientKey, rejectUnauthorized, servername } = auth
      const tls = { ca, cert, key: clientKey, rejectUnauthorized, ...(servername === undefined ? {} : { servername }) }
      agent = new https.Agent({ ...tls, keepAlive: true, timeout: IDLE_MS })
      agents.set(key, agent)
    }
    return { ...auth, agent }
  }

  return {
    server,
    async send<T>(request: ApiRequest): Promise<T> {
      const { status, text, retryAfter } = await patiently(request, async () =>
        exchange(server, await options(), request),
      )
      const body = parse(text)
      if (status < 200 || status > 299 || isFailure(body)) throw answerError(server, request, status, body, retryAfter)
      return body as T
    },
    close: () => {
      for (const agent of agents.values()) agent.destroy()
    },
  }
}

async function patiently(
  { method = 'GET', patienceMs = PATIENCE_MS, signal }: ApiRequest,
  exchanged: () => Promise<Answer>,
): Promise<Answer> {
  const until = Date.now() + (method === 'POST' ? 0 : patienceMs)
  for (;;) {
    try {
      return await exchanged()
    } catch (error) {
      if (!isUnreachable(error) || Date.now() >= until) throw error
      await sleep(AGAIN_MS, undefined, { signal })
    }
  }
}

interface Answer {
  readonly status: number
  readonly text: string
  /** Seconds. */
  readonly retryAfter: number | undefined
}

async function exchange(server: string, auth: https.RequestOptions, request: ApiRequest): Promise<Answer> {
  const { method = 'GET', path, query = {}, body, contentType = 'application/json', timeoutMs = TIMEOUT_MS } = request
  const url = new URL(server + path)
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value)
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const headers: Record<string, string | number> = {
    ...(auth.headers as Record<string, string>),
    accept: 'application/json',
    'user-agent': 'runbook',
    ...(payload ? { 'content-type': contentType, 'content-length': payload.length } : {}),
  }
  const timeout = AbortSignal.timeout(timeoutMs)
  const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const sent = https.request(url, { ...auth, method, headers, signal }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString('utf8'),
            retryAfter: seconds(response.headers['retry-after']),
          }),
        )
      })
      sent.on('error', reject)
      sent.end(payload)
    })
  } catch (error) {
    request.signal?.throwIfAborted()
    throw connectionError(server, error, timeout.aborted ? timeoutMs : undefined)
  }
}

/** The API server gives seconds, never a date. */
function seconds(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function isFailure(body: unknown): boolean {
  const { kind, status } = (body ?? {}) as { kind?: unknown; status?: unknown }
  return kind === 'Status' && status === 'Failure'
}
