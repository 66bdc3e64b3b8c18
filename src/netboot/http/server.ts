/** The HTTP server: scripts, files, seeds and reports for machines that boot, on chosen addresses only. */
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { UserError } from '../../shared/errors.ts'
import type { Desk } from '../boot.ts'
import { ipxeLocal } from '../scripts.ts'
import { cleanName } from '../tftp/files.ts'
import { DEFAULT_DOWNLOAD_LIMITS, type DownloadLimits, download, type Sent } from './download.ts'
import { Places, shareOf } from './queue.ts'
import { BadRequest, readBody, segmentsOf } from './request.ts'

export interface HttpServerOptions {
  /** Ours, IPv4, to listen on. */
  readonly addresses: readonly string[]
  readonly port: number
  /** The files folder. */
  readonly root: string
  readonly desk: Desk
  /** Files sent at the same time. */
  readonly downloads: number
  readonly limits?: DownloadLimits | undefined
  /** Open at the same time on each address of ours; 4096 if not given. */
  readonly connections?: number | undefined
  readonly onEvent?: ((event: HttpEvent) => void) | undefined
  /** What an operator should look at. */
  readonly onTrouble?: ((message: string) => void) | undefined
  /** More counters for /metrics, by name. */
  readonly metrics?: (() => Readonly<Record<string, number>>) | undefined
}

/** A request and what became of it. */
export interface HttpEvent {
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly client: string
  readonly method: string
  /** Without tokens and query. */
  readonly path: string
  readonly status: number
  readonly bytes: number
  readonly complete: boolean
  /** Milliseconds. */
  readonly took: number
}

/** Downloads that wait for a place; more are told to come back. */
const MOST_WAITING = 2000
const MOST_CONNECTIONS = 4096

const TEXT = 'text/plain; charset=utf-8'

export class HttpServer {
  readonly #options: HttpServerOptions
  readonly #places: Places
  readonly #connectionsAtMost: number
  readonly #servers: Server[] = []
  /** By address. */
  readonly #connections = new Map<string, number>()
  /** By what happened: `requests`, `bytes`, `broken` (not sent to the end), and by status, e.g. `status_404`. */
  readonly counters: Record<string, number> = {}

  constructor(options: HttpServerOptions) {
    this.#options = options
    this.#connectionsAtMost = options.connections ?? MOST_CONNECTIONS
    this.#places = new Places(options.downloads, MOST_WAITING)
  }

  /** Rejects with a UserError when an address cannot be listened on; then none is. */
  async start(): Promise<void> {
    try {
      for (const address of this.#options.addresses) await this.listen(address)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Serves on one more address of ours. Rejects with a UserError when it cannot be had; the others go on. */
  async listen(address: string): Promise<void> {
    const { port } = this.#options
    const server = createServer(
      {
        maxHeaderSize: 8 << 10,
        headersTimeout: 10_000,
        requestTimeout: 30_000,
        keepAliveTimeout: 10_000,
        connectionsCheckingInterval: 5000,
      },
      (request, response) => void this.#answer(request, response),
    )
    server.maxConnections = this.#connectionsAtMost
    server.on('connection', (socket) => this.#welcome(socket))
    server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => {
      this.#count('malformed')
      const status = code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
      if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const hint =
          error.code === 'EADDRINUSE' ? 'another web server has that port; stop it, or set http.port' : undefined
        reject(new UserError({ message: `cannot listen on http://${address}:${port}: ${error.message}`, hint }))
      })
      server.listen(port, address, resolve)
    })
    server.on('error', (error) => this.#options.onTrouble?.(`http on ${address}: ${error.message}`))
    this.#servers.push(server)
  }

  /** Nobody gets more than a share of the connections. */
  #welcome(socket: Socket): void {
    const who = socket.remoteAddress ?? ''
    const count = (this.#connections.get(who) ?? 0) + 1
    if (count > shareOf(this.#connectionsAtMost)) {
      this.#count('refused_connections')
      socket.destroy()
      return
    }
    this.#connections.set(who, count)
    socket.once('close', () => {
      const left = (this.#connections.get(who) ?? 1) - 1
      if (left > 0) this.#connections.set(who, left)
      else this.#connections.delete(who)
    })
  }

  /** The port, also where 0 was asked for. */
  get port(): number {
    return (this.#servers[0]?.address() as AddressInfo | null)?.port ?? this.#options.port
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.splice(0).map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()))
        server.closeAllConnections()
        return closed
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #count(what: string, by = 1): void {
    this.counters[what] = (this.counters[what] ?? 0) + by
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const begun = performance.now()
    const client = request.socket.remoteAddress ?? ''
    this.#count('requests')
    // A connection that breaks is the reader's matter.
    response.on('error', () => {})
    let sent: Sent
    let segments: readonly string[] = []
    try {
      segments = segmentsOf(request.url ?? '')
      sent = await this.#route(request, response, segments)
    } catch (error) {
      const bad = error instanceof BadRequest
      if (!bad) this.#options.onTrouble?.(`${request.method} ${shown(segments)}: ${(error as Error).message}`)
      sent = text(response, bad ? error.status : 500, bad ? error.message : 'internal error')
    }
    this.#count('bytes', sent.bytes)
    this.#count(`status_${sent.status}`)
    if (!sent.complete) this.#count('broken')
    this.#options.onEvent?.({
      time: Date.now(),
      client,
      method: request.method ?? '',
      path: shown(segments),
      status: sent.status,
      bytes: sent.bytes,
      complete: sent.complete,
      took: Math.round(performance.now() - begun),
    })
  }

  async #route(request: IncomingMessage, response: ServerResponse, segments: readonly string[]): Promise<Sent> {
    const { desk, root, limits = DEFAULT_DOWNLOAD_LIMITS } = this.#options
    const [first = '', second = '', third = '', fourth = '', ...more] = segments
    const method = request.method ?? ''
    const allow = (...methods: string[]): void => {
      if (!methods.includes(method)) throw new BadRequest(405, `only ${methods.join(', ')}`)
    }
    const head = method === 'HEAD'
    const send = (path: string): Promise<Sent> =>
      download(request, response, { root, path, places: this.#places, limits })
    // Our own address as this client reached it; what the Host header says is the client's word.
    const base = (): string => desk.base(request.socket.localAddress?.replace(/^::ffff:/, '') ?? '')

    switch (first) {
      case 'files': {
        allow('GET', 'HEAD')
        const path = cleanName(segments.slice(1).join('/'))
        return path === undefined ? text(response, 404, 'not found') : send(path)
      }
      case 'm': {
        allow('GET', 'HEAD')
        if (more.length > 0 || !desk.isTag(second, third)) return text(response, 404, 'not found')
        if (fourth === 'uki.efi') {
          const path = desk.uki(second, !head)
          return path === undefined ? text(response, 404, 'nothing to boot') : send(path)
        }
        const kind = fourth === 'boot.ipxe' ? 'ipxe' : fourth === 'grub.cfg' ? 'grub' : undefined
        if (kind === undefined) return text(response, 404, 'not found')
        // A HEAD must not use a repave up, so it does not tell a length.
        if (head) return empty(response, 200)
        return text(response, 200, desk.script(second, kind, base()))
      }
      case 'seed': {
        // HEAD would use up what it does not give.
        allow('GET')
        if (more.length > 0) return text(response, 404, 'not found')
        const answer = desk.seed(second, third, fourth, base())
        if (isRefusal(answer)) return text(response, REFUSALS[answer], answer)
        const settle = (isSent: boolean) => (): void => {
          try {
            desk.seedSent(second, fourth, isSent)
          } catch (error) {
            this.#options.onTrouble?.(`cannot remember that ${fourth} was sent: ${(error as Error).message}`)
          }
        }
        response.once('finish', settle(true)).once('close', settle(false))
        return text(response, 200, answer, { 'cache-control': 'no-store', 'content-type': seedType(fourth) })
      }
      case 'discover': {
        const mac = second.replaceAll('-', ':')
        if (more.length > 0 || !desk.isStranger(mac, third)) return text(response, 404, 'not found')
        if (fourth === 'boot.ipxe') {
          allow('GET', 'HEAD')
          return head ? empty(response, 200) : text(response, 200, desk.discoveryScript(mac, 'ipxe', base()))
        }
        if (fourth !== '') return text(response, 404, 'not found')
        allow('GET', 'POST')
        if (method === 'GET') return text(response, 200, desk.strangersNext(mac))
        const answer = desk.discovered(mac, await readBody(request))
        return answer === 'taken' ? text(response, 200, 'ok') : text(response, REFUSALS[answer], answer)
      }
      case 'report':
      case 'phone-home': {
        allow('POST')
        const body = await readBody(request)
        const answer = first === 'report' ? desk.report(second, body) : desk.phoneHome(second, body)
        return answer === 'taken' ? text(response, 200, 'ok') : text(response, REFUSALS[answer], answer)
      }
    }
    allow('GET', 'HEAD')
    if (second !== '') return text(response, 404, 'not found')
    if (first === 'healthz') return head ? empty(response, 200) : text(response, 200, 'ok')
    if (first === 'local.ipxe') return text(response, 200, ipxeLocal('this machine is not in the inventory'))
    if (first === 'metrics') return text(response, 200, this.#metrics())
    return text(response, 404, 'not found')
  }

  /** Prometheus' text format. */
  #metrics(): string {
    const own = Object.entries(this.counters).map(([name, value]) => [`http_${name}`, value] as const)
    const others = Object.entries(this.#options.metrics?.() ?? {})
    const lines = [...own, ...others].map(
      ([name, value]) => `runbook_netboot_${name.replace(/\W/g, '_')}_total ${value}`,
    )
    lines.push(`runbook_netboot_http_downloads ${this.#places.taken}`)
    lines.push(`runbook_netboot_http_downloads_waiting ${this.#places.waiting}`)
    return `${lines.join('\n')}\n`
  }
}

const REFUSALS = { forbidden: 403, gone: 410, missing: 404, malformed: 400 } as const

function isRefusal(answer: string): answer is keyof typeof REFUSALS {
  return Object.hasOwn(REFUSALS, answer)
}

function text(response: ServerResponse, status: number, body: string, headers: OutgoingHttpHeaders = {}): Sent {
  // After its headers went out, only a broken connection tells that something went wrong.
  if (response.headersSent) {
    response.destroy()
    return { status, bytes: 0, complete: false }
  }
  const bytes = Buffer.from(body)
  response.writeHead(status, {
    'content-type': TEXT,
    'content-length': bytes.length,
    'cache-control': 'no-cache',
    // The rest of a body that was too large, or was not asked for, is not read.
    ...(status >= 400 && { connection: 'close' }),
    ...headers,
  })
  response.end(bytes)
  return { status, bytes: bytes.length, complete: true }
}

/** Ignition's is registered with IANA (application/vnd.coreos.ignition+json); what installers read else is text. */
function seedType(name: string): string {
  if (name.endsWith('.ign')) return 'application/vnd.coreos.ignition+json'
  return name.endsWith('.json') ? 'application/json' : TEXT
}

function empty(response: ServerResponse, status: number): Sent {
  response.writeHead(status, { 'content-type': TEXT, 'cache-control': 'no-cache' }).end()
  return { status, bytes: 0, complete: true }
}

/** A path for the log: what stands where tokens stand is left out, and nothing is in it that a terminal would obey. */
function shown(segments: readonly string[]): string {
  const hidden = segments.map((one, i) => {
    const [first] = segments
    if (first === 'm' || first === 'discover') return i === 2 ? '…' : one
    if (first === 'seed') return i === 1 || i === 2 ? '…' : one
    return (first === 'report' || first === 'phone-home') && i === 1 ? '…' : one
  })
  return `/${hidden.join('/')}`.slice(0, 300).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}
