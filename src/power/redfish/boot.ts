/**
 * Where the next boot comes from. Vendors disagree on what they take, and some say yes and keep something else, so each
 * way is written, read back and only then believed; the next one is tried otherwise:
 *
 * - Supermicro forgets the mode unless it is sent along (DMTF/Redfishtool#106), HPE refuses it (community.general#3509),
 *   some have none (metal-operator#982): with the mode, without it;
 * - AMI takes it at the settings resource (`/SD`) only, Dell only at the system itself: both;
 * - some say 200 and store `Disabled` or another mode (bmclib#459): reading back decides;
 * - some keep it for every boot whatever is asked: that counts, with a note;
 * - some want an ETag, some stumble over it: see `patch`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { BootOverride, BootTarget } from '../driver.ts'
import { PowerError } from '../errors.ts'
import type { RedfishClient } from './client.ts'
import type { RedfishResponse } from './http.ts'
import { allowableValues, asText, idOf, isJson, type Json, memberOf, messagesOf } from './json.ts'

/** Values of BootSourceOverrideTarget (ComputerSystem schema, `BootSource`). */
const TARGETS: Readonly<Record<BootTarget, string>> = {
  none: 'None',
  pxe: 'Pxe',
  http: 'UefiHttp',
  disk: 'Hdd',
  cd: 'Cd',
  usb: 'Usb',
  bios: 'BiosSetup',
}

export type Firmware = 'uefi' | 'legacy'
const MODES: Readonly<Record<Firmware, string>> = { uefi: 'UEFI', legacy: 'Legacy' }

/** Milliseconds after a write until it can be read back; several looks, as some controllers take seconds. */
const LOOKS = [0, 1_000, 3_000]

interface Rung {
  readonly path: string
  readonly boot: Json
}

export interface BootRequest {
  /** Milliseconds before each look at what was written; for tests. */
  readonly looks?: readonly number[] | undefined
  readonly client: RedfishClient
  readonly host: string
  /** Path of the system. */
  readonly system: string
  readonly target: BootTarget
  readonly firmware: Firmware
  readonly signal: AbortSignal
}

export async function setBoot(request: BootRequest): Promise<BootOverride> {
  const { client, host, system, target, firmware, signal } = request
  const { body } = await client.get(system, signal)
  const now = memberOf(body, 'Boot') ?? {}
  const allowed = allowableValues(now, 'BootSourceOverrideTarget')
  if (target !== 'none' && allowed && !allowed.includes(TARGETS[target])) {
    throw new PowerError(
      'unsupported',
      host,
      `the controller cannot boot from ${target}: it offers ${allowed.join(', ')}`,
    )
  }
  const settings = idOf(memberOf(body, '@Redfish.Settings')?.SettingsObject)
  const tried: string[] = []
  for (const rung of rungs(now, target, firmware, [system, ...(settings ? [settings] : [])])) {
    const response = await patch(client, rung, signal)
    if (response.status >= 300) {
      if (response.status === 403) throw client.refusal(`PATCH ${rung.path}`, response)
      const said = messagesOf(response.body).map(({ text }) => text)
      tried.push(`${describe(rung)}: HTTP status ${response.status}${said.length > 0 ? ` (${said.join('; ')})` : ''}`)
      continue
    }
    const kept = await readBack(request, rung.path)
    if ('once' in kept) return kept
    tried.push(`${describe(rung)}: HTTP status ${response.status}, but it then reads ${kept.reads}`)
  }
  throw new PowerError(
    'ignored',
    host,
    `the controller does not keep boot from ${target}\n    ${tried.join('\n    ')}`,
    {
      hint: 'set it by hand in its web interface, put network boot first in the firmware, or try type ipmi',
    },
  )
}

/** What to write, in the order of trying. */
export function rungs(now: Json, target: BootTarget, firmware: Firmware, paths: readonly string[]): Rung[] {
  const BootSourceOverrideTarget = TARGETS[target]
  const mode = { BootSourceOverrideMode: MODES[firmware] }
  const enabled = allowableValues(now, 'BootSourceOverrideEnabled')
  const wanted = target === 'none' ? ['Disabled'] : ['Once', 'Continuous']
  const possible = wanted.filter((value) => !enabled || enabled.includes(value))
  // A controller that shows a mode is likely to want it; one that shows none is likely to refuse it.
  const modes = asText(now.BootSourceOverrideMode) === undefined ? [{}, mode] : [mode, {}]
  return (possible.length > 0 ? possible : wanted).flatMap((BootSourceOverrideEnabled) =>
    paths.flatMap((path) =>
      modes.map((extra) => ({ path, boot: { BootSourceOverrideEnabled, BootSourceOverrideTarget, ...extra } })),
    ),
  )
}

/**
 * With the ETag of the resource where it has one, since many controllers demand If-Match (428) and some compare it with
 * something else than what they sent (412): then in its strong form, as `*`, and without.
 */
async function patch(client: RedfishClient, { path, boot }: Rung, signal: AbortSignal): Promise<RedfishResponse> {
  const { etag } = await client.get(path, signal).catch((error: unknown) => {
    // A settings resource that cannot be read may still be written.
    if (error instanceof PowerError && error.kind === 'refused') return { etag: undefined }
    throw error
  })
  const forms = etag === undefined ? [undefined, '*'] : [etag, etag.replace(/^W\//, ''), '*', undefined]
  let response: RedfishResponse | undefined
  for (const form of new Set(forms)) {
    const headers: Record<string, string> = form === undefined ? {} : { 'if-match': form }
    response = await client.send({ method: 'PATCH', path, body: { Boot: boot }, headers, signal })
    if (response.status !== 412 && response.status !== 428) return response
  }
  return response!
}

/** What the system, or the settings resource that was written, holds now. */
async function readBack(
  { client, system, target, firmware, signal, looks = LOOKS }: BootRequest,
  written: string,
): Promise<BootOverride | { reads: string }> {
  let reads = 'nothing'
  for (const wait of looks) {
    await sleep(wait, undefined, { signal })
    for (const path of new Set([system, written])) {
      const { body } = await client.get(path, signal)
      const boot = memberOf(body, 'Boot')
      const kept = boot && judge(boot, target, firmware)
      if (kept) return kept
      if (boot && path === system) reads = summary(boot)
    }
  }
  return { reads }
}

/** Whether what a controller holds is what was wanted; undefined when it is not. */
export function judge(boot: Json, target: BootTarget, firmware: Firmware): BootOverride | undefined {
  const enabled = asText(boot.BootSourceOverrideEnabled)
  const holds = asText(boot.BootSourceOverrideTarget)
  if (target === 'none') {
    return enabled === 'Disabled' || holds === 'None' ? { target, once: false, notes: [] } : undefined
  }
  if (holds !== TARGETS[target] || (enabled !== 'Once' && enabled !== 'Continuous')) return undefined
  const mode = asText(boot.BootSourceOverrideMode)
  if (mode !== undefined && mode !== MODES[firmware]) return undefined
  if (enabled === 'Once') return { target, once: true, notes: [] }
  return {
    target,
    once: false,
    notes: [`the controller keeps ${target} for every boot, not for one: take it back after the host has booted`],
  }
}

const summary = (boot: Json): string =>
  ['Enabled', 'Target', 'Mode']
    .map((name) => [name, boot[`BootSourceOverride${name}`]] as const)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${isJson(value) ? '…' : String(value).slice(0, 40)}`)
    .join(', ') || 'nothing'

const describe = ({ path, boot }: Rung): string => `${path} ${Object.values(boot).join(' ')}`
