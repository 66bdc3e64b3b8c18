/** `runbook schedule …`, all but the daemon. */
import { userInfo } from 'node:os'
import { dirname, resolve } from 'node:path'
import type { Inventory } from '../../inventory/index.ts'
import { openScheduleDatabase, takeLock } from '../../maintenance/windows/database.ts'
import { calendar } from '../../maintenance/windows/ics.ts'
import { loadSchedule, mustExist, resolveWindow, type Sources } from '../../maintenance/windows/load.ts'
import { previewOf } from '../../maintenance/windows/preview.ts'
import type { Schedule } from '../../maintenance/windows/schema.ts'
import { State } from '../../maintenance/windows/state.ts'
import { fromNow, span } from '../../maintenance/windows/time.ts'
import { type Occurrence, occurrences, type Window } from '../../maintenance/windows/window.ts'
import { Zone } from '../../maintenance/windows/zone.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { EXIT } from '../exit.ts'
import { openInventory } from '../inputs.ts'
import { decrypt } from '../secrets.ts'

export interface ScheduleFlags {
  readonly config: string
  readonly inventory: readonly string[]
}

const write = (text: string): void => void process.stdout.write(`${text}\n`)

export function sourcesOf({ config, inventory }: ScheduleFlags): Sources {
  return { inventory: (): Promise<Inventory> => openInventory(inventory, [config]), decrypt }
}

/** Who asks for something, for the history. */
export const actor = (): string => process.env.SUDO_USER ?? userInfo().username

/** The schedule and its state. Throws UserError when there is no such file. */
async function open(flags: ScheduleFlags) {
  const schedule = await loadSchedule(flags.config, sourcesOf(flags), Date.now())
  const state = new State(openScheduleDatabase(dirname(resolve(flags.config))))
  return { schedule, state, [Symbol.dispose]: () => state[Symbol.dispose]() }
}

/** Says what is left out, on stderr: the other windows are shown all the same. */
function warn({ bad }: Schedule): void {
  for (const { name, problems } of bad)
    process.stderr.write(`warning: ${name} is left out: ${new UserError(problems).message}\n`)
}

function find({ windows, bad }: Schedule, name: string): Window {
  const found = windows.find((one) => one.name === name)
  if (found) return found
  const wrong = bad.find((one) => one.name === name)
  if (wrong) throw new UserError(wrong.problems)
  throw new UserError({
    message: `there is no window "${name}"`,
    hint: didYouMean(
      name,
      windows.map((one) => one.name),
    ),
  })
}

/** `schedule validate` */
export async function validate(flags: ScheduleFlags): Promise<number> {
  const now = Date.now()
  const { windows, bad } = await loadSchedule(flags.config, sourcesOf(flags), now)
  if (bad.length > 0) throw new UserError(bad.flatMap(({ problems }) => problems))
  for (const window of windows) {
    const first = occurrences(window, now).find(({ blackout }) => blackout === undefined)
    write(
      `${window.name}: ${first ? `opens ${window.zone.format(first.opens)}, ${fromNow(first.opens, now)}` : 'closed for years'}`,
    )
  }
  write(`${windows.length} ${windows.length === 1 ? 'window' : 'windows'}, nothing wrong`)
  return EXIT.done
}

/** `schedule next [NAME]` */
export async function next(
  name: string | undefined,
  flags: ScheduleFlags & { readonly number: number; readonly json: boolean },
): Promise<number> {
  using opened = await open(flags)
  const { schedule, state } = opened
  const now = Date.now()
  const windows = name === undefined ? schedule.windows : [find(schedule, name)]
  const all = windows
    .flatMap((window) =>
      occurrences(window, now)
        .take(flags.number)
        .map((one) => ({ window, one }))
        .toArray(),
    )
    .sort((a, b) => a.one.opens - b.one.opens)
    .slice(0, flags.number)
  warn(schedule)
  if (flags.json) {
    write(
      JSON.stringify(
        all.map(({ window, one }) => ({
          window: window.name,
          opens: iso(one.opens),
          first_start: iso(one.starts),
          ends: iso(one.ends),
          timezone: window.zone.name,
          shifted: one.shifted,
          blackout: one.blackout ?? null,
          paused: state.pausedBy(window.name, now) !== undefined,
        })),
        undefined,
        2,
      ),
    )
    return EXIT.done
  }
  const rows = all.map(({ window, one }) => [
    window.name,
    window.zone.format(one.opens),
    iso(one.opens).slice(0, 16).replace('T', ' '),
    span(one.ends - one.opens),
    notes(window, one, state, now),
  ])
  table(['WINDOW', 'OPENS', 'UTC', 'FOR', 'NOTES'], rows)
  return EXIT.done
}

function notes(window: Window, { shifted, blackout, opens, ends }: Occurrence, state: State, now: number): string {
  const pause = state.pausedBy(window.name, now)
  return [
    blackout !== undefined && `stays closed: ${blackout}`,
    shifted && 'moved: the clock jumps over its time',
    blackout === undefined && ends - opens < window.duration && 'cut short by a blackout',
    pause && (pause.until === null || pause.until > opens) && 'paused',
  ]
    .filter(Boolean)
    .join('; ')
}

/** `schedule preview NAME` */
export async function preview(name: string, flags: ScheduleFlags & { readonly json: boolean }): Promise<number> {
  using opened = await open(flags)
  const { schedule, state } = opened
  const window = find(schedule, name)
  const sources = sourcesOf(flags)
  const now = Date.now()
  const [{ hosts }, inventory] = await Promise.all([resolveWindow(window, state, sources), sources.inventory()])
  const seen = previewOf(window, hosts, inventory, state, now)
  const { occurrence } = seen
  if (flags.json) {
    write(JSON.stringify({ window: name, playbook: window.playbook, ...seen }, undefined, 2))
    return EXIT.done
  }
  const { zone } = window
  if (occurrence) {
    write(
      `${name} opens ${zone.format(occurrence.opens)}, ${fromNow(occurrence.opens, now)}, until ${zone.format(occurrence.ends)}`,
    )
    write(`the last node starts before ${zone.format(occurrence.ends - seen.margin)}: ${why(seen, window)}`)
  }
  write(`playbook ${window.playbook}, ${window.concurrency} at a time\n`)
  table(
    ['TURN', 'HOST', 'BECAUSE OF', 'LAST DONE', 'STARTS ABOUT'],
    seen.hosts.map(({ host, because, lastDone, starts }, i) => [
      String(i + 1),
      host,
      because.join(', '),
      lastDone === undefined ? 'never' : fromNow(lastDone, now),
      starts === undefined ? 'not this time: the time is not enough' : zone.format(starts),
    ]),
  )
  write(`\n${seen.others} other hosts of the inventory are not touched`)
  return EXIT.done
}

function why({ margin, measured }: { margin: number; measured: number }, window: Window): string {
  if (window.margin !== undefined) return `last_start_margin is ${span(margin)}`
  if (measured === 0) return `nothing was measured yet, so ${span(margin)} are reckoned for a node`
  return `the longest of the last ${measured} took ${span(margin / 1.25)}, and a quarter of it is spare`
}

/** `schedule trigger NAME` */
export async function trigger(name: string, flags: ScheduleFlags): Promise<number> {
  using opened = await open(flags)
  const window = find(opened.schedule, name)
  needDaemon(flags)
  opened.state.request(window.name, actor(), Date.now())
  write(`${name} will open within seconds, or when the window that is open now has ended`)
  return EXIT.done
}

function needDaemon({ config }: ScheduleFlags): void {
  using free = takeLock(dirname(resolve(config)))
  if (free) throw new UserError({ message: 'no daemon is running', hint: 'start it: runbook schedule run' })
}

/** `schedule pause [NAME]` */
export async function pause(
  name: string | undefined,
  flags: ScheduleFlags & { readonly for?: number; readonly reason: string },
): Promise<number> {
  using opened = await open(flags)
  if (name !== undefined) find(opened.schedule, name)
  const now = Date.now()
  const until = flags.for === undefined ? null : now + flags.for
  opened.state.pause({ window: name ?? '*', at: now, until, actor: actor(), reason: flags.reason })
  opened.state.log({
    at: now,
    kind: 'paused',
    window: name,
    text: `${name ?? 'every window'} paused by ${actor()}${flags.reason && `: ${flags.reason}`}`,
  })
  const [running] = opened.state.running()
  const affected = running && (name === undefined || running.window === name)
  write(
    `${name ?? 'every window'} is paused${until === null ? '' : ` for ${span(until - now)}`}; back: runbook schedule resume${name ? ` ${name}` : ''}`,
  )
  if (affected) write('the window that is open starts no further node; those under way come to their end')
  return EXIT.done
}

/** `schedule resume [NAME]` */
export async function resume(name: string | undefined, flags: ScheduleFlags): Promise<number> {
  using state = new State(openScheduleDatabase(folderOf(flags)))
  const now = Date.now()
  const names = name === undefined ? state.pauses(now).map(({ window }) => window) : [name]
  const ended = names.filter((one) => state.resume(one))
  for (const one of ended)
    state.log({
      at: now,
      kind: 'resumed',
      window: one === '*' ? undefined : one,
      text: `${one === '*' ? 'every window' : one} resumed by ${actor()}`,
    })
  if (name !== undefined && ended.length === 0 && state.pausedBy(name, now))
    throw new UserError({
      message: `${name} is paused together with every other window`,
      hint: 'runbook schedule resume',
    })
  write(
    ended.length === 0
      ? 'nothing was paused'
      : `resumed: ${ended.map((one) => (one === '*' ? 'every window' : one)).join(', ')}`,
  )
  return EXIT.done
}

function folderOf({ config }: ScheduleFlags): string {
  mustExist(config)
  return dirname(resolve(config))
}

/** `schedule history [NAME]` */
export async function history(
  name: string | undefined,
  flags: ScheduleFlags & { readonly number: number; readonly json: boolean },
): Promise<number> {
  using state = new State(openScheduleDatabase(folderOf(flags)))
  const list = state.history(flags.number, name)
  if (flags.json) {
    write(
      JSON.stringify(
        list.map((one) => ({ ...one, nodes: state.nodes(one.id) })),
        undefined,
        2,
      ),
    )
    return EXIT.done
  }
  if (list.length === 0) write('no window was opened yet')
  for (const one of list) {
    const who = one.actor === 'schedule' ? '' : ` (triggered by ${one.actor})`
    write(
      `${new Zone('UTC').format(one.opens)}  ${one.status.padEnd(11)}  ${one.window}${who}${one.reason && `: ${one.reason}`}`,
    )
    for (const node of state.nodes(one.id)) {
      if (node.status === 'done' || node.status === 'left_out') continue
      write(`    ${node.host}: ${node.status}${node.detail ? `: ${node.detail}` : node.phase && ` (${node.phase})`}`)
      if (node.status === 'failed' && node.next) write(`        go on: ${node.next}`)
    }
  }
  return EXIT.done
}

/** `schedule ics` */
export async function ics(flags: ScheduleFlags & { readonly number: number }): Promise<number> {
  const now = Date.now()
  const schedule = await loadSchedule(flags.config, sourcesOf(flags), now)
  warn(schedule)
  const list = schedule.windows.flatMap((window) =>
    occurrences(window, now)
      .take(flags.number)
      .filter(({ blackout }) => blackout === undefined)
      .map((occurrence) => ({ window, occurrence }))
      .toArray(),
  )
  process.stdout.write(calendar(list, now))
  return EXIT.done
}

const iso = (at: number): string => new Date(at).toISOString()

function table(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  for (const row of [head, ...rows])
    write(
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
}
