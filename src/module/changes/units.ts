import { quote } from '../../shared/quote.ts'
import type { Change } from '../change.ts'
import { TaskFailure } from '../define.ts'
import type { UnitState } from '../reads/units.ts'
import { EVERYTHING } from '../resources.ts'

export interface WantedUnit {
  readonly state?: 'started' | 'stopped' | 'restarted' | 'reloaded' | undefined
  readonly enabled?: boolean | undefined
  readonly masked?: boolean | undefined
  /** Unit files are written before: what `state` says of the unit's file no longer counts. */
  readonly rewritten?: boolean
}

/** What brings a unit to the state that is wanted, the daemon's own reload included. */
export function unitChanges(unit: UnitState, wanted: WantedUnit): Change[] {
  const { name } = unit
  const { masked, rewritten = false } = wanted
  const isMasked = unit.load === 'masked' || unit.file.startsWith('masked')
  const missing = unit.load === 'not-found' && !rewritten
  const runs = unit.active === 'active' || unit.active === 'reloading'
  const idle = unit.active === 'inactive' || unit.active === 'failed'
  const starts = wanted.state !== undefined && wanted.state !== 'stopped'
  if (missing && (starts || wanted.enabled === true)) {
    throw new TaskFailure(`there is no unit ${name}: install what brings it, or mend the name`)
  }
  if (isMasked && masked !== false && (starts || wanted.enabled)) {
    throw new TaskFailure(`${name} is masked: set \`masked: false\` too, if it is to run`)
  }
  const changes: Change[] = []
  if (rewritten || unit.needReload) changes.push(daemonReload())
  if (masked === false && isMasked) changes.push(control('unmask', name, unit.file, 'unmasked'))
  if (wanted.enabled !== undefined && !missing) changes.push(...enabling(unit, wanted.enabled, rewritten || isMasked))
  if (wanted.state === 'stopped' && !idle && !missing) changes.push(run('stop', unit))
  // A passing unit is never found running, so that starting it is an event.
  if (wanted.state === 'started' && !runs) changes.push({ ...run('start', unit), transient: unit.passing })
  if (wanted.state === 'restarted') changes.push({ ...run('restart', unit), transient: true })
  if (wanted.state === 'reloaded' && !runs) changes.push(run('start', unit))
  if (wanted.state === 'reloaded' && runs) {
    if (!unit.canReload && !rewritten)
      throw new TaskFailure(`${name} cannot reload its configuration: restart it instead`)
    changes.push({ ...run('reload', unit), transient: true })
  }
  if (masked === true && !isMasked) changes.push(control('mask', name, unit.file || 'no unit file', 'masked'))
  return changes
}

function enabling(unit: UnitState, enabled: boolean, unsure: boolean): Change[] {
  const { name, file } = unit
  if (file === 'static' && enabled && !unsure) {
    throw new TaskFailure(
      `${name} cannot be enabled: it has no [Install] section and starts when something else asks for it`,
    )
  }
  // enabled-runtime lasts until the next boot. indirect, static, generated and alias cannot be told apart by on and off.
  const on = file === 'enabled' || file === 'alias' || file === 'generated' || file === 'indirect'
  const off = ['disabled', 'static', 'indirect', 'masked', 'masked-runtime', 'transient', ''].includes(file)
  if (!enabled && file === 'generated') {
    throw new TaskFailure(`${name} is generated (from fstab or an init script) and cannot be disabled: mask it`)
  }
  if (unsure ? enabled === (file === 'enabled') : enabled ? on : off) return []
  return [control(enabled ? 'enable' : 'disable', name, file || 'disabled', enabled ? 'enabled' : 'disabled')]
}

/** systemd reads all unit files anew. */
export function daemonReload(): Change {
  return {
    summary: 'systemctl daemon-reload',
    touches: ['unit:*'],
    script: 'systemctl daemon-reload',
  }
}

function control(verb: 'enable' | 'disable' | 'mask' | 'unmask', name: string, from: string, to: string): Change {
  return {
    summary: `${verb} ${name}`,
    diff: { kind: 'value', from, to },
    touches: ['unit:*', 'file:/etc/systemd/system/*'],
    // Without this it warns of units without an [Install] section, which we have said already.
    script: `systemctl -q ${verb} -- ${quote(name)}`,
  }
}

/** Whatever a service does when it starts or ends is out of sight, so that it can touch everything. */
function run(verb: 'start' | 'stop' | 'restart' | 'reload', unit: UnitState): Change {
  const name = quote(unit.name)
  const to = verb === 'stop' ? 'inactive' : 'active'
  const settled = verb === 'stop' || unit.passing ? '' : ` && rb_up ${name}`
  return {
    summary: `${verb} ${unit.name}`,
    diff:
      verb === 'reload' ? undefined : { kind: 'value', from: unit.active, to: verb === 'restart' ? 'restarted' : to },
    touches: [EVERYTHING],
    script: `${UP}systemctl ${verb} -- ${name}${settled} || rb_why ${name}`,
  }
}

/** systemctl says of a simple service that it has started before it has shown whether it can: say why, from the journal. */
const UP = `rb_up() {
  case $(systemctl is-active -- "$1") in active|activating|reloading) ;; *) return 1 ;; esac
}
rb_why() {
  rb_r=$?
  journalctl --sync 2>/dev/null
  journalctl -q --no-pager -o cat -n 15 -u "$1" >&2 2>/dev/null
  exit $rb_r
}
`
