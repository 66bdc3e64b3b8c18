/**
 * A playbook after parsing: typed, positioned, with roles and static imports resolved and everything that a task inherits
 * from its blocks and its play written onto the task itself. The engine reads nothing else.
 *
 * Values and expressions are compiled (src/values) and evaluated a host at a time. What is checked here is checked before
 * the first connection.
 */
import type { Action, Module } from '../module/registry.ts'
import type { Place, SourceFile } from '../shared/source.ts'
import type { YamlNode } from '../shared/yaml.ts'
import type { Expression, Value } from '../values/index.ts'

export interface Playbook {
  readonly file: SourceFile
  /** Plays of `import_playbook` stand in the place of the import. */
  readonly plays: readonly Play[]
  /** All that was read for it, itself first: roles, imports, vars files. See `playbookHash`. */
  readonly files: readonly SourceFile[]
}

/** A set of variables from one place, for `Scope` layers and for `--explain`. */
export interface VarsLayer {
  /** `play vars`, `vars_files vars/site.yml`, `role defaults containerd` … */
  readonly name: string
  readonly vars: ReadonlyMap<string, Value>
}

export interface Play {
  /** Stable within the playbook: `0`, `1` … over all files of one command line. */
  readonly id: string
  readonly name: string
  readonly place: Place
  /** Host pattern, several joined with commas; may be a template over extra vars (then perhaps of a list). */
  readonly hosts: Value
  readonly gatherFacts: boolean
  /** How to reach hosts whose variables do not say (`ansible_connection`, `ansible_user`, `ansible_port` win). */
  readonly remote: Remote
  /** Defaults of all roles, lowest first: the lowest variables of all, below the inventory's. */
  readonly defaultVars: readonly VarsLayer[]
  /** Above the inventory's and facts, lowest first: vars, vars_files, then the vars of the roles. */
  readonly vars: readonly VarsLayer[]
  /** To be asked for before the run, unless extra vars have them; they stand between `vars` and `vars_files`. */
  readonly prompts: readonly Prompt[]
  readonly sections: readonly Section[]
  readonly handlers: readonly Handler[]
  readonly tags: readonly string[]
  /** Sizes of the batches: numbers of hosts or percent of them; empty: all at once. */
  readonly serial: readonly (number | { readonly percent: number })[]
  readonly order: 'inventory' | 'reverse_inventory' | 'sorted' | 'reverse_sorted' | 'shuffle'
  readonly strategy: 'free' | 'linear'
  readonly anyErrorsFatal: boolean
  readonly maxFailPercentage: number | undefined
  readonly forceHandlers: boolean
  /** Where a relative `src` is looked for, nearest first (absolute folders). */
  readonly searchPath: readonly string[]
  /** For fact gathering, as the three below. */
  readonly become: Become
  readonly environment: readonly Value[]
  readonly ignoreErrors: Value | undefined
  readonly ignoreUnreachable: Value | undefined
}

export interface Remote {
  readonly connection: Value | undefined
  readonly user: Value | undefined
  readonly port: Value | undefined
}

/** One of `vars_prompt`. */
export interface Prompt {
  readonly name: string
  readonly question: string
  readonly default: Value | undefined
  /** What is typed is not shown. */
  readonly private: boolean
  readonly confirm: boolean
  readonly place: Place
}

/** Handlers are flushed at the end of each section; roles and tasks are one, as in Ansible. */
export interface Section {
  readonly name: 'pre_tasks' | 'tasks' | 'post_tasks'
  readonly steps: readonly Step[]
}

export type Step = Task | Block | Include

/** Tasks or a role whose name, loop or condition is known only at run time. */
export interface Include {
  readonly kind: 'include'
  readonly id: string
  readonly name: Value
  readonly place: Place
  readonly what: 'tasks' | 'role'
  /** Name of the file, or of the role, once for each item. */
  readonly target: Value
  /** `tasks_from` of a role. */
  readonly tasksFrom: Value | undefined
  /** Evaluated once, at the include. */
  readonly when: readonly Expression[]
  readonly loop: Loop | undefined
  /** Role defaults, as of a task. */
  readonly defaultVars: readonly VarsLayer[]
  /** Of the include and what is around it; the steps inside have them too. */
  readonly vars: readonly VarsLayer[]
  readonly tags: readonly string[]
  readonly runOnce: boolean
  readonly role: string | undefined
  /** What is inside, when the name is static: it was read and checked with the playbook. */
  readonly known: Included | undefined
  /**
   * Reads and checks what is inside, once for each name: the same name gives the same object (and the same task ids, to
   * which the engine adds the item). Rejects with UserError.
   */
  load(target: string, tasksFrom?: string): Promise<Included>
}

/** What stands inside an include; everything that it inherits is written onto it. */
export interface Included {
  readonly steps: readonly Step[]
  /** Handlers of a role, known to the play from now on. */
  readonly handlers: readonly Handler[]
}

export interface Block {
  readonly kind: 'block'
  readonly id: string
  readonly name: Value | undefined
  readonly place: Place
  readonly block: readonly Step[]
  readonly rescue: readonly Step[]
  readonly always: readonly Step[]
}

/** Which user a task runs as; undefined members fall back to the host's variables (`ansible_become…`). */
export interface Become {
  readonly become: Value | undefined
  readonly user: Value | undefined
  readonly method: Value | undefined
}

export interface Loop {
  /** A list, or a map (items are then {key, value}). */
  readonly items: Value
  readonly loopVar: string
  readonly indexVar: string | undefined
  readonly label: Value | undefined
  /** Seconds between items. */
  readonly pause: Value | undefined
  readonly extended: boolean
  readonly breakWhen: readonly Expression[]
}

/** `detach`, `async`, `poll`. */
export interface Detach {
  /** Seconds until it is killed. */
  readonly limit: Value | undefined
  /** Seconds between looks at it, at the most; 0: the task ends when the command has begun. */
  readonly poll: Value | undefined
}

export interface Task {
  readonly kind: 'task'
  /** Stable within the playbook as long as the files do not change: `0.tasks.3.block.1`. */
  readonly id: string
  /** Shown to people; the module's name where the task has none. */
  readonly name: Value
  readonly place: Place
  readonly moduleName: string
  readonly module: Module | Action
  /** The module's arguments before rendering: a map. Free form has been given its argument's name. */
  readonly args: Value
  /** The arguments in the YAML, for the places of errors in them; `argsPlace` for what is missing. */
  readonly argsNode: YamlNode
  readonly argsPlace: Place
  /** What the module takes, parsed and checked; undefined when templates are in it. See `parseArgs`. */
  readonly parsedArgs: unknown
  /** `module_defaults` that apply, lowest first; same shape as args. */
  readonly defaults: readonly Value[]
  /** All must hold; those of the blocks around it stand first. */
  readonly when: readonly Expression[]
  readonly loop: Loop | undefined
  readonly register: string | undefined
  /** Handler names or listen topics; may hold templates. */
  readonly notify: readonly Value[]
  readonly changedWhen: readonly Expression[]
  readonly failedWhen: readonly Expression[]
  readonly ignoreErrors: Value | undefined
  readonly ignoreUnreachable: Value | undefined
  readonly anyErrorsFatal: boolean
  readonly until: readonly Expression[]
  /** Tries after the first; default 3 with `until`. */
  readonly retries: Value | undefined
  /** Seconds between tries; default 5. */
  readonly delay: Value | undefined
  /** The command goes on when the connection or the run ends. */
  readonly detach: Detach | undefined
  readonly checkMode: Value | undefined
  readonly diff: Value | undefined
  readonly noLog: Value | undefined
  /** Seconds. */
  readonly timeout: Value | undefined
  readonly environment: readonly Value[]
  readonly become: Become
  /** Role defaults, lowest first: those of all roles of the play, then of the task's own. Below the inventory's variables. */
  readonly defaultVars: readonly VarsLayer[]
  /** Variables of blocks and of the task, lowest first. Role vars and include vars too. */
  readonly vars: readonly VarsLayer[]
  readonly tags: readonly string[]
  readonly delegateTo: Value | undefined
  readonly delegateFacts: boolean
  readonly runOnce: boolean
  readonly throttle: Value | undefined
  readonly role: string | undefined
  readonly searchPath: readonly string[]
}

export interface Handler extends Task {
  readonly listen: readonly string[]
}

/** The tasks of a list of steps in file order, blocks and includes with a static name opened. */
export function* tasksOf(steps: readonly Step[]): Generator<Task> {
  for (const step of steps) {
    if (step.kind === 'task') yield step
    else if (step.kind === 'include') yield* tasksOf(step.known?.steps ?? [])
    else {
      yield* tasksOf(step.block)
      yield* tasksOf(step.rescue)
      yield* tasksOf(step.always)
    }
  }
}
