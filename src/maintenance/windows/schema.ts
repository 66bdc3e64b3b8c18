/** `windows:` and `notify:` of maintenance.yml. A window that is wrong is left out with its reasons; the others stand. */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { didYouMean, type Problem, Problems } from '../../shared/errors.ts'
import { checkSettings, placeAt } from '../../shared/settings.ts'
import { SHIPPED_PLAYBOOKS } from '../../shared/shipped.ts'
import type { Place } from '../../shared/source.ts'
import type { YamlNode } from '../../shared/yaml.ts'
import { compileNode } from '../../values/index.ts'
import { type Blackout, parseBlackout } from './blackout.ts'
import { EVENT_KINDS } from './events.ts'
import type { Channel } from './notify.ts'
import { parseStart, type Start } from './start.ts'
import { parseSpan, span } from './time.ts'
import { neverOpens, overlaps, type Window } from './window.ts'
import { Zone, zoneNames } from './zone.ts'

const NO_LENGTH = 'must be a length of time with its unit: 90s, 30m, 1h30m'
const length = z.string(NO_LENGTH).refine((text) => parseSpan(text) !== undefined, NO_LENGTH)
const long = length.refine((text) => (parseSpan(text) ?? 1) > 0, 'must be longer than nothing')
const name = z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}$/, 'must be a plain name: letters, digits, "-", "_", "."')

/** One of `windows`. */
export const WINDOW = z.strictObject({
  name,
  start: z.string().min(1).describe('cron, e.g. "0 3 * * TUE", or OnCalendar, e.g. "Tue *-*-* 03:00"'),
  timezone: z.string().min(1).optional().describe('IANA name, e.g. Europe/Berlin'),
  duration: long.describe('elapsed time, e.g. 3h'),
  hosts: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).describe('host pattern'),
  playbook: z
    .string()
    .min(1)
    .optional()
    .describe('beside maintenance.yml; default: the maintenance.yml that is shipped'),
  cycle: z.boolean().optional().describe('a playbook of node cycles, run by `runbook node maintain`'),
  rollback: z.string().min(1).optional().describe('a playbook that brings a node back that is given up at the end'),
  vars: z.record(z.string(), z.unknown()).default({}).describe('extra variables of the playbook'),
  concurrency: z.int().min(1).max(1000).default(1),
  jitter: length.default('0s').describe('the first node starts up to so much later'),
  last_start_margin: z.union([z.literal('measured'), long]).default('measured'),
  overrun: long.default('1h'),
  dst_gap: z.enum(['shift', 'skip']).default('shift'),
  missed: z.enum(['skip', 'catch_up']).default('skip'),
  max_failures: z.int().min(1).default(1),
  blackouts: z
    .array(z.strictObject({ from: z.string(), to: z.string(), reason: z.string().default('blackout') }))
    .default([]),
  notify: z.union([name, z.array(name)]).default([]),
})

/** One of `notify`. */
export const CHANNEL = z.strictObject({
  webhook: z.string().min(1).optional().describe('where to POST; a template: the environment may hold it'),
  headers: z.record(z.string().regex(/^[\w-]+$/), z.string()).default({}),
  body: z.unknown().optional().describe('sent as JSON; strings in it are templates'),
  command: z.array(z.string().min(1)).min(1).optional().describe('gets the event as JSON on its standard input'),
  on: z.array(z.enum(EVENT_KINDS)).min(1).default(['opened', 'node_failed', 'overrun', 'missed', 'closed', 'trouble']),
  timeout: long.default('10s'),
})

export const DEFAULT_PLAYBOOK = resolve(SHIPPED_PLAYBOOKS, 'maintenance.yml')
export const DEFAULT_ROLLBACK = resolve(SHIPPED_PLAYBOOKS, 'rollback.yml')

export interface Bad {
  /** The window or channel, as far as it has a name. */
  readonly name: string
  readonly problems: readonly Problem[]
}

export interface Schedule {
  readonly windows: readonly Window[]
  readonly channels: ReadonlyMap<string, Channel>
  readonly bad: readonly Bad[]
  /** Why the inventory cannot be read: then nothing is known of the windows, and none is among `windows`. */
  readonly noInventory?: readonly Problem[] | undefined
}

/** Keys of maintenance.yml: ours, and those that others read. */
const KEYS = ['windows', 'notify', 'guards']

const SHORTER = 'make it shorter, or let it start less often'

/** Reads both keys out of the file's root. `now` tells which times lie ahead. */
export function readSchedule(root: YamlNode, now: number): Schedule {
  const bad: Bad[] = []
  const attempt = <T>(name: string, fn: (problems: Problems) => T): T | undefined => {
    const problems = new Problems()
    const made = problems.catch(() => fn(problems))
    if (problems.list.length === 0) return made
    bad.push({ name, problems: problems.list })
    return undefined
  }
  const top = root.kind === 'map' ? root : undefined
  if (!top) attempt('maintenance.yml', (p) => p.add('this file must be a map with windows:', root.place))
  for (const { key, keyPlace } of top?.entries.values() ?? [])
    if (!KEYS.includes(key)) attempt(key, (p) => p.add(`unknown key "${key}"`, keyPlace, didYouMean(key, KEYS)))
  const channels = new Map<string, Channel>()
  const notify = top?.get('notify')
  if (notify !== undefined && notify.kind !== 'map')
    attempt('notify', (p) => p.add('notify must be a map', notify.place))
  for (const { key, value } of notify?.kind === 'map' ? notify.entries.values() : []) {
    const channel = attempt(key, (problems) => readChannel(key, value, problems))
    if (channel) channels.set(key, channel)
  }
  const named = notify?.kind === 'map' ? [...notify.entries.keys()] : []
  const list = top?.get('windows')
  if (list !== undefined && list.kind !== 'list') attempt('windows', (p) => p.add('windows must be a list', list.place))
  let windows: Window[] = []
  for (const [i, node] of (list?.kind === 'list' ? list.items : []).entries()) {
    const title = nameOf(node) ?? `window ${i + 1}`
    const window = attempt(title, (problems) => {
      const made = readWindow(node, named, problems)
      if (made && windows.some((other) => other.name === made.name))
        problems.add(`there is another window "${made.name}"`, made.place)
      const never = made && problems.list.length === 0 ? neverOpens(made, now) : undefined
      if (never !== undefined) problems.add(`this window can never open: ${never}`, made!.places.start)
      const again = made && problems.list.length === 0 ? overlaps([made], now).next().value : undefined
      if (again) {
        const when = made!.zone.format(again.second.opens)
        problems.add(`this window would open again while it is open, first on ${when}`, made!.places.start, SHORTER)
      }
      return made
    })
    if (window) windows.push(window)
  }
  // The later window of the file gives way, until nothing is in the way of anything.
  for (;;) {
    const [found] = overlaps(windows, now)
    if (!found) break
    const pair = [found.first, found.second].map((one) => windows.findIndex(({ name }) => name === one.window))
    const [kept, out] = pair.toSorted((a, b) => a - b).map((i) => windows[i]!) as [Window, Window]
    const when = out.zone.format(Math.max(found.first.opens, found.second.opens))
    const message = `this window overlaps "${kept.name}" (line ${kept.place.line}), first on ${when}`
    const hint = `one window at a time: move one of them, or make it shorter (this one lasts ${span(out.duration)})`
    bad.push({ name: out.name, problems: [{ message, place: out.places.start, hint }] })
    windows = windows.filter((one) => one !== out)
  }
  return { windows, channels, bad }
}

function readWindow(node: YamlNode, channels: readonly string[], problems: Problems): Window | undefined {
  const map = checked(WINDOW, node, problems)
  if (!map) return undefined
  const { data, at } = map
  let start: Start | undefined
  try {
    start = parseStart(data.start)
  } catch (error) {
    problems.add(
      `start: ${(error as Error).message}`,
      at('start'),
      'write cron, "0 3 * * TUE" (minute hour day month weekday), or OnCalendar, "Tue *-*-* 03:00"',
    )
  }
  if (start?.zone !== undefined && data.timezone !== undefined && start.zone !== data.timezone)
    problems.add(`start names the time zone ${start.zone}, timezone another one`, at('timezone'))
  const zoneName = data.timezone ?? start?.zone
  if (zoneName === undefined && start !== undefined)
    problems.add('a window needs a timezone', node.place, 'e.g. timezone: Europe/Berlin, or UTC')
  const zone =
    zoneName === undefined ? undefined : readZone(zoneName, at(data.timezone ? 'timezone' : 'start'), problems)
  const duration = parseSpan(data.duration)!
  const jitter = parseSpan(data.jitter)!
  if (jitter >= duration) problems.add('the jitter is as long as the window', at('jitter'))
  const margin = data.last_start_margin === 'measured' ? undefined : parseSpan(data.last_start_margin)!
  if (margin !== undefined && margin + jitter >= duration)
    problems.add('with this margin and jitter no node could ever start', at('last_start_margin'))
  const notify = [data.notify].flat()
  for (const one of notify)
    if (!channels.includes(one))
      problems.add(`there is no "${one}" below notify`, at('notify'), didYouMean(one, channels))
  const blackouts = data.blackouts.flatMap(({ from, to, reason }, i): Blackout[] => {
    try {
      return [parseBlackout(from, to, reason)]
    } catch (error) {
      problems.add(`blackout: ${(error as Error).message}`, at('blackouts', i))
      return []
    }
  })
  if (!start || !zone) return undefined
  const folder = dirname(resolve(node.file.path))
  const isDefault = data.playbook === undefined
  const cycle = data.cycle ?? isDefault
  return {
    name: data.name,
    place: at('name'),
    start,
    zone,
    duration,
    gap: data.dst_gap,
    jitter,
    blackouts,
    margin,
    overrun: parseSpan(data.overrun)!,
    missed: data.missed,
    hosts: [data.hosts].flat().join(','),
    cycle,
    playbook: isDefault ? DEFAULT_PLAYBOOK : resolve(folder, data.playbook!),
    rollback: data.rollback === undefined ? (cycle ? DEFAULT_ROLLBACK : undefined) : resolve(folder, data.rollback),
    vars: data.vars,
    concurrency: data.concurrency,
    maxFailures: data.max_failures,
    notify,
    places: { start: at('start'), hosts: at('hosts'), playbook: at('playbook'), rollback: at('rollback') },
  }
}

function readZone(name: string, place: Place, problems: Problems): Zone | undefined {
  try {
    return new Zone(name)
  } catch {
    const hint = didYouMean(name, zoneNames()) ?? 'IANA names such as Europe/Berlin; timedatectl list-timezones'
    problems.add(`there is no time zone "${name}"`, place, hint)
    return undefined
  }
}

function readChannel(name: string, node: YamlNode, problems: Problems): Channel | undefined {
  const map = checked(CHANNEL, node, problems)
  if (!map) return undefined
  const { data, at } = map
  const part = (key: string) => {
    const value = map.node.get(key)
    return value === undefined ? undefined : problems.catch(() => compileNode(value))
  }
  if ((data.webhook === undefined) === (data.command === undefined))
    problems.add('a channel has one of: webhook, command', node.place)
  for (const key of ['headers', 'body'] as const)
    if (data.command !== undefined && map.node.get(key) !== undefined)
      problems.add(`${key} belongs to a webhook`, at(key))
  return {
    name,
    folder: dirname(resolve(node.file.path)),
    webhook: part('webhook'),
    headers: part('headers'),
    body: part('body'),
    command: data.command,
    on: data.on,
    timeout: parseSpan(data.timeout)!,
  }
}

/** The map's data and the places of what is in it; undefined, with the problems told, when it does not fit. */
function checked<T extends z.ZodObject>(schema: T, node: YamlNode, problems: Problems) {
  if (node.kind !== 'map') {
    problems.add('must be a map', node.place)
    return undefined
  }
  const data = checkSettings(schema, node, problems)
  return data === undefined ? undefined : { data, node, at: (...path: PropertyKey[]): Place => placeAt(node, path) }
}

function nameOf(node: YamlNode): string | undefined {
  const value = node.kind === 'map' ? node.get('name') : undefined
  return value?.kind === 'scalar' && typeof value.value === 'string' ? value.value : undefined
}
