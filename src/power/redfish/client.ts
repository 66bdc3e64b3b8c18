/** A logged-in client of one Redfish service (DMTF DSP0266, chapters 6 to 13). */
import { PowerError } from '../errors.ts'
import type { RedfishHttp, RedfishRequest, RedfishResponse } from './http.ts'
import { asText, idOf, isJson, type Json, memberOf, messagesOf } from './json.ts'

export interface Login {
  readonly user: string
  readonly password: string
}

interface Auth {
  readonly headers: Readonly<Record<string, string>>
  /** Path of the session. */
  readonly session?: string | undefined
}

/** Where sessions are made when the service root does not say (DSP0266, 13.3.4.1). */
const SESSIONS = '/redfish/v1/SessionService/Sessions'
const ROOT = '/redfish/v1/'

export class RedfishClient implements AsyncDisposable {
  readonly #host: string
  readonly #http: RedfishHttp
  readonly #login: Login
  readonly #addSecret: (secret: string) => void
  #auth: Auth | undefined
  #root: Json | undefined

  constructor(host: string, http: RedfishHttp, login: Login, addSecret: (secret: string) => void) {
    this.#host = host
    this.#http = http
    this.#login = login
    this.#addSecret = addSecret
  }

  /** The service root, which needs no login. */
  async root(signal: AbortSignal): Promise<Json> {
    this.#root ??= await this.#readRoot(signal)
    return this.#root
  }

  async #readRoot(signal: AbortSignal): Promise<Json> {
    const response = await this.#http.send({ method: 'GET', path: ROOT, signal })
    if (response.status === 200 && isJson(response.body)) return response.body
    throw new PowerError('protocol', this.#host, `there is no Redfish at ${ROOT}: HTTP status ${response.status}`, {
      hint: 'check the address; controllers from before about 2015 have none: use type ipmi',
    })
  }

  /** Throws PowerError unless the answer is 2xx with a JSON object. */
  async get(path: string, signal: AbortSignal): Promise<{ body: Json; etag: string | undefined }> {
    const response = await this.send({ method: 'GET', path, signal })
    if (response.status !== 200 || !isJson(response.body)) throw this.refusal(`GET ${path}`, response)
    return { body: response.body, etag: response.headers.etag ?? asText(response.body['@odata.etag']) }
  }

  /** Any status but 401 comes back. Logs in first, and once again when the session is gone. Throws PowerError `auth`. */
  async send(request: RedfishRequest): Promise<RedfishResponse> {
    const hadSession = this.#auth?.session !== undefined
    const response = await this.#sendWithAuth(request)
    if (response.status !== 401) return response
    if (hadSession) {
      this.#auth = undefined
      const again = await this.#sendWithAuth(request)
      if (again.status !== 401) return again
    }
    throw this.#authError(response)
  }

  async #sendWithAuth(request: RedfishRequest): Promise<RedfishResponse> {
    this.#auth ??= await this.#logIn(request.signal)
    return this.#http.send({ ...request, headers: { ...this.#auth.headers, ...request.headers } })
  }

  /** A session where the controller makes one, else the password with each request. */
  async #logIn(signal: AbortSignal): Promise<Auth> {
    const { user, password } = this.#login
    this.#addSecret(password)
    const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    this.#addSecret(basic.slice('Basic '.length))
    const root = await this.root(signal)
    const path = idOf(memberOf(root, 'Links')?.Sessions) ?? SESSIONS
    const body = { UserName: user, Password: password }
    const response = await this.#http.send({ method: 'POST', path, body, signal })
    const token = response.headers['x-auth-token']
    if (response.status < 300 && typeof token === 'string') {
      this.#addSecret(token)
      const session = response.headers.location ?? idOf(response.body)
      return { headers: { 'x-auth-token': token }, session: session && pathOf(session) }
    }
    // No sessions, none free, or a service that wants the password even for this: the next request tells.
    return { headers: { authorization: basic } }
  }

  /** What a controller's no says, as an error. */
  refusal(what: string, response: RedfishResponse): PowerError {
    const { status } = response
    if (status === 403) {
      return new PowerError('auth', this.#host, `the user ${this.#login.user} may not do that: ${what}`, {
        hint: 'it needs the privilege ConfigureComponents (role Operator or Administrator)',
      })
    }
    const messages = messagesOf(response.body)
    const said = messages.length > 0 ? `: ${messages.map((m) => m.text).join('; ')}` : ''
    const kind = status >= 200 && status < 300 ? 'protocol' : 'refused'
    return new PowerError(kind, this.#host, `${what}: HTTP status ${status}${said}`)
  }

  #authError(response: RedfishResponse): PowerError {
    const messages = messagesOf(response.body).map((m) => m.text)
    const said = messages.length > 0 ? `: ${messages.join('; ')}` : ''
    return new PowerError('auth', this.#host, `the controller does not let ${this.#login.user} in${said}`, {
      hint: 'check user and password of runbook_power; after several wrong ones many controllers lock the account for minutes',
    })
  }

  /** Ends the session: controllers have few of them, and keep them for half an hour. */
  async [Symbol.asyncDispose](): Promise<void> {
    const auth = this.#auth
    this.#auth = undefined
    try {
      if (auth?.session) {
        const signal = AbortSignal.timeout(5_000)
        await this.#http.send({ method: 'DELETE', path: auth.session, headers: auth.headers, signal })
      }
    } catch {
      // It ends by itself.
    } finally {
      this.#http[Symbol.dispose]()
    }
  }
}

/** Locations are paths or whole URLs. */
const pathOf = (location: string): string | undefined => {
  const url = URL.parse(location, 'https://controller/')
  return url ? url.pathname + url.search : undefined
}
