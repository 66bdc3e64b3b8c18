/** What tasks get from the blocks, imports, roles and the play around them. */
import { CONNECTION_VARIABLES } from '../shared/connection-variables.ts'
import { UserError } from '../shared/errors.ts'
import type { SourceFile } from '../shared/source.ts'
import type { Expression, Value } from '../values/index.ts'
import type { IMPORT, Parsed } from './keywords.ts'
import type { ModuleDefaults } from './module-defaults.ts'
import type { Become, VarsLayer } from './playbook.ts'

export interface Inherited {
  readonly become: Become
  readonly when: readonly Expression[]
  readonly vars: readonly VarsLayer[]
  readonly environment: readonly Value[]
  readonly tags: readonly string[]
  readonly noLog: Value | undefined
  readonly checkMode: Value | undefined
  readonly diff: Value | undefined
  readonly timeout: Value | undefined
  readonly ignoreErrors: Value | undefined
  readonly ignoreUnreachable: Value | undefined
  readonly anyErrorsFatal: Value | undefined
  readonly throttle: Value | undefined
  readonly runOnce: boolean
  readonly delegateTo: Value | undefined
  readonly delegateFacts: boolean
  readonly notify: readonly Value[]
  /** Lowest first. */
  readonly moduleDefaults: readonly ModuleDefaults[]
}

export const NOTHING: Inherited = {
  become: { become: undefined, user: undefined, method: undefined },
  when: [],
  vars: [],
  environment: [],
  tags: [],
  noLog: undefined,
  checkMode: undefined,
  diff: undefined,
  timeout: undefined,
  ignoreErrors: undefined,
  ignoreUnreachable: undefined,
  anyErrorsFatal: undefined,
  throttle: undefined,
  runOnce: false,
  delegateTo: undefined,
  delegateFacts: false,
  notify: [],
  moduleDefaults: [],
}

/** Throws UserError for variables that would have no effect. */
function refuseConnection(vars: ReadonlyMap<string, Value>): void {
  const found = [...vars].filter(([name]) => CONNECTION_VARIABLES.has(name))
  if (found.length === 0) return
  throw new UserError(
    found.map(([name, { place }]) => ({
      message: `"${name}" has no effect here: how a host is reached is the play's or the inventory's to say`,
      place,
      hint: name.startsWith('ansible_become')
        ? 'use become, become_user or become_method'
        : 'put it into the vars of a play of its own, or use delegate_to (delegate_to: localhost runs here)',
    })),
  )
}

/**
 * `own` on top of `outer`: the closest wins; conditions, variables, environment and tags add up. Throws UserError for
 * variables that would have no effect.
 */
export function inherit(
  outer: Inherited,
  own: Parsed<typeof IMPORT>,
  varsName: string,
  defaults?: ModuleDefaults,
): Inherited {
  if (own.vars) refuseConnection(own.vars)
  return {
    become: {
      become: own.become ?? outer.become.become,
      user: own.become_user ?? outer.become.user,
      method: own.become_method ?? outer.become.method,
    },
    when: own.when ? [...outer.when, ...own.when] : outer.when,
    vars: own.vars && own.vars.size > 0 ? [...outer.vars, { name: varsName, vars: own.vars }] : outer.vars,
    environment: own.environment ? [...outer.environment, ...own.environment] : outer.environment,
    tags: own.tags ? [...new Set([...outer.tags, ...own.tags])] : outer.tags,
    noLog: own.no_log ?? outer.noLog,
    checkMode: own.check_mode ?? outer.checkMode,
    diff: own.diff ?? outer.diff,
    timeout: own.timeout ?? outer.timeout,
    ignoreErrors: own.ignore_errors ?? outer.ignoreErrors,
    ignoreUnreachable: own.ignore_unreachable ?? outer.ignoreUnreachable,
    anyErrorsFatal: own.any_errors_fatal ?? outer.anyErrorsFatal,
    throttle: own.throttle ?? outer.throttle,
    runOnce: own.run_once ?? outer.runOnce,
    delegateTo: own.delegate_to ?? outer.delegateTo,
    delegateFacts: own.delegate_facts ?? outer.delegateFacts,
    notify: own.notify ?? outer.notify,
    moduleDefaults: defaults ? [...outer.moduleDefaults, defaults] : outer.moduleDefaults,
  }
}

/** `block vars (tasks/main.yml)`: the name of a layer, for --explain. */
export function layerName(what: string, file: SourceFile): string {
  return `${what} (${file.path})`
}
