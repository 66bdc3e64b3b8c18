/** Where in a playbook the parser is. */
import { resolve } from 'node:path'
import type { Scope } from '../values/index.ts'
import type { Inherited } from './inherit.ts'
import type { Loader } from './loader.ts'
import type { Handler, Task, VarsLayer } from './playbook.ts'

/** What the parts of one play add to; complete when the play has been read. */
export interface PlayParts {
  readonly id: string
  /** The playbook's folder, as the user would write it. */
  readonly folder: string
  /** Extra vars and the play's own: what is known before there is a host. */
  readonly scope: Scope
  readonly defaultVars: VarsLayer[]
  /** Lowest first; the roles' stand behind the play's own. */
  readonly vars: VarsLayer[]
  readonly rolesDone: Set<string>
}

export interface RoleContext {
  readonly name: string
  readonly folder: string
  /** Of the roles around it and its own, lowest first. */
  readonly defaultVars: readonly VarsLayer[]
}

export interface Context {
  readonly loader: Loader
  readonly play: PlayParts
  readonly inherited: Inherited
  /** Of the file that is being read, as the user would write it. */
  readonly folder: string
  readonly role: RoleContext | undefined
  /** Files and roles that are being read, outermost first, to find cycles. */
  readonly chain: readonly string[]
  readonly level: 'task' | 'handler'
  /** Where handlers of roles go. */
  readonly handlers: Handler[]
  /** Tasks and includes that still have to be told the defaults of all roles, see `completeTasks`. */
  readonly tasks: [Pick<Task, 'defaultVars'>, RoleContext | undefined][]
}

/** Writes the defaults of all roles onto tasks: known only when the last role has been read. */
export function completeTasks({ tasks, play }: Pick<Context, 'tasks' | 'play'>): void {
  const shared = [...play.defaultVars]
  const perRole = new Map<RoleContext | undefined, readonly VarsLayer[]>([[undefined, shared]])
  for (const [task, role] of tasks) {
    let layers = perRole.get(role)
    if (!layers) {
      layers = [...shared.filter((one) => !role!.defaultVars.includes(one)), ...role!.defaultVars]
      perRole.set(role, layers)
    }
    ;(task as { defaultVars: readonly VarsLayer[] }).defaultVars = layers
  }
  tasks.length = 0
}

/** Where a relative `src` of a task is looked for, nearest first. */
export function searchPath({ role, folder, play }: Context): readonly string[] {
  return [...new Set([...(role ? [role.folder] : []), folder, play.folder].map((one) => resolve(one)))]
}
