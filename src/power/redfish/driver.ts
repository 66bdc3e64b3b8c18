/** Power control by Redfish (DMTF DSP0266; ComputerSystem schema). */
import { type CertificatePolicy, CertificateStore } from '../certificates.ts'
import type { DriverContext, PowerAction, PowerDriver, PowerState } from '../driver.ts'
import { PowerError } from '../errors.ts'
import { type Firmware, setBoot } from './boot.ts'
import { RedfishClient } from './client.ts'
import { RedfishHttp } from './http.ts'
import { allowableValues, asText, idOf, isJson, type Json, memberOf, messagesOf } from './json.ts'
import { findSystem } from './system.ts'

export interface RedfishSettings {
  /** `https://HOST[:PORT]/`; plain http is for this machine only. */
  readonly base: URL
  readonly user: string
  readonly password: string
  readonly certificate: CertificatePolicy
  /** Where several systems are behind one controller: Id, serial number, UUID or name. */
  readonly system?: string | undefined
  readonly firmware: Firmware
  /** The folder in which `.runbook/` with the known certificates stands. */
  readonly folder: string
  readonly requestTimeoutMs?: number | undefined
  readonly retryMs?: number | undefined
  /** Milliseconds before each look at a boot choice that was written. */
  readonly looks?: readonly number[] | undefined
}

/** Values of ResetType, the best first. PushPowerButton toggles, so it serves where the state was just looked at. */
const RESETS: Readonly<Record<PowerAction, readonly string[]>> = {
  on: ['On', 'ForceOn', 'PushPowerButton'],
  'soft-off': ['GracefulShutdown', 'PushPowerButton'],
  'hard-off': ['ForceOff'],
  reset: ['ForceRestart', 'PowerCycle'],
}

/** Errors that mean "not this ResetType" rather than "not now" (Base message registry). */
const NOT_THIS = /^(ActionParameter|PropertyValue|ActionNotSupported|QueryParameter)/

export function redfishDriver(settings: RedfishSettings, context: DriverContext): PowerDriver {
  const { base, user, password, requestTimeoutMs, retryMs } = settings
  const { host } = context
  const address = `${base.hostname}:${base.port || (base.protocol === 'http:' ? 80 : 443)}`
  const store = new CertificateStore(settings.folder)
  const check = { policy: settings.certificate, store, context, address }
  const http = new RedfishHttp({ host, base, check, requestTimeoutMs, retryMs })
  const client = new RedfishClient(host, http, { user, password }, context.addSecret)
  let path: string | undefined

  const systemPath = async (signal: AbortSignal): Promise<string> => {
    path ??= await findSystem(client, host, settings.system, signal)
    return path
  }
  const read = async (signal: AbortSignal): Promise<Json> => (await client.get(await systemPath(signal), signal)).body

  return {
    description: `Redfish ${base.href}`,
    seesPower: true,
    state: async (signal) => stateOf(await read(signal)),
    async act(action, signal) {
      const system = await read(signal)
      const action_ = memberOf(memberOf(system, 'Actions'), '#ComputerSystem.Reset')
      const target = asText(action_?.target) ?? `${await systemPath(signal)}/Actions/ComputerSystem.Reset`
      const allowed = allowableValues(action_, 'ResetType') ?? (await fromActionInfo(client, action_, signal))
      const types = RESETS[action].filter((type) => !allowed || allowed.includes(type))
      if (types.length === 0) {
        throw new PowerError(
          'unsupported',
          host,
          `the controller cannot do ${action}: it offers ${allowed?.join(', ')}`,
          {
            ...(action === 'soft-off' ? { hint: 'shut the host down over SSH, or cut the power with --force' } : {}),
          },
        )
      }
      for (const type of types) {
        // A button toggles: what was said no to before may be happening all the same, and would be undone.
        if (type === 'PushPowerButton' && type !== types[0] && stateOf(await read(signal)) !== stateOf(system)) return
        const response = await client.send({ method: 'POST', path: target, body: { ResetType: type }, signal })
        if (response.status < 300) return
        const isOther = messagesOf(response.body).some(({ id }) => NOT_THIS.test(id))
        // Without a list of what it takes, a no to one word is no reason not to try the next.
        if (type === types.at(-1) || (allowed && !isOther)) throw client.refusal(`${action} (${type})`, response)
      }
    },
    boot: async (target, signal) =>
      setBoot({
        client,
        host,
        system: await systemPath(signal),
        target,
        firmware: settings.firmware,
        signal,
        looks: settings.looks,
      }),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

/** PowerState of the Resource schema; what is on its way is neither. */
export function stateOf(system: Json): PowerState {
  const state = asText(system.PowerState)?.toLowerCase()
  return state === 'on' || state === 'off' ? state : 'unknown'
}

/** Some keep the list of what they take in a resource of its own (DSP0266, 7.5.5). */
async function fromActionInfo(
  client: RedfishClient,
  action: Json | undefined,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const path = idOf({ '@odata.id': action?.['@Redfish.ActionInfo'] })
  if (!path) return undefined
  const { body } = await client.get(path, signal)
  const parameters = Array.isArray(body.Parameters) ? body.Parameters.filter(isJson) : []
  const values = parameters.find(({ Name }) => Name === 'ResetType')?.AllowableValues
  const texts = Array.isArray(values) ? values.filter((value) => typeof value === 'string') : []
  return texts.length > 0 ? texts : undefined
}
