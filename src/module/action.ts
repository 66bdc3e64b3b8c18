import type { z } from 'zod'
import type { Connection, RunOptions, ScriptResult, Shell } from '../session/session.ts'
import type { KubeconfigSource, KubernetesApi } from '../shared/kubernetes.ts'
import type { HostPower } from '../shared/power.ts'
import type { Change } from './change.ts'
import type { Example, LoadedFile, ResultData } from './define.ts'
import type { Read } from './read.ts'

export interface ActionResult {
  readonly changed: boolean
  readonly msg?: string | undefined
  /** What was done, for the report. */
  readonly changes?: readonly Pick<Change, 'summary' | 'diff'>[] | undefined
  readonly data?: ResultData | undefined
  /** What the run does next, besides going on; `meta` gives these. */
  readonly flow?: Flow | undefined
}

/** Ansible's `meta` words. */
export type Flow =
  | 'flush_handlers'
  | 'end_host'
  | 'end_batch'
  | 'end_play'
  | 'clear_facts'
  | 'reset_connection'
  | 'noop'

/** A host beside the action's own. */
export interface OtherHost {
  run(script: string, options?: RunOptions): Promise<ScriptResult>
  read<T>(read: Read<T>): Promise<T>
}

/** All that an action gets to work with. */
export interface ActionContext {
  /** The inventory's name of the host. */
  readonly host: string
  /** Where it is connected to: a name or an address. */
  readonly address: string
  /** The run that this is part of; see `runbook history`. */
  readonly runId: string
  /** The shell of the task's user. Gets a new connection when the old one is gone. */
  shell(): Promise<Shell>
  /** Runs a script in `shell()`. */
  run(script: string, options?: RunOptions): Promise<ScriptResult>
  /** Puts a typed read to the host. */
  read<T>(read: Read<T>): Promise<T>
  /** Another host of the inventory, as the same kind of user: the control plane that a node joins through. */
  on(host: string): OtherHost
  /**
   * The API of a cluster, from this machine. `fresh` reads the kubeconfig anew: the cluster is another one since. Throws
   * UserError or TaskFailure when there is no kubeconfig; whether the API answers is not tried.
   */
  kubernetes(source: KubeconfigSource, options?: { readonly fresh?: boolean }): Promise<KubernetesApi>
  /** The host's power as `runbook_power` says; undefined when the host has none. Throws UserError for a wrong value. */
  power(): Promise<HostPower | undefined>
  /** Keeps a text that the action came upon (a token, a key) out of everything that is shown or stored. */
  secret(text: string): void
  /** Ends the connection so that the next use makes a new one (reboot). */
  disconnect(): Promise<void>
  /** A connection of its own, not kept: for trying whether the host is there. Throws SessionError. */
  tryConnect(timeoutMs: number): Promise<Connection>
  /** True in check mode; only `preview` is called then. */
  readonly check: boolean
  readonly facts: Readonly<Record<string, unknown>>
  /** Finds and reads a file of the controller beside the playbook or role. */
  loadFile(path: string, kind: 'file' | 'template'): Promise<LoadedFile>
  /** Resolves a path on the controller against the playbook's folder. */
  controllerPath(path: string): string
  /** A line of progress for whoever watches. */
  log(line: string): void
  /** Waits; rejects with the signal's reason when the run is stopped. */
  sleep(ms: number): Promise<void>
  /** Aborted when the task's time is over or the run is stopped. */
  readonly signal: AbortSignal
  /** Asks the person at the terminal; rejects when there is none. */
  ask(question: string, options: { secret: boolean }): Promise<string>
  /**
   * Records that a step which must not be repeated blindly is about to be done (power off, init), durably, before it is
   * done. Gives what an earlier run recorded under the same name when its action did not come to a good end; one that
   * does closes its intents.
   */
  intent(name: string, data: ResultData): Promise<ResultData | undefined>
  /** What `remember` was last given under a name for this host, by whatever run. */
  recall(name: string): ResultData | undefined
  /** Keeps something of the host durably over tasks and runs, until it is forgotten: undefined forgets it. */
  remember(name: string, data: ResultData | undefined): void
}

/** An action as the engine sees it. */
export interface Action {
  readonly type: 'action'
  readonly summary: string
  readonly description: string | undefined
  readonly args: z.ZodType
  readonly examples: readonly Example[]
  readonly freeForm: string | undefined
  readonly returns: Readonly<Record<string, string>>
  readonly controllerOnly: boolean
  run(ctx: ActionContext, args: unknown): Promise<ActionResult>
  preview: ((ctx: ActionContext, args: unknown) => Promise<ActionResult>) | undefined
}
