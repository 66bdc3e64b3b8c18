import type { z } from 'zod'
import type { Action, ActionContext, ActionResult } from './action.ts'
import type { Change, ChangeOutput } from './change.ts'
import { type AnswerOf, all, known, type Read } from './read.ts'

/** Register values of a module beyond `changed`, `failed`, `msg`; plain JSON-like data. */
export type ResultData = Record<string, unknown>

type Reads = Record<string, Read<unknown> | undefined>
type StateOf<R extends Reads> = { [P in keyof R]: AnswerOf<R[P]> }

export interface Example {
  /** What it is for, one line. */
  readonly name: string
  /** YAML of the task without its name, as it would stand in a playbook. */
  readonly yaml: string
}

interface Documented<A extends z.ZodType> {
  readonly summary: string
  readonly description?: string
  /** The arguments: a zod schema with a `.describe` for each, which validates, documents and completes. */
  readonly args: A
  readonly examples: readonly Example[]
  /** Ansible's one-string form (`command: ls -l`): the name of the argument it stands for. */
  readonly freeForm?: string
  /** What the result holds beyond changed/failed/msg, for the reference: name -> meaning. */
  readonly returns?: Readonly<Record<string, string>>
  /** Loading rules between arguments that zod cannot say better belong into `args` with `.check`/`.refine`. */
}

export interface ModuleSpec<A extends z.ZodType, R extends Reads> extends Documented<A> {
  /** What to read. Pure. A module that reads nothing leaves it out. */
  probe?(args: z.output<A>): R
  /**
   * The changes that are needed to get from `state` to what `args` want; none when it is so already. Pure. Throws
   * TaskFailure when it cannot be had.
   */
  plan(args: z.output<A>, state: StateOf<R>): readonly Change[]
  /** What `register` gets, from the state after the changes and what they printed. Pure. */
  result?(args: z.output<A>, state: StateOf<R>, outputs: readonly ChangeOutput[]): ResultData
  /** True when a module never changes the host (stat, assert, debug): it runs in check mode as always. */
  readonly readOnly?: boolean
  /** It runs something of the user's, of which nobody knows what it does twice: a resumed run does not do it again. */
  readonly once?: boolean
  /**
   * What `result` gives becomes variables of the host (set_fact), or its facts (facts), besides going to `register`.
   */
  readonly provides?: 'variables' | 'facts'
  /**
   * Files of the controller that the arguments name (`copy: src=`). The engine reads them before `probe` and gives their
   * content in `args` through `withFiles`; so probe and plan stay pure.
   */
  files?(args: z.output<A>): readonly ControllerFile[]
  withFiles?(args: z.output<A>, files: readonly LoadedFile[]): z.output<A>
}

/** A file or folder on the controller that a module needs, searched for as the design's search path says. */
export interface ControllerFile {
  readonly path: string
  /** Under which folders of the playbook or role to look. */
  readonly kind: 'file' | 'template'
  /** It may be a folder: that is walked then, links followed, and the folder itself comes first, with `relative` ''. */
  readonly folder?: boolean
}

export interface LoadedFile {
  /** Absolute path on the controller. */
  readonly path: string
  /** Below the folder that was asked for; the base name for a single file. */
  readonly relative: string
  /** A folder, without content; those of a walked folder come before what is in them. */
  readonly directory?: boolean
  readonly mode: number
  readonly size: number
  readonly sha256: string
  /** The bytes of files up to 1 MiB, of templates after rendering; larger files are streamed from `path`. */
  readonly content?: Buffer | undefined
}

/** A module as the engine sees it: types erased, probe as one Read. */
export interface Module {
  readonly type: 'module'
  readonly summary: string
  readonly description: string | undefined
  readonly args: z.ZodType
  readonly examples: readonly Example[]
  readonly freeForm: string | undefined
  readonly returns: Readonly<Record<string, string>>
  readonly readOnly: boolean
  readonly once: boolean
  readonly provides: 'variables' | 'facts' | undefined
  probe(args: unknown): Read<unknown>
  plan(args: unknown, state: unknown): readonly Change[]
  result(args: unknown, state: unknown, outputs: readonly ChangeOutput[]): ResultData
  files(args: unknown): readonly ControllerFile[]
  withFiles(args: unknown, files: readonly LoadedFile[]): unknown
}

/** Defines a module: a pure description of what to read, and of what to change when it is not as wanted. */
export function defineModule<A extends z.ZodType, R extends Reads = Record<string, never>>(
  spec: ModuleSpec<A, R>,
): Module {
  return {
    type: 'module',
    summary: spec.summary,
    description: spec.description,
    args: spec.args,
    examples: spec.examples,
    freeForm: spec.freeForm,
    returns: spec.returns ?? {},
    readOnly: spec.readOnly ?? false,
    once: spec.once ?? false,
    provides: spec.provides,
    probe: (args) => (spec.probe ? all(spec.probe(args as z.output<A>)) : known({})),
    plan: (args, state) => spec.plan(args as z.output<A>, state as StateOf<R>),
    result: (args, state, outputs) => spec.result?.(args as z.output<A>, state as StateOf<R>, outputs) ?? {},
    files: (args) => spec.files?.(args as z.output<A>) ?? [],
    withFiles: (args, files) => spec.withFiles?.(args as z.output<A>, files) ?? args,
  }
}

export interface ActionSpec<A extends z.ZodType> extends Documented<A> {
  /** Does the work. May take long; obeys `ctx.signal`. */
  run(ctx: ActionContext, args: z.output<A>): Promise<ActionResult>
  /** What `run` would do, for check mode; nothing is touched. Absent: the action is skipped in check mode. */
  preview?(ctx: ActionContext, args: z.output<A>): Promise<ActionResult>
  /** True when it needs no connection to the host (pause, a call of an API from the controller). */
  readonly controllerOnly?: boolean
}

/** Defines an action: work that is not "make it so" (wait, reboot, drain, download). */
export function defineAction<A extends z.ZodType>(spec: ActionSpec<A>): Action {
  return {
    type: 'action',
    summary: spec.summary,
    description: spec.description,
    args: spec.args,
    examples: spec.examples,
    freeForm: spec.freeForm,
    returns: spec.returns ?? {},
    controllerOnly: spec.controllerOnly ?? false,
    run: (ctx, args) => spec.run(ctx, args as z.output<A>),
    preview: spec.preview ? (ctx, args) => spec.preview!(ctx, args as z.output<A>) : undefined,
  }
}

/** A task cannot succeed, for a reason that its message gives; `data` goes into the result. */
export class TaskFailure extends Error {
  override name = 'TaskFailure'
  readonly data: ResultData

  constructor(message: string, data: ResultData = {}) {
    super(message)
    this.data = data
  }
}
