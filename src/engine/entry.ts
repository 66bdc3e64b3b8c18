import type { Action } from '../module/action.ts'
import type { Module } from '../module/define.ts'
import type { Read } from '../module/read.ts'
import type { Task } from '../playbook/playbook.ts'
import type { Become } from '../session/session.ts'
import type { Scope } from '../values/index.ts'
import type { HostState } from './host.ts'

/** An item of a loop, or the only one of a task without a loop. */
export interface Item {
  readonly index: number
  readonly value: unknown
  /** How it is called in reports; undefined without a loop. */
  readonly label: string | undefined
  /** The variables it adds. */
  readonly vars: ReadonlyMap<string, unknown>
}

interface Common {
  readonly task: Task
  readonly item: Item | undefined
  /** What its item and the includes around it add. */
  readonly vars: ReadonlyMap<string, unknown> | undefined
  readonly scope: Scope
  readonly name: string
  readonly noLog: boolean
}

/** `when` does not hold. */
export interface SkipEntry extends Common {
  readonly kind: 'skip'
  readonly msg: string
}

/** It cannot even begin: its values are wrong, its file is not there. */
export interface BrokenEntry extends Common {
  readonly kind: 'broken'
  readonly error: Error
}

/** In check mode: it depends on what only a real run would tell. */
export interface UnknownEntry extends Common {
  readonly kind: 'unknown'
  readonly variable: string
}

/** It came to its end in the run that is resumed. */
export interface ResumedEntry extends Common {
  readonly kind: 'resumed'
  /** Its `register` value. */
  readonly result: Readonly<Record<string, unknown>>
  /** It failed there, and a rescue part took that. */
  readonly failed: boolean
}

interface Ready extends Common {
  /** Parsed arguments. */
  readonly args: unknown
  /** Check mode of this task: of the run, or its own `check_mode`. */
  readonly check: boolean
  /** The host that does the work: another one with delegate_to. */
  readonly actor: HostState
  readonly become: Become | undefined
  readonly environment: Readonly<Record<string, string>>
  /** Milliseconds. */
  readonly timeout: number | undefined
}

/** A module whose state is to be read and planned. */
export interface ModuleEntry extends Ready {
  readonly kind: 'module'
  readonly module: Module
  readonly read: Read<unknown>
  readonly resources: readonly string[]
  /** Author's word that its command changes nothing: `changed_when: false` with `check_mode: false`. */
  readonly harmless: boolean
  /** It came to its end in the run that is resumed: its state is made good where it is not as it was left, no more. */
  readonly again?: boolean
  /** Its command goes on when the connection or the run ends. Milliseconds; `poll` 0 does not wait for it. */
  readonly detach: { readonly limit: number | undefined; readonly poll: number } | undefined
}

export interface ActionEntry extends Ready {
  readonly kind: 'action'
  readonly action: Action
}

export type Entry = SkipEntry | BrokenEntry | UnknownEntry | ResumedEntry | ModuleEntry | ActionEntry

/** A condition that is the same whatever the result is. */
const LITERAL = /^\s*(true|false)\s*$/

/** Whether the controller has to look at a task's result before it can know how it ended. */
export function needsJudgement(task: Task): boolean {
  return task.failedWhen.length > 0 || isRetried(task) || task.changedWhen.some((c) => !LITERAL.test(c.source))
}

export function isRetried(task: Task): boolean {
  return task.until.length > 0 || task.retries !== undefined
}
