import { quote, quoteAll } from '../../shared/quote.ts'
import { type AskKind, ask, type Read, ReadError } from '../read.ts'

/** What systemd says of a unit. */
export interface UnitState {
  readonly name: string
  /** `loaded`, `not-found`, `masked`, `bad-setting`, `error`. */
  readonly load: string
  /** `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`. */
  readonly active: string
  readonly sub: string
  /** `enabled`, `disabled`, `static`, `masked`, `indirect`, `generated`, `alias`, '' when there is no unit file. */
  readonly file: string
  readonly needReload: boolean
  /** Path of the unit file, '' when none. */
  readonly fragment: string
  readonly dropIns: readonly string[]
  readonly mainPid: number
  /** It knows how to reload its configuration. */
  readonly canReload: boolean
  /** Runs once and is not `active` afterwards: Type=oneshot without RemainAfterExit. */
  readonly passing: boolean
}

const UNIT_PROPERTIES =
  'Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,FragmentPath,DropInPaths,MainPID,CanReload,Type,RemainAfterExit'

/** `getty@.service`: systemd knows no state of it, but of its instances: one that nobody has says where its files stand. */
const isTemplate = (name: string): boolean => name.includes('@.')
const LOOKS = '@runbook-looks.'

const unitKind: AskKind<string, UnitState> = {
  name: 'unit',
  // A file that is written there changes what systemd says of a unit (systemd.unit(5), "Unit File Load Path"); what its
  // generators read too.
  reads: (name) => [
    `unit:${name}`,
    'file:/etc/systemd/system/*',
    'file:/usr/local/lib/systemd/system/*',
    'file:/usr/lib/systemd/system/*',
    'file:/lib/systemd/system/*',
    'file:/run/systemd/*',
    'file:/etc/fstab',
    'file:/etc/init.d/*',
  ],
  sections: () => 1,
  script: (names) => {
    const shown = names.map((name) => (isTemplate(name) ? name.replace('@.', LOOKS) : name))
    const states = names
      .filter(isTemplate)
      .map((name) => `echo; echo "UnitFileState=$(systemctl is-enabled -- ${quote(name)} 2>/dev/null)"; `)
    return (
      `if [ -d /run/systemd/system ]; then systemctl show --no-pager -p ${UNIT_PROPERTIES} -- ${quoteAll(shown)} 2>&1; ` +
      `${states.join('')}else echo "!$(cat /proc/1/comm)"; fi; rb_mark\n`
    )
  },
  parse: ([section], names) => {
    const out = (section?.out.toString('utf8') ?? '').replace(/\n$/, '')
    if (out.startsWith('!')) {
      throw new ReadError(
        `this host does not run systemd (its process 1 is ${out.slice(1)}): services cannot be managed`,
      )
    }
    const blocks = out.split('\n\n')
    const templates = names.filter(isTemplate)
    if (blocks.length !== names.length + templates.length || !out.includes('LoadState=')) {
      throw new ReadError(`systemctl show ${names.join(' ')}: ${out.trim() || 'no answer'}`)
    }
    const states = blocks.slice(names.length)
    return names.map((name, i) =>
      parseUnit(name, isTemplate(name) ? `${blocks[i]}\n${states[templates.indexOf(name)]}` : blocks[i]!),
    )
  },
}

function parseUnit(name: string, block: string): UnitState {
  const values = new Map(
    block.split('\n').map((line): [string, string] => {
      const at = line.indexOf('=')
      return [line.slice(0, at), line.slice(at + 1)]
    }),
  )
  const get = (key: string): string => values.get(key) ?? ''
  return {
    name,
    load: get('LoadState'),
    active: get('ActiveState'),
    sub: get('SubState'),
    file: get('UnitFileState'),
    needReload: get('NeedDaemonReload') === 'yes',
    fragment: get('FragmentPath'),
    dropIns: get('DropInPaths').split(' ').filter(Boolean),
    mainPid: Number(get('MainPID') || 0),
    canReload: get('CanReload') === 'yes',
    passing: get('Type') === 'oneshot' && get('RemainAfterExit') === 'no',
  }
}

/** The name with `.service` where it has no suffix, as systemctl does it. */
export function unitName(name: string): string {
  return /\.(service|socket|target|mount|automount|swap|timer|path|slice|scope|device)$/.test(name)
    ? name
    : `${name}.service`
}

/** State of systemd units, one process for all of them. */
export function unit(name: string): Read<UnitState> {
  return ask(unitKind, unitName(name))
}

/** State of units; [] on a host that does not run systemd. */
export function unitsIfSystemd(names: readonly string[]): Read<UnitState[]> {
  return ask(optionalUnits, names)
}

const optionalUnits: AskKind<readonly string[], UnitState[]> = {
  name: 'units',
  reads: (names) => names.flatMap((name) => unitKind.reads(name)),
  sections: (keys) => keys.length,
  script: (keys) => keys.map((names) => unitKind.script(names)).join(''),
  parse: (sections, keys) =>
    keys.map((names, i) =>
      sections[i]!.out.toString('latin1').startsWith('!') ? [] : [...unitKind.parse([sections[i]!], names)],
    ),
}
