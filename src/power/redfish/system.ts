/** Which computer a controller means: blade chassis and multi-node servers have several behind one address. */
import { PowerError } from '../errors.ts'
import type { RedfishClient } from './client.ts'
import { asText, idOf, type Json } from './json.ts'

/** What a system may be called by in `runbook_power.system`. */
const NAMES = ['Id', 'Name', 'UUID', 'SerialNumber', 'SKU', 'HostName', 'AssetTag'] as const

/** More than any chassis has; a service with more is asked no further. */
const MOST_SYSTEMS = 128

/** The path of the system. `wanted` is one of its names, needed when there are several. Throws PowerError. */
export async function findSystem(
  client: RedfishClient,
  host: string,
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const root = await client.root(signal)
  const collection = idOf(root.Systems)
  if (!collection)
    throw new PowerError('unsupported', host, 'this Redfish service has no systems, so nothing to turn on')
  const { body } = await client.get(collection, signal)
  const members = (Array.isArray(body.Members) ? body.Members : []).map(idOf).filter((id) => id !== undefined)
  if (members.length === 0) {
    throw new PowerError('protocol', host, `the list of systems ${collection} is empty`, {
      hint: 'controllers show an empty list for a while after they were restarted; else the user may not see systems',
    })
  }
  if (members.length === 1 && wanted === undefined) return members[0]!

  const systems: { id: string; body: Json }[] = []
  for (const id of members.slice(0, MOST_SYSTEMS)) systems.push({ id, body: (await client.get(id, signal)).body })
  const list = systems.map(({ id, body }) => `${asText(body.Id) ?? id} (${describe(body)})`).join(', ')
  if (wanted === undefined) {
    throw new PowerError('unsupported', host, `there are ${members.length} systems behind this controller: ${list}`, {
      hint: 'say which with system: in runbook_power; its Id, serial number, UUID or name',
    })
  }
  const found = systems.filter(({ id, body }) => namesOf(id, body).includes(normal(wanted)))
  if (found.length === 1) return found[0]!.id
  throw new PowerError(
    'unsupported',
    host,
    `${found.length === 0 ? 'no' : 'more than one'} system is called "${wanted}": there is ${list}`,
    { hint: 'correct system: in runbook_power; its Id, serial number, UUID or name' },
  )
}

const normal = (name: string): string => name.trim().toLowerCase()

const namesOf = (id: string, body: Json): string[] =>
  [id, ...NAMES.map((name) => asText(body[name]) ?? '')].map(normal).filter((name) => name !== '')

const describe = (body: Json): string =>
  (['Name', 'SerialNumber', 'UUID'] as const)
    .flatMap((name) => (asText(body[name]) ? [`${name} ${asText(body[name])}`] : []))
    .join(', ')
