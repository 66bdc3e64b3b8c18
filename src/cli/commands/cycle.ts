import { homedir, userInfo } from 'node:os'
import { resolve } from 'node:path'
import { openJournal } from '../../journal/open.ts'
import { readMaintenance } from '../../maintenance/config.ts'
import { runCycle } from '../../maintenance/cycle/run-cycle.ts'
import type { CycleEvent, CycleRequest, CycleVerb, NodeEnd } from '../../maintenance/cycle/types.ts'
import { openSiteGuards } from '../../maintenance/guards/index.ts'
import { createReporter } from '../../report/create.ts'
import type { Reporter, Verbosity } from '../../report/reporter.ts'
import { printable } from '../../report/text.ts'
import { connect } from '../../session/connect.ts'
import type { Target } from '../../session/session.ts'
import { UserError } from '../../shared/errors.ts'
import type { RunEvent } from '../../shared/events.ts'
import { EXIT } from '../exit.ts'
import { readExtraVars } from '../extra-vars.ts'
import { flag, option } from '../given-options.ts'
import { openInventory, siteFolder } from '../inputs.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { terminalPrompt } from '../prompt.ts'
import { decrypt, redactor } from '../secrets.ts'

export interface CycleFlags {
  readonly inventory: readonly string[]
  readonly extraVars: readonly string[]
  /** Default: see `siteFolder`. */
  readonly folder?: string
  readonly reason?: string
  readonly playbook?: string
  readonly kubeconfig?: string
  readonly dryRun?: boolean
  readonly json: boolean
  readonly verbose: Verbosity
  readonly yes?: boolean
  readonly drain?: boolean
  readonly forceOff?: boolean
  readonly onTimeout?: 'stop' | 'continue'
  readonly ignoreInhibitors?: boolean
  readonly byHand?: boolean
  readonly anew?: boolean
  readonly user?: string
  readonly privateKey?: string
  readonly askBecomePass?: boolean
  readonly acceptNewHostKeys?: boolean
  /** Milliseconds. */
  readonly waitLock?: number
  readonly forks: number
}

/** `runbook node maintain|shutdown|reboot|poweron`. Gives the exit code. */
export async function cycle(verb: CycleVerb, patterns: readonly string[], flags: CycleFlags): Promise<number> {
  const folder = flags.folder ?? siteFolder(flags.inventory)
  const inventory = await openInventory(flags.inventory, [])
  const nodes = [...new Set(patterns.flatMap((pattern) => inventory.match(pattern)))].map(({ name }) => name)
  if (nodes.length === 0) throw new UserError('no host matches')
  const extra = await readExtraVars(flags.extraVars)
  const request: CycleRequest = {
    verb,
    nodes,
    reason: flags.reason,
    playbook: flags.playbook,
    vars: { ...varsOf(flags), ...Object.fromEntries(extra) },
    dryRun: flags.dryRun ?? false,
    words: wordsOf(flags),
  }
  await confirm(verb, nodes, flags)
  // What is wrong with it is told before the first node.
  openJournal(folder)[Symbol.dispose]()
  using interrupt = listenForInterrupt((text) => process.stderr.write(`${text}\n`))
  const prompt = terminalPrompt((fn) => fn())
  const becomePassword = flags.askBecomePass ? await prompt?.('become password:', { secret: true }) : undefined
  if (becomePassword) redactor.add(becomePassword)
  const settings = readMaintenance(folder).settings.guards
  const atOnce = flags.dryRun ? 1 : placesOf(settings.max_unavailable, flags.forks)
  await using teller = new Teller(flags, atOnce > 1 && nodes.length > 1)
  await using guards = openSiteGuards({
    inventory,
    extraVars: new Map(Object.entries(request.vars ?? {})),
    settings,
    folder: resolve(folder),
    run: `${verb}-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`,
    actor: userInfo().username,
    connect,
    target: targetOf(flags),
    prompt,
    becomePassword,
    redactor,
  })
  const events = runCycle(request, {
    // A node that is turned on again takes nothing away.
    guards: verb === 'poweron' ? undefined : guards,
    inventory,
    openJournal: () => openJournal(folder),
    atOnce,
    connect,
    redactor,
    decrypt,
    prompt,
    becomePassword,
    target: targetOf(flags),
    waitLockMs: flags.waitLock,
    folder: resolve(folder),
    stop: interrupt.stop,
    abort: interrupt.abort,
  })
  let exitCode: number = EXIT.bug
  for await (const event of events) {
    await teller.tell(event)
    if (verb === 'poweron' && event.type === 'node_ended' && event.outcome === 'done') await guards.back(event.node)
    if (event.type === 'cycle_ended') exitCode = exitCodeOf(event.nodes)
  }
  return exitCode
}

/**
 * Nodes at the same time: as many as maintenance.yml says may be out of service, of which a share is known to the guards
 * alone. Where it does not say, one: a command of several plain hosts takes no site down by a typing error.
 */
function placesOf(maxUnavailable: number | string | undefined, forks: number): number {
  if (maxUnavailable === undefined) return 1
  return Math.max(1, typeof maxUnavailable === 'number' ? Math.min(maxUnavailable, forks) : forks)
}

/** 0 all done, 2 one failed, 3 nothing was touched, 4 one was unreachable, 130 stopped. */
function exitCodeOf(nodes: readonly NodeEnd[]): number {
  const any = (outcome: NodeEnd['outcome']): boolean => nodes.some((node) => node.outcome === outcome)
  if (any('stopped')) return EXIT.interrupted
  if (any('failed')) return EXIT.failed
  if (any('unreachable')) return EXIT.unreachable
  if (any('refused')) return nodes.every(({ outcome }) => outcome !== 'done') ? EXIT.input : EXIT.failed
  return EXIT.done
}

/** The role's variables that options stand for. */
function varsOf(flags: CycleFlags): Record<string, unknown> {
  const vars = {
    node_kubeconfig: flags.kubeconfig,
    node_drain: flags.drain === false ? false : undefined,
    node_force_off: flags.forceOff,
    node_on_timeout: flags.onTimeout,
    node_ignore_inhibitors: flags.ignoreInhibitors,
    node_by_hand: flags.byHand,
    node_anew: flags.anew,
  }
  return Object.fromEntries(Object.entries(vars).filter(([, value]) => value !== undefined))
}

/** The options as they were given, for the command that goes on; not those that would begin anew. */
function wordsOf(flags: CycleFlags): string[] {
  return [
    ...flags.inventory.flatMap((path) => ['-i', path]),
    ...flags.extraVars.flatMap((vars) => ['-e', vars]),
    ...option('--folder', flags.folder),
    ...option('--playbook', flags.playbook),
    ...option('--kubeconfig', flags.kubeconfig),
    ...option('--reason', flags.reason),
    ...option('--on-timeout', flags.onTimeout),
    ...flag('--no-drain', flags.drain === false),
    ...flag('--force-off', flags.forceOff),
    ...flag('--ignore-inhibitors', flags.ignoreInhibitors),
    ...flag('--by-hand', flags.byHand),
    ...option('--user', flags.user),
    ...option('--private-key', flags.privateKey),
    ...flag('--ask-become-pass', flags.askBecomePass),
    ...option('--wait-lock', flags.waitLock === undefined ? undefined : `${Math.round(flags.waitLock / 1000)}s`),
  ]
}

function targetOf({ user, privateKey, acceptNewHostKeys }: CycleFlags): Partial<Target> {
  return {
    ...(user === undefined ? {} : { user }),
    ...(privateKey === undefined ? {} : { privateKeyFile: privateKey.replace(/^~(?=\/)/, homedir()) }),
    ...(acceptNewHostKeys ? { hostKeys: 'accept-new' as const } : {}),
  }
}

const QUESTIONS: Readonly<Record<Exclude<CycleVerb, 'poweron'>, string>> = {
  maintain: 'take down and up again',
  shutdown: 'shut down',
  reboot: 'reboot',
}

/** At a terminal, what takes hosts down is asked about; a script has decided. */
async function confirm(verb: CycleVerb, nodes: readonly string[], { yes, dryRun }: CycleFlags): Promise<void> {
  if (yes || dryRun || verb === 'poweron') return
  const prompt = terminalPrompt((fn) => fn())
  if (!prompt) return
  const names = nodes.length > 8 ? `${nodes.length} hosts` : nodes.join(', ')
  const answer = await prompt(`${QUESTIONS[verb]} ${names}? [y/N]`, { secret: false })
  if (!/^y(es)?$/i.test(answer.trim())) throw new UserError('nothing was done')
}

/** Each node's run by a reporter of its own; what is said of all by plain lines, or objects. */
class Teller implements AsyncDisposable {
  readonly #flags: CycleFlags
  /** Of nodes side by side each line says whose it is; a tree could show only one. */
  readonly #several: boolean
  readonly #reporters = new Map<string, Reporter>()

  constructor(flags: CycleFlags, several: boolean) {
    this.#flags = flags
    this.#several = several
  }

  async tell(event: CycleEvent): Promise<void> {
    const { json } = this.#flags
    if (event.type === 'run') {
      const reporter = this.#reporters.get(event.node) ?? (await this.#open(event.node))
      // Of one node among several it would say for the second time, between the lines of others, what the end says of all.
      if (json || !this.#several || event.event.type !== 'recap') reporter.event(event.event)
      if (!json && (this.#several || !process.stdout.isTTY)) this.#progress(event.event)
      return
    }
    if (event.type === 'node_ended') await this.#close(event.node)
    if (json) this.#say(JSON.stringify(redactor.redactDeep(event)))
    else this.#lines(event)
  }

  async #open(node: string): Promise<Reporter> {
    const { json, verbose } = this.#flags
    const output = json ? 'json' : this.#several ? 'plain' : undefined
    const reporter = await createReporter({ output, verbosity: verbose, diff: false })
    this.#reporters.set(node, reporter)
    return reporter
  }

  async #close(node: string): Promise<void> {
    const reporter = this.#reporters.get(node)
    this.#reporters.delete(node)
    await reporter?.close()
  }

  /** Steps as they are done: the plain reporter keeps them for -vvv, a person at a terminal sees them in the tree. */
  #progress(event: RunEvent): void {
    if (event.type !== 'task_output' || event.stream !== 'log' || this.#flags.verbose >= 3) return
    for (const line of event.text.trimEnd().split('\n')) this.#say(`            ${event.host}: ${printable(line)}`)
  }

  #lines(event: Exclude<CycleEvent, { type: 'run' }>): void {
    if (event.type === 'node_started') this.#say(`== ${event.node}`)
    if (event.type === 'guard') this.#say(`${event.node}: ${event.message}`)
    if (event.type !== 'cycle_ended') return
    this.#say('')
    for (const node of event.nodes) this.#say(endLines(node))
  }

  #say(text: string): void {
    process.stdout.write(`${redactor.redact(text)}\n`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#reporters.keys()) await this.#close(node)
  }
}

/** How a node stands in the end, with the command that goes on. */
function endLines({ node, outcome, message, next, elapsedMs }: NodeEnd): string {
  const time = elapsedMs > 0 ? ` (${Math.round(elapsedMs / 1000)} s)` : ''
  const indented = message.replaceAll('\n', '\n  ')
  return `${node}: ${outcome.replace('_', ' ')}${time}${message === outcome ? '' : `: ${indented}`}${next ? `\n  go on: ${next}` : ''}`
}
