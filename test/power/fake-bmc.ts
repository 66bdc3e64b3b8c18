/** A Redfish controller with the faults of real ones, over real TLS. Checked against sushy-tools' in peers.test.ts. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

export const LOGIN = { user: 'admin', password: 'correct horse' }

/** A key and certificate that sign themselves. Undefined without openssl. */
export function selfSigned(name = 'bmc'): { key: string; cert: string; sha256: string } {
  const folder = mkdtempSync(join(tmpdir(), 'power-tls-'))
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')]
  try {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    execFileSync(
      'openssl',
      ['req', '-x509', ...curve, '-keyout', key, '-out', cert, '-days', '2', '-subj', `/CN=${name}`],
      {
        stdio: 'ignore',
      },
    )
    const printed = execFileSync('openssl', ['x509', '-in', cert, '-noout', '-fingerprint', '-sha256'], {
      encoding: 'utf8',
    })
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8'), sha256: printed.trim().split('=')[1]! }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export interface Quirks {
  /** No session service: the password with each request. */
  readonly basicOnly?: boolean
  /** Answers 503 to so many requests first. */
  readonly busy?: number
  /** What PowerState follows an accepted ResetType after so many looks; 'never' for one that does nothing. */
  readonly lateLooks?: number | 'never'
  /** `sent`: takes the mode only when sent (Supermicro); `refused`: HPE; `absent`: old Supermicro; `required`. */
  readonly mode?: 'sent' | 'refused' | 'absent' | 'required'
  /** Boot is taken at the settings resource only (AMI). */
  readonly settingsOnly?: boolean
  /** `required`: 428 without If-Match; `strong`: takes the strong form only; `broken`: 412 with any. */
  readonly etag?: 'required' | 'strong' | 'broken'
  /** What it stores of `Once`: says 200 and stores this. */
  readonly enabledAs?: string
  readonly target?: 'ignored'
  readonly systems?: readonly Record<string, string>[]
  /** ResetType values; `info`: in a resource of its own; undefined: it does not say. */
  readonly resets?: readonly string[]
  readonly resetsIn?: 'action' | 'info' | 'nowhere'
  /** Sessions end after so many requests. */
  readonly sessionRequests?: number
  readonly redirectRoot?: string
  /** Where it says that its systems are. */
  readonly systemsAt?: string
  /** It does a reset, and answers with this status. */
  readonly resetSays?: number
  /** Answers after this many milliseconds. */
  readonly slowMs?: number
  readonly tls?: { readonly key: string; readonly cert: string }
}

export interface FakeBmc extends AsyncDisposable {
  readonly base: URL
  readonly port: number
  /** `METHOD path` and body of what was asked. */
  readonly requests: { method: string; path: string; body: Record<string, unknown> | undefined; authorized: boolean }[]
  readonly state: { power: string; boot: Record<string, unknown>; sessions: Set<string> }
}

const ALL_RESETS = ['On', 'ForceOff', 'GracefulShutdown', 'ForceRestart']

export async function startFakeBmc(quirks: Quirks = {}): Promise<FakeBmc> {
  const { mode, etag, resets = ALL_RESETS, resetsIn = 'action' } = quirks
  const tls = quirks.tls ?? selfSigned()
  const boot: Record<string, unknown> = {
    BootSourceOverrideEnabled: 'Disabled',
    BootSourceOverrideTarget: 'None',
    'BootSourceOverrideTarget@Redfish.AllowableValues': ['None', 'Pxe', 'Hdd', 'BiosSetup'],
    ...(mode === 'absent' || mode === 'required'
      ? {}
      : { BootSourceOverrideMode: mode === 'sent' ? 'Legacy' : 'UEFI' }),
  }
  const state = { power: 'Off', boot, sessions: new Set<string>() }
  const requests: FakeBmc['requests'] = []
  let busy = quirks.busy ?? 0
  let served = 0
  let pending: { power: string; looks: number } | undefined
  const systems = quirks.systems ?? [{ Id: '1', Name: 'System', SerialNumber: 'SN1' }]

  const look = (): void => {
    if (pending && pending.looks-- <= 0) {
      state.power = pending.power
      pending = undefined
    }
  }
  const system = (id: string): Record<string, unknown> => ({
    '@odata.id': `/redfish/v1/Systems/${id}`,
    ...systems.find((one) => one.Id === id),
    PowerState: state.power,
    Boot: quirks.settingsOnly ? { ...state.boot } : state.boot,
    ...(quirks.settingsOnly
      ? { '@Redfish.Settings': { SettingsObject: { '@odata.id': `/redfish/v1/Systems/${id}/SD` } } }
      : {}),
    Actions: {
      '#ComputerSystem.Reset': {
        target: `/redfish/v1/Systems/${id}/Actions/ComputerSystem.Reset`,
        ...(resetsIn === 'action' ? { 'ResetType@Redfish.AllowableValues': resets } : {}),
        ...(resetsIn === 'info' ? { '@Redfish.ActionInfo': '/redfish/v1/ResetInfo' } : {}),
      },
    },
  })

  const reset = (type: string): [number, unknown?] => {
    if (!resets.includes(type))
      return [400, failure('ActionParameterNotSupported', `ResetType ${type} is not supported.`)]
    const power = { On: 'On', ForceOff: 'Off', GracefulShutdown: 'Off', ForceRestart: 'On' }[type]
    const toggled = state.power === 'On' ? 'Off' : 'On'
    if (quirks.lateLooks !== 'never') pending = { power: power ?? toggled, looks: quirks.lateLooks ?? 0 }
    return [quirks.resetSays ?? 204]
  }

  const write = (path: string, body: Record<string, unknown>, ifMatch: string | undefined): [number, unknown?] => {
    if (etag === 'required' && ifMatch === undefined) return [428]
    if (etag === 'strong' && ifMatch !== '"1"') return [412]
    if (etag === 'broken' && ifMatch !== undefined) return [412]
    if (quirks.settingsOnly && !path.endsWith('/SD')) return [405, failure('OperationNotAllowed', 'Not here.')]
    const wanted = { ...(body.Boot as Record<string, unknown>) }
    const hasMode = 'BootSourceOverrideMode' in wanted
    if (hasMode && (mode === 'refused' || mode === 'absent'))
      return [400, failure('PropertyNotWritable', 'The property BootSourceOverrideMode is read only.')]
    if (!hasMode && mode === 'required') return [400, failure('PropertyMissing', 'BootSourceOverrideMode is required.')]
    if (quirks.target === 'ignored') delete wanted.BootSourceOverrideTarget
    if (quirks.enabledAs && wanted.BootSourceOverrideEnabled === 'Once')
      wanted.BootSourceOverrideEnabled = quirks.enabledAs
    Object.assign(state.boot, wanted)
    if (mode === 'sent' && !hasMode)
      Object.assign(state.boot, { BootSourceOverrideMode: 'Legacy', BootSourceOverrideEnabled: 'Disabled' })
    return [200, {}]
  }

  const authorized = (request: IncomingMessage): boolean => {
    const token = request.headers['x-auth-token']
    if (typeof token === 'string' && state.sessions.has(token)) {
      if (quirks.sessionRequests && ++served > quirks.sessionRequests) {
        served = 0
        state.sessions.clear()
        return false
      }
      return true
    }
    return (
      request.headers.authorization === `Basic ${Buffer.from(`${LOGIN.user}:${LOGIN.password}`).toString('base64')}`
    )
  }

  const answer = (
    request: IncomingMessage,
    body: Record<string, unknown>,
  ): [number, unknown?, Record<string, string>?] => {
    const { method } = request
    const path = request.url!
    if (path === '/redfish/v1/' && quirks.redirectRoot) return [308, undefined, { location: quirks.redirectRoot }]
    if (path === '/redfish/v1/' || path === '/redfish/v1/root')
      return [
        200,
        { Systems: { '@odata.id': '/redfish/v1/Systems' }, Links: { Sessions: { '@odata.id': '/redfish/v1/Sess' } } },
      ]
    if (path === '/redfish/v1/Sess' && method === 'POST') {
      if (quirks.basicOnly) return [404]
      if (body.UserName !== LOGIN.user || body.Password !== LOGIN.password) return [401]
      const token = randomBytes(12).toString('hex')
      state.sessions.add(token)
      const location = `/redfish/v1/Sess/${token}`
      return [201, { '@odata.id': location }, { 'x-auth-token': token, location }]
    }
    if (!authorized(request)) return [401, failure('NoValidSession', 'There is no valid session.')]
    if (method === 'DELETE' && path.startsWith('/redfish/v1/Sess/')) {
      state.sessions.delete(path.slice('/redfish/v1/Sess/'.length))
      return [204]
    }
    if (path === '/redfish/v1/Systems')
      return [
        200,
        { Members: systems.map(({ Id }) => ({ '@odata.id': `${quirks.systemsAt ?? ''}/redfish/v1/Systems/${Id}` })) },
      ]
    if (path === '/redfish/v1/ResetInfo') return [200, { Parameters: [{ Name: 'ResetType', AllowableValues: resets }] }]
    const [, id, rest = ''] = /^\/redfish\/v1\/Systems\/([^/]+)(\/.*)?$/.exec(path) ?? []
    if (id === undefined || !systems.some(({ Id }) => Id === id)) return [404]
    if (method === 'POST' && rest.endsWith('.Reset')) return reset(String(body.ResetType))
    if (method === 'PATCH') return write(path, body, request.headers['if-match'])
    const tag: Record<string, string> = etag ? { etag: 'W/"1"' } : {}
    if (rest === '/SD') return [200, { Boot: state.boot }, tag]
    look()
    return rest === '' ? [200, system(id), tag] : [404]
  }

  const server = createServer(tls, async (request: IncomingMessage, response: ServerResponse) => {
    const sent = await text(request)
    const body = sent === '' ? {} : (JSON.parse(sent) as Record<string, unknown>)
    const { 'x-auth-token': token, authorization } = request.headers
    requests.push({
      method: request.method!,
      path: request.url!,
      body: sent === '' ? undefined : body,
      authorized: token !== undefined || authorization !== undefined,
    })
    if (quirks.slowMs) await new Promise((done) => setTimeout(done, quirks.slowMs).unref())
    if (busy > 0) {
      busy--
      response.writeHead(503).end('<html>busy</html>')
      return
    }
    const [status, content, headers = {}] = answer(request, body)
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(content === undefined ? undefined : JSON.stringify(content))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    base: new URL(`https://127.0.0.1:${port}/`),
    port,
    requests,
    state,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

const failure = (id: string, message: string): unknown => ({
  error: {
    code: 'Base.1.8.GeneralError',
    '@Message.ExtendedInfo': [{ MessageId: `Base.1.8.${id}`, Message: message }],
  },
})
