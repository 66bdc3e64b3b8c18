/** The read-only HTTP server: status page, /events, /healthz, /metrics. On localhost unless told otherwise. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UserError } from '../../../shared/errors.ts'
import { SCRIPT, STYLE } from './assets.ts'
import { nodesPage, page, sections, titleOf } from './page.ts'
import type { View } from './view.ts'

export interface StatusOptions {
  readonly host: string
  readonly port: number
  readonly view: () => View
  readonly metrics: () => Promise<string>
  /** Milliseconds since the loop of the daemon last came round. */
  readonly idle: () => number
}

/** Pages that are open and live; more get the page without. */
const MOST_LIVE = 50
/** A page is sent anew when something has changed, and so often for the times in it. Milliseconds. */
const BEAT = 5000
/** Changes that come together are sent together. Milliseconds. */
const GATHER = 250
/** A loop that has not come round for so long hangs. Milliseconds. */
const STUCK = 30_000

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
} as const

export class StatusServer {
  readonly #options: StatusOptions
  readonly #live = new Set<ServerResponse>()
  readonly #server: Server
  #beat: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined

  constructor(options: StatusOptions) {
    this.#options = options
    this.#server = createServer(
      { headersTimeout: 10_000, requestTimeout: 10_000, maxHeaderSize: 8 << 10 },
      (req, res) => {
        this.#answer(req, res).catch(() => res.destroy())
      },
    )
    this.#server.maxConnections = 500
  }

  /** Gives the port. Rejects with a UserError when the address cannot be listened on. */
  async start(): Promise<number> {
    const { host, port } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const hint = 'is another daemon running? --listen HOST:PORT takes another place'
        reject(new UserError({ message: `cannot listen on ${host}:${port}: ${error.code ?? error.message}`, hint }))
      })
      this.#server.listen(port, host, resolve)
    })
    this.#beat = setInterval(() => this.#send(), BEAT)
    return (this.#server.address() as AddressInfo).port
  }

  /** Something has changed: pages that are open are told soon. */
  changed(): void {
    if (this.#live.size === 0) return
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined
      this.#send()
    }, GATHER)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beat)
    clearTimeout(this.#soon)
    for (const response of this.#live) response.end()
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { view, metrics, idle } = this.#options
    const send = (status: number, type: string, body: string): void => {
      response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8` })
      response.end(request.method === 'HEAD' ? undefined : body)
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      return send(405, 'text/plain', 'read only\n')
    }
    if (!this.#isForUs(request.headers.host)) return send(421, 'text/plain', 'not the name of this server\n')
    switch (request.url?.replace(/\?.*$/, '')) {
      case '/':
        return send(200, 'text/html', page(view()))
      case '/nodes':
        return send(200, 'text/html', nodesPage(view()))
      case '/style.css':
        return send(200, 'text/css', STYLE)
      case '/live.js':
        return send(200, 'text/javascript', SCRIPT)
      case '/events':
        return this.#subscribe(request, response)
      case '/metrics':
        return send(200, 'text/plain; version=0.0.4', await metrics())
      case '/healthz': {
        const { bad, trouble, running } = view()
        const stuck = idle() > STUCK
        const status = stuck ? 'stuck' : bad.length > 0 || trouble !== undefined ? 'degraded' : 'ok'
        const body = {
          status,
          idle_seconds: Math.round(idle() / 1000),
          running: running?.record.window ?? null,
          left_out: bad,
          trouble,
        }
        // What is left out is no reason to restart the daemon; only one that hangs is.
        return send(stuck ? 503 : 200, 'application/json', `${JSON.stringify(body)}\n`)
      }
      default:
        return send(404, 'text/plain', 'not found\n')
    }
  }

  /**
   * A page of somebody else's in a browser here must not read this one through a name that it points at 127.0.0.1: on
   * localhost only addresses and localhost itself are answered.
   */
  #isForUs(host: string | undefined): boolean {
    if (!/^(127\.|::1$|localhost$)/.test(this.#options.host)) return true
    return /^(localhost|127\.[\d.]+|\[::1\])(:\d+)?$/i.test(host ?? '')
  }

  #subscribe(request: IncomingMessage, response: ServerResponse): void {
    if (this.#live.size >= MOST_LIVE || request.method === 'HEAD') {
      response.writeHead(request.method === 'HEAD' ? 200 : 503, { ...HEADERS, 'retry-after': '30' })
      response.end()
      return
    }
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    this.#live.add(response)
    response.once('close', () => this.#live.delete(response))
    response.write(this.#message())
  }

  #send(): void {
    if (this.#live.size === 0) return
    const message = this.#message()
    for (const response of this.#live) {
      // A reader that takes nothing any more is let go: its page says so, and asks again.
      if (response.writableLength > 1 << 20) response.destroy()
      else response.write(message)
    }
  }

  #message(): string {
    const view = this.#options.view()
    return `event: page\ndata: ${JSON.stringify({ title: titleOf(view), html: sections(view).text })}\n\n`
  }
}
