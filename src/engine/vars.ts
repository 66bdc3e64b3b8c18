import type { Task } from '../playbook/playbook.ts'
import type { Layer, Scope, ScopeOptions } from '../values/index.ts'
import { makeScope, PENDING, PendingError } from '../values/index.ts'
import type { HostState } from './host.ts'
import type { PlayRun } from './play.ts'

/**
 * Which variable wins, lowest first (docs/variables.md; Ansible's order without the levels we do not have):
 * role defaults, inventory, facts, play vars, vars_files, role/block/task vars, set_fact and register, loop item, `-e`,
 * and last the names that runbook itself gives.
 */
export function taskScope(
  play: PlayRun,
  state: HostState,
  task: Task,
  overlay: ReadonlyMap<string, unknown>,
  item?: ReadonlyMap<string, unknown>,
): Scope {
  const layers: Layer[] = [
    ...task.defaultVars,
    ...state.host.layers,
    factsLayer(state),
    ...play.play.vars,
    { name: 'vars_prompt', vars: play.run.answers(play.play) },
    ...task.vars,
    { name: 'set_fact and register', vars: state.vars },
  ]
  if (overlay.size > 0) layers.push({ name: 'not known yet', vars: overlay })
  if (item) layers.push({ name: 'loop item', vars: item })
  layers.push({ name: 'command line', vars: play.run.input.extraVars }, { name: 'runbook', vars: magic(play, state) })
  return makeScope(layers, optionsOf(play))
}

const optionsOf = ({ run, rehearsal }: PlayRun): ScopeOptions => ({
  redactor: run.input.redactor,
  directory: run.input.baseDir,
  readOnly: run.input.check || rehearsal,
})

/** A scope for a host outside of any task: what other hosts see of it. */
export function hostScope(play: PlayRun, state: HostState): Scope {
  return makeScope(
    [
      ...play.play.defaultVars,
      ...state.host.layers,
      factsLayer(state),
      ...play.play.vars,
      { name: 'vars_prompt', vars: play.run.answers(play.play) },
      { name: 'set_fact and register', vars: state.vars },
      { name: 'command line', vars: play.run.input.extraVars },
      { name: 'runbook', vars: magic(play, state) },
    ],
    optionsOf(play),
  )
}

function factsLayer({ facts }: HostState): Layer {
  return { name: 'facts', vars: facts === undefined ? {} : { facts } }
}

/** Made once a host and play: most tasks read none of it. */
function magic(play: PlayRun, state: HostState): Record<string, unknown> {
  const known = play.magic.get(state)
  if (known) return known
  const names: Record<string, unknown> = {
    inventory_hostname: state.name,
    inventory_hostname_short: state.name.split('.')[0],
    group_names: state.host.groups,
    groups: play.run.groupNames,
    ansible_check_mode: play.run.input.check,
    playbook_dir: play.run.input.baseDir,
    runbook_run: play.run.id,
  }
  late(names, 'play_hosts', () => play.activeNames())
  // Not kept: a thousand hosts that each know of a thousand take more memory than all else. A scope keeps it for a task.
  late(names, 'hostvars', () => hostvars(play, state))
  play.magic.set(state, names)
  return names
}

/**
 * Another host's value can change while that host is at work. Reading one throws this, and the engine lets the hosts of
 * the batch meet before it reads again: the value is the one that all tasks before this one left.
 */
export class MeetingNeeded extends PendingError {}

/** `hostvars.NAME.VARIABLE`; a host's variables are looked at when they are read. */
function hostvars(play: PlayRun, reader: HostState): Record<string, unknown> {
  const all: Record<string, unknown> = {}
  for (const name of play.run.input.inventory.hosts.keys()) {
    late(all, name, () => variablesOf(play, reader, name))
  }
  return all
}

function variablesOf(play: PlayRun, reader: HostState, name: string): Record<string, unknown> {
  const view: Record<string, unknown> = {}
  const other = play.run.stateOf(name)
  const scope = hostScope(play, other)
  for (const key of scope.names()) if (key !== 'hostvars') late(view, key, () => scope.get(key))
  for (const key of [...play.dynamicNames, 'facts']) {
    late(view, key, () => {
      const snapshot = play.meeting.snapshot(reader)
      if (other !== reader && !snapshot && play.isActive(other)) throw new MeetingNeeded(`hostvars.${name}.${key}`)
      const ahead = other === reader ? reader.ahead?.get(key) : undefined
      if (ahead === PENDING) throw new PendingError(`hostvars.${name}.${key}`)
      if (ahead !== undefined) return ahead
      const seen = snapshot?.get(other) ?? other
      const value = key === 'facts' ? seen.facts : (seen.vars.get(key) ?? scope.get(key))
      if (value === undefined && play.rehearsal) throw new PendingError(`hostvars.${name}.${key}`)
      return value
    })
  }
  return view
}

function late(target: Record<string, unknown>, name: string, get: () => unknown): void {
  Object.defineProperty(target, name, { enumerable: true, configurable: true, get })
}
