import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { type Cluster, loadKubeconfigFile, openCluster } from '../../kubernetes/index.ts'
import { type CordonResult, type DrainEvent, drainLine, reportLine } from '../../shared/drain.ts'
import { UserError } from '../../shared/errors.ts'
import { Redactor } from '../../shared/redact.ts'
import { EXIT } from '../exit.ts'
import { listenForInterrupt } from '../interrupt.ts'

export interface NodeFlags {
  readonly kubeconfig?: string
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

/** `runbook node cordon`. Gives the exit code. */
export async function cordon(names: readonly string[], flags: NodeFlags): Promise<number> {
  const { cluster, say } = await open(flags)
  using _ = cluster
  tellResults(await cluster.cordon(names, optionsOf(flags)), flags, say)
  return EXIT.done
}

/** `runbook node uncordon`. */
export async function uncordon(names: readonly string[], flags: NodeFlags): Promise<number> {
  const { cluster, say } = await open(flags)
  using _ = cluster
  tellResults(await cluster.uncordon(names, optionsOf(flags)), flags, say)
  return EXIT.done
}

/** `runbook node drain`: 0 drained, 2 cordoned and not drained, 3 not touched, 130 interrupted. */
export async function drain(names: readonly string[], flags: DrainFlags): Promise<number> {
  const { cluster, say } = await open(flags)
  using _ = cluster
  using interrupt = listenForInterrupt(() => process.stderr.write('stopping: no more pods are evicted\n'))
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
    signal: interrupt.stop,
  })
  let exitCode: number = EXIT.bug
  for await (const event of events) {
    if (flags.json) say(JSON.stringify(event))
    else tell(event, say)
    if (event.type === 'end') exitCode = exitCodeOf(event, flags)
  }
  return interrupt.stop.aborted && exitCode !== EXIT.done ? EXIT.interrupted : exitCode
}

function tell(event: DrainEvent, say: Say): void {
  const line = drainLine(event)
  if (line !== undefined) say(line)
  if (event.type !== 'end') return
  say(event.message)
  for (const node of event.nodes) say(reportLine(node))
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
