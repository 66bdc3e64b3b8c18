/** `runbook schedule run` and `install`: the daemon and its unit. */
import { readdirSync, realpathSync, rmSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { touchedBefore } from '../../maintenance/windows/attempts.ts'
import { systemClock } from '../../maintenance/windows/clock.ts'
import { Daemon } from '../../maintenance/windows/daemon.ts'
import { openScheduleDatabase, takeLock } from '../../maintenance/windows/database.ts'
import type { ScheduleEvent } from '../../maintenance/windows/events.ts'
import { loadSchedule, resolveWindow } from '../../maintenance/windows/load.ts'
import { adoptNode, type Program, startNode } from '../../maintenance/windows/node-run.ts'
import { State } from '../../maintenance/windows/state.ts'
import { makeMetrics } from '../../maintenance/windows/status/metrics.ts'
import { StatusServer } from '../../maintenance/windows/status/server.ts'
import { viewOf } from '../../maintenance/windows/status/view.ts'
import { unitText } from '../../maintenance/windows/unit.ts'
import type { Window } from '../../maintenance/windows/window.ts'
import type { NodeStarter } from '../../maintenance/windows/window-run.ts'
import { UserError } from '../../shared/errors.ts'
import { sdNotify } from '../../shared/sd-notify.ts'
import { EXIT } from '../exit.ts'
import { inventorySources } from '../inputs.ts'
import { redactor } from '../secrets.ts'
import { writeUnit } from '../unit-file.ts'
import { type ScheduleFlags, sourcesOf } from './schedule.ts'

/** Openings whose nodes' words are kept. */
const KEEP = 100
/** Seconds that systemd gives us anew with each sign of life while nodes come to their end. */
const EXTEND = 120

/** Until SIGTERM or Ctrl-C. */
export async function runDaemon(flags: ScheduleFlags & { readonly listen: string }): Promise<number> {
  const config = resolve(flags.config)
  const folder = dirname(config)
  const { host, port } = parseListen(flags.listen)
  const sources = sourcesOf({ ...flags, config })
  // Before anything else: a file that is no YAML ends it here, with a clear word.
  await loadSchedule(flags.config, sources, Date.now())
  using lock = takeLock(folder)
  using state = new State(openScheduleDatabase(folder))
  if (!lock)
    throw new UserError({
      message: `another daemon runs for ${flags.config}${about(state.fact('daemon'))}`,
      hint: 'one of them is enough: stop it first, or leave it to do its work',
    })
  const systemd = sdNotify()
  const leave = new AbortController()
  const hurry = new AbortController()
  const inventory = inventorySources(flags.inventory, [config]).map(absolute)

  const view = () => viewOf(daemon.schedule, daemon.trouble, state, Date.now())
  const metrics = makeMetrics(view, state, () => daemon.idle)
  let beaten = 0
  const daemon = new Daemon({
    state,
    clock: systemClock,
    load: () => loadSchedule(flags.config, sources, Date.now()),
    resolve: (window) => resolveWindow(window, state, sources),
    nodes: (window, occurrence) => starter(window, folder, occurrence, inventory),
    onEvent(event) {
      say(event)
      metrics.event(event)
      if (event.kind === 'opened') tidy(folder)
    },
    onNotified: metrics.notified,
    onTick() {
      const every = Math.min((systemd.watchdog ?? 60_000) / 3, 20_000)
      if (performance.now() - beaten < every) return
      beaten = performance.now()
      const more = leave.signal.aborted ? [`EXTEND_TIMEOUT_USEC=${EXTEND}000000`] : []
      systemd.send('WATCHDOG=1', ...more)
    },
  })
  await using server = new StatusServer({ host, port, view, metrics: metrics.text, idle: () => daemon.idle })
  const at = await server.start()
  state.onChange = () => server.changed()
  const address = `http://${host.includes(':') ? `[${host}]` : host}:${at}/`
  state.setFact('daemon', JSON.stringify({ pid: process.pid, address }))
  process.stdout.write(`status page: ${address}\n`)

  using _ = listen(leave, hurry, () => daemon.reload())
  leave.signal.addEventListener('abort', () => systemd.send('STOPPING=1', `EXTEND_TIMEOUT_USEC=${EXTEND}000000`))
  systemd.send('READY=1', `STATUS=${address}`)
  await daemon.run({ leave: leave.signal, hurry: hurry.signal })
  return EXIT.done
}

function starter(window: Window, folder: string, occurrence: string, inventory: readonly string[]): NodeStarter {
  const program: Program = [process.execPath, realpathSync(process.argv[1]!)]
  const base = (playbook: string) => ({
    inventory,
    vars: window.vars,
    cwd: folder,
    occurrence,
    folder: join(folder, '.runbook', 'schedule', occurrence),
    reason: `window ${window.name}`,
    cycle: window.cycle && playbook === window.playbook,
  })
  return {
    start: (host, playbook, attempt, onStep) =>
      startNode(program, { ...base(playbook), host, playbook, attempt, onStep }),
    adopt: ({ host, playbook, attempt, process: name }, onStep) =>
      adoptNode(name, { ...base(playbook), host, playbook, attempt, onStep }),
    touched: ({ host, playbook, attempt }) =>
      touchedBefore({ ...base(playbook), host, playbook, attempt: attempt + 1 }),
  }
}

/** SIGTERM and Ctrl-C, once and again; SIGHUP. */
function listen(leave: AbortController, hurry: AbortController, reload: () => void): Disposable {
  const end = (): void => {
    if (!leave.signal.aborted) leave.abort()
    else if (!hurry.signal.aborted) hurry.abort()
    // What works on nodes lives on, and the next daemon takes it up.
    else process.exit(EXIT.interrupted)
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  process.on('SIGHUP', reload)
  return {
    [Symbol.dispose]() {
      process.off('SIGTERM', end)
      process.off('SIGINT', end)
      process.off('SIGHUP', reload)
    },
  }
}

/** The journal of systemd has times of its own. */
function say({ at, kind, text }: ScheduleEvent): void {
  const time = process.env.JOURNAL_STREAM === undefined ? `${new Date(at).toISOString().slice(0, 19)}Z ` : ''
  process.stdout.write(redactor.redact(`${time}${kind}: ${text}\n`))
}

/** Leaves the words of the newest openings. */
function tidy(folder: string): void {
  const home = join(folder, '.runbook', 'schedule')
  try {
    // Names begin with the time.
    for (const old of readdirSync(home).sort().slice(0, -KEEP))
      rmSync(join(home, old), { recursive: true, force: true })
  } catch {
    // Not there yet.
  }
}

function parseListen(text: string): { host: string; port: number } {
  const [, v6, name, port] = /^(?:\[([\da-fA-F:]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text) ?? []
  const host = v6 ?? name
  if (host === undefined || Number(port) > 65_535)
    throw new UserError({ message: `--listen ${text}: this is no HOST:PORT`, hint: 'e.g. --listen 127.0.0.1:9640' })
  return { host, port: Number(port) }
}

function about(fact: string | undefined): string {
  if (fact === undefined) return ''
  const { pid, address } = JSON.parse(fact) as { pid: number; address: string }
  return ` (process ${pid}, ${address})`
}

/** Names of hosts (`a,b,`) stay as they are. */
const absolute = (source: string): string => (isAbsolute(source) || source.includes(',') ? source : resolve(source))

/** Writes the unit, or shows it. */
export async function install(
  flags: ScheduleFlags & {
    readonly print: boolean
    readonly user?: string
    readonly listen: string
    readonly unit: string
  },
): Promise<number> {
  parseListen(flags.listen)
  const { bad } = await loadSchedule(flags.config, sourcesOf(flags), Date.now())
  if (bad.length > 0) throw new UserError(bad.flatMap(({ problems }) => problems))
  const text = unitText({
    program: [process.execPath, realpathSync(process.argv[1]!)],
    file: resolve(flags.config),
    inventory: inventorySources(flags.inventory, [flags.config]).map(absolute),
    listen: flags.listen,
    user: flags.user,
  })
  return writeUnit(text, flags)
}
