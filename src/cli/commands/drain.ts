import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { type Cluster, loadKubeconfigFile, openCluster } from '../../kubernetes/index.ts'
import { readMaintenance } from '../../maintenance/config.ts'
import { giveBackNodes, holdNodes, mustBeFree } from '../../maintenance/guards/index.ts'
import { type CordonResult, type DrainEvent, drainLine, type NextCommands, reportLine } from '../../shared/drain.ts'
import { UserError } from '../../shared/errors.ts'
import { KubernetesError } from '../../shared/kubernetes.ts'
import { quoteAll } from '../../shared/quote.ts'
import { Redactor } from '../../shared/redact.ts'
import { EXIT } from '../exit.ts'
import { flag, option } from '../given-options.ts'
import { openInventory, siteFolder } from '../inputs.ts'
import { listenForInterrupt } from '../interrupt.ts'

export interface NodeFlags {
  readonly kubeconfig?: string
  /** Default: see `siteFolder`. */
  readonly folder?: string
  readonly inventory: readonly string[]
  /** Locks and budgets are asked. */
  readonly guards: boolean
  readonly dryRun: boolean
  readonly json: boolean
  readonly reason?: string
}

export interface DrainFlags extends NodeFlags {
  /** Milliseconds. */
  readonly timeout?: number
  readonly gracePeriod?: number
  readonly podSelector?: string
  readonly deleteEmptydirData: boolean
  readonly ignoreDaemonsets: boolean
  readonly force: boolean
  readonly disableEviction: boolean
  readonly skipWaitForDeleteTimeout?: number
}

type Say = (text: string) => void

const folderOf = ({ folder, inventory }: NodeFlags): string => folder ?? siteFolder(inventory)

/** `runbook node cordon`. Gives the exit code. */
export async function cordon(names: readonly string[], flags: NodeFlags): Promise<number> {
  const { cluster, say } = await open(flags)
  using _ = cluster
  using interrupt = listenForInterrupt(() => {})
  await using locks = await lock(names, flags, cluster, interrupt.stop, say)
  const results = await cluster.cordon(names, { ...optionsOf(flags), signal: locks.signal })
  for (const { node } of results) locks.left(node, 'cordoned')
  tellResults(results, flags, say)
  return EXIT.done
}

/** `runbook node uncordon`. */
export async function uncordon(names: readonly string[], flags: NodeFlags): Promise<number> {
  const { cluster, say } = await open(flags)
  using _ = cluster
  using interrupt = listenForInterrupt(() => {})
  const { guards: settings } = readMaintenance(folderOf(flags)).settings
  const asked = flags.guards && !flags.dryRun
  const store = { transport: cluster.transport, settings, signal: interrupt.stop }
  if (asked) await withHint(mustBeFree(names, store))
  const results = await cluster.uncordon(names, { ...optionsOf(flags), signal: interrupt.stop })
  tellResults(results, flags, say)
  if (asked) await giveBackNodes(names, store)
  return EXIT.done
}

/** `runbook node drain`: 0 drained, 2 cordoned and not drained, 3 not touched, 130 interrupted. */
export async function drain(names: readonly string[], flags: DrainFlags): Promise<number> {
  const { cluster, say } = await open(flags)
  using _ = cluster
  using interrupt = listenForInterrupt(() => process.stderr.write('stopping: no more pods are evicted\n'))
  await using locks = await lock(names, flags, cluster, interrupt.stop, say)
  const events = cluster.drain(names, {
    ...optionsOf(flags),
    timeoutMs: flags.timeout,
    gracePeriodSeconds: flags.gracePeriod,
    podSelector: flags.podSelector,
    deleteEmptydirData: flags.deleteEmptydirData,
    ignoreDaemonsets: flags.ignoreDaemonsets,
    force: flags.force,
    disableEviction: flags.disableEviction,
    skipWaitForDeleteSeconds: flags.skipWaitForDeleteTimeout,
    signal: locks.signal,
  })
  let exitCode: number = EXIT.bug
  for await (const event of events) {
    // Before the answer: one that is lost may have been a yes.
    if (event.type === 'cordoned') locks.left(event.node, 'cordoned, being drained')
    if (event.type === 'end')
      for (const { node, state } of event.nodes)
        if (state === 'drained' || state === 'cordoned') locks.left(node, state === 'drained' ? state : 'not drained')
    if (flags.json) say(JSON.stringify(event))
    else tell(event, flags, say)
    if (event.type === 'end') exitCode = exitCodeOf(event, flags)
  }
  return interrupt.stop.aborted && exitCode !== EXIT.done ? EXIT.interrupted : exitCode
}

interface Locks extends AsyncDisposable {
  /** Aborts at Ctrl-C, and when a lock is lost. */
  readonly signal: AbortSignal
  /** The node is out of service from now on, also when the command has ended. */
  left(node: string, words: string): void
}

/** The locks of nodes, given back in the end. Throws UserError when one of them may not be taken; then nothing is held. */
async function lock(
  names: readonly string[],
  flags: NodeFlags,
  { transport }: Cluster,
  signal: AbortSignal,
  say: Say,
): Promise<Locks> {
  if (!flags.guards || flags.dryRun) return { signal, left() {}, async [Symbol.asyncDispose]() {} }
  const { guards: settings } = readMaintenance(folderOf(flags)).settings
  const grouped = settings.budgets.some(({ group }) => group !== undefined)
  const holds = await withHint(
    holdNodes(names, {
      run: `person-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`,
      actor: userInfo().username,
      reason: flags.reason,
      settings,
      inventory: grouped ? await openInventory(flags.inventory, []) : undefined,
      folder: resolve(folderOf(flags)),
      transport,
      signal,
      onEvent: ({ type, node, message }) => {
        if (type === 'held' || type === 'released') return
        say(flags.json ? JSON.stringify({ type: 'guard', node, message }) : `node/${node}: ${message}`)
      },
    }),
  )
  const left = new Map<string, string>()
  return {
    signal: AbortSignal.any([signal, ...holds.map((hold) => hold.signal)]),
    left: (node, words) => void left.set(node, words),
    async [Symbol.asyncDispose]() {
      for (const hold of holds) {
        const words = left.get(hold.node)
        await (words === undefined
          ? hold.release('untouched')
          : hold.release('left', `${words}; runbook node uncordon`))
      }
    },
  }
}

/** Who may drain need not be allowed to write Leases. */
async function withHint<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof KubernetesError && error.status === 403)) throw error
    const hint = 'locks are Leases, see docs/guards.md; --no-guards asks nobody, and keeps nobody away'
    throw new UserError({ message: error.problems[0]!.message, hint }, { cause: error })
  }
}

function tell(event: DrainEvent, flags: DrainFlags, say: Say): void {
  const line = drainLine(event)
  if (line !== undefined) say(line)
  if (event.type !== 'end') return
  say(event.message)
  for (const report of event.nodes) say(reportLine(report, nextOf(report.node, flags)))
}

/** With the options as they were given: without them it would be another drain, perhaps of another cluster. */
function nextOf(node: string, flags: DrainFlags): NextCommands {
  const place = [
    ...option('--kubeconfig', flags.kubeconfig),
    ...option('--folder', flags.folder),
    ...flags.inventory.flatMap((path) => ['-i', path]),
    ...flag('--no-guards', !flags.guards),
  ]
  const how = [
    ...option('--reason', flags.reason),
    ...option('--timeout', flags.timeout === undefined ? undefined : `${flags.timeout / 1000}s`),
    ...option('--grace-period', flags.gracePeriod),
    ...option('--pod-selector', flags.podSelector),
    ...flag('--delete-emptydir-data', flags.deleteEmptydirData),
    ...flag('--ignore-daemonsets', flags.ignoreDaemonsets),
    ...flag('--force', flags.force),
    ...flag('--disable-eviction', flags.disableEviction),
    ...option('--skip-wait-for-delete-timeout', flags.skipWaitForDeleteTimeout),
  ]
  return {
    drain: quoteAll(['runbook', 'node', 'drain', node, ...place, ...how]),
    uncordon: quoteAll(['runbook', 'node', 'uncordon', node, ...place]),
  }
}

function exitCodeOf({ nodes }: Extract<DrainEvent, { type: 'end' }>, { dryRun }: DrainFlags): number {
  const all = (...states: readonly string[]): boolean => nodes.every(({ state }) => states.includes(state))
  if (all('drained') || (dryRun && all('untouched'))) return EXIT.done
  return all('blocked', 'untouched') ? EXIT.input : EXIT.failed
}

function tellResults(results: readonly CordonResult[], { json }: NodeFlags, say: Say): void {
  for (const result of results) say(json ? JSON.stringify(result) : `node/${result.node} ${result.message}`)
}

function optionsOf({ reason, dryRun }: NodeFlags) {
  return { run: `${userInfo().username} at ${new Date().toISOString()}`, reason, dryRun }
}

async function open({ kubeconfig }: NodeFlags): Promise<{ cluster: Cluster; say: Say }> {
  const loaded = await loadKubeconfigFile(kubeconfig ?? defaultKubeconfig())
  const redactor = new Redactor()
  for (const secret of loaded.secrets) redactor.add(secret)
  return {
    cluster: openCluster(loaded),
    say: (text) => process.stdout.write(`${redactor.redact(text)}\n`),
  }
}

function defaultKubeconfig(): string {
  const { KUBECONFIG } = process.env
  if (!KUBECONFIG) return join(homedir(), '.kube', 'config')
  if (!KUBECONFIG.includes(':')) return KUBECONFIG
  throw new UserError({
    message: `KUBECONFIG names several files: ${KUBECONFIG}`,
    hint: 'say which with --kubeconfig; they are not merged',
  })
}
