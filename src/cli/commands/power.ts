import pLimit from 'p-limit'
import { explain, type Host, type Inventory } from '../../inventory/index.ts'
import { openPower, POWER_VARIABLE, type PowerSettings, parsePower } from '../../power/config.ts'
import { PowerError, type PowerErrorKind } from '../../power/errors.ts'
import type { Power } from '../../power/power.ts'
import { Problems, UserError } from '../../shared/errors.ts'
import type { Redactor } from '../../shared/redact.ts'
import { makeScope } from '../../values/index.ts'
import { EXIT } from '../exit.ts'
import { readExtraVars } from '../extra-vars.ts'
import { openInventory, siteFolder } from '../inputs.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { terminalPrompt } from '../prompt.ts'
import { redactor } from '../secrets.ts'

export type PowerVerb = 'status' | 'on' | 'off' | 'cycle' | 'boot-pxe'

export interface PowerFlags {
  readonly inventory: readonly string[]
  readonly extraVars: readonly string[]
  /** Where `.runbook/` stands, with the certificates that were seen; default: see `siteFolder`. */
  readonly folder?: string
  readonly forks: number
  /** Seconds until what was asked for must be seen. */
  readonly timeout: number
  readonly json: boolean
  readonly force?: boolean
  readonly yes?: boolean
  /** boot-pxe: leave the restart to somebody else. */
  readonly next?: boolean
  /** boot-pxe: take it back, restart nothing. */
  readonly undo?: boolean
}

/** Milliseconds between signs of life while something is waited for. */
const PROGRESS_MS = 15_000

/** A line of `--json`. Members are only ever added. */
interface Row {
  readonly host: string
  /** `none`: the inventory does not say how its power is reached. */
  readonly power: 'on' | 'off' | 'unknown' | 'none'
  readonly notes: readonly string[]
  readonly error?: { readonly kind: PowerErrorKind; readonly message: string; readonly hint?: string | undefined }
}

/** `runbook power VERB PATTERN…`. Everything that can be wrong with the input is found before any host is touched. */
export async function power(verb: PowerVerb, patterns: readonly string[], flags: PowerFlags): Promise<number> {
  const inventory = await openInventory(flags.inventory, [])
  const extraVars = await readExtraVars(flags.extraVars)
  const hosts = [...new Set(patterns.flatMap((pattern) => inventory.match(pattern)))]
  const settings = settingsOf(hosts, inventory, extraVars, verb === 'status')
  if (verb !== 'status') await confirm(verb, hosts, flags)

  const say = (text: string): void => void process.stderr.write(`${redactor.redact(text)}\n`)
  const width = Math.max(...hosts.map(({ name }) => name.length))
  using interrupt = listenForInterrupt(say)
  const limit = pLimit(flags.forks)
  const rows = await Promise.all(
    hosts.map((host, i) =>
      limit(async () => {
        if (interrupt.stop.aborted) return undefined
        const row = await ofHost(verb, host.name, settings[i], flags, redactor, interrupt.abort, say)
        // What takes minutes is told as it ends; a status is read as a table.
        if (row && !flags.json && verb !== 'status') process.stdout.write(redactor.redact(lines(row, width)))
        return row
      }),
    ),
  )
  const done = rows.filter((row) => row !== undefined)
  if (flags.json) process.stdout.write(`${JSON.stringify(redactor.redactDeep(done), undefined, 2)}\n`)
  else if (verb === 'status') process.stdout.write(redactor.redact(done.map((row) => lines(row, width)).join('')))
  if (interrupt.stop.aborted) return EXIT.interrupted
  const kinds = done.flatMap(({ error }) => error?.kind ?? [])
  return kinds.length === 0 ? EXIT.done : kinds.every((kind) => kind === 'unreachable') ? EXIT.unreachable : EXIT.failed
}

/** Throws UserError with the problems of all hosts. */
function settingsOf(
  hosts: readonly Host[],
  inventory: Inventory,
  extraVars: ReadonlyMap<string, unknown>,
  /** Hosts without any are left to be shown as such. */
  mayLack: boolean,
): (PowerSettings | undefined)[] {
  const problems = new Problems()
  const extra = { name: 'command line', vars: extraVars }
  const groups = Object.fromEntries([...inventory.groups].map(([name, group]) => [name, group.hosts]))
  const settings = hosts.map((host) => {
    const magic = { inventory_hostname: host.name, group_names: host.groups, groups }
    const scope = makeScope([...host.layers, extra, { name: 'runbook', vars: magic }], { redactor })
    return problems.catch(() => {
      const value = scope.get(POWER_VARIABLE)
      const place = explain(host.layers, POWER_VARIABLE)[0]?.place
      if (value !== undefined && value !== null) return parsePower(host.name, value, place)
      if (mayLack) return undefined
      throw new UserError({
        message: `host ${host.name} has no ${POWER_VARIABLE}, so nobody knows how to reach its power`,
        hint: `e.g. ${POWER_VARIABLE}: {type: redfish, address: …, user: …, password: …}; see docs/power.md`,
      })
    })
  })
  problems.throwIfAny()
  if (hosts.length === 0) throw new UserError('no host matches')
  return settings
}

const QUESTIONS: Readonly<Record<Exclude<PowerVerb, 'status' | 'on'>, string>> = {
  off: 'shut down',
  cycle: 'shut down and turn on again',
  'boot-pxe': 'restart from the network',
}

/** At a terminal, what takes hosts down is asked about; a script has decided. */
async function confirm(verb: PowerVerb, hosts: readonly Host[], { yes, force, next, undo }: PowerFlags): Promise<void> {
  if (yes || next || undo || verb === 'status' || verb === 'on') return
  const prompt = terminalPrompt((fn) => fn())
  if (!prompt) return
  const names = hosts.length > 8 ? `${hosts.length} hosts` : hosts.map(({ name }) => name).join(', ')
  const how = force ? 'CUT THE POWER of' : QUESTIONS[verb]
  const answer = await prompt(`${how} ${names}? [y/N]`, { secret: false })
  if (!/^y(es)?$/i.test(answer.trim())) throw new UserError('nothing was done')
}

async function ofHost(
  verb: PowerVerb,
  host: string,
  settings: PowerSettings | undefined,
  flags: PowerFlags,
  redactor: Redactor,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<Row | undefined> {
  if (settings === undefined) return { host, power: 'none', notes: [`it has no ${POWER_VARIABLE} (docs/power.md)`] }
  const notes: string[] = []
  const began = performance.now()
  const wait = (): void =>
    say(`${host}: ${verb}: waiting, ${Math.round((performance.now() - began) / 1000)} of ${flags.timeout} s`)
  const waiting = setInterval(wait, PROGRESS_MS)
  try {
    await using control = openPower(settings, {
      host,
      folder: flags.folder ?? siteFolder(flags.inventory),
      note: (text) => say(`${host}: ${text}`),
      addSecret: (secret) => redactor.add(secret),
    })
    const state = await perform(control, verb, flags, signal, (note) => notes.push(note))
    if (state === 'unknown' && verb !== 'status') notes.push('sent; nobody can see from here whether it worked')
    return { host, power: state, notes }
  } catch (error) {
    if (signal.aborted) {
      say(`${host}: stopped before it was seen how it ended; runbook power status ${host}`)
      return undefined
    }
    if (!(error instanceof PowerError)) throw error
    return { host, power: 'unknown', notes, error: { kind: error.kind, message: error.message, hint: error.hint } }
  } finally {
    clearInterval(waiting)
  }
}

async function perform(
  control: Power,
  verb: PowerVerb,
  { force = false, next = false, undo = false, timeout }: PowerFlags,
  signal: AbortSignal,
  note: (text: string) => void,
): Promise<Row['power']> {
  const call = { signal, timeoutMs: timeout * 1000 }
  switch (verb) {
    case 'status':
      return control.state(call)
    case 'on':
      return control.on(call)
    case 'off':
      return control.off({ ...call, force })
    case 'cycle':
      return control.cycle({ ...call, force })
    case 'boot-pxe': {
      const override = await control.bootOnce(undo ? 'none' : 'pxe', call)
      for (const text of override.notes) note(text)
      if (!next && !undo) return control.cycle({ ...call, force })
      note(undo ? 'the next boot comes from where it usually does' : 'the next boot comes from the network')
      return control.state(call)
    }
  }
}

function lines({ host, power: state, notes, error }: Row, width: number): string {
  const name = host.padEnd(width)
  if (error) {
    const hint = error.hint ? `\n${' '.repeat(width)}  ${error.hint}` : ''
    return `${name}  ${error.kind === 'unreachable' ? 'unreachable' : 'failed'}  ${error.message}${hint}\n`
  }
  return `${name}  ${state}${notes.map((text) => `\n${' '.repeat(width)}  ${text}`).join('')}\n`
}
