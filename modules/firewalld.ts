import { args, type Change, change, defineModule, map, quoteAll, ReadError, read, TaskFailure, z } from '#module'

const TOUCHES = ['fact:firewalld', 'file:/etc/firewalld/*']

const word = z.string().regex(/^[^\s=-][^\s=]*$/, 'may hold no blanks')
const port = z
  .union([z.int(), z.string().regex(/^\d+(-\d+)?$/, 'must be a port or a range such as 30000-32767')])
  .transform(String)

export default defineModule({
  summary: 'The firewall firewalld: services, ports, sources and more of a zone',
  description:
    'firewall-cmd itself is asked whether it is there. `permanent` is what firewalld starts with, `immediate` what it does now; ' +
    'with neither, now alone. Where firewalld does not run, `permanent` writes its files. A new zone is seen by what runs after ' +
    '`firewall-cmd --reload`, in a handler.',
  args: z
    .strictObject({
      state: z
        .enum(['enabled', 'disabled', 'present', 'absent'])
        .describe('enabled, disabled; present and absent are for zones and their `target`'),
      zone: word.optional().describe('absent: the default zone'),
      permanent: args.boolean.default(false).describe('for every start of firewalld'),
      immediate: args.boolean.optional().describe('now; absent: unless `permanent`'),
      offline: args.boolean.default(false).describe('with both: where firewalld does not run, its files alone'),
      timeout: z
        .int()
        .nonnegative()
        .default(0)
        .describe('seconds after which what is enabled now goes again; 0: never'),
      service: word.optional().describe('a service that firewalld knows, such as ssh'),
      port: z
        .string()
        .regex(/^\d+(-\d+)?\/(tcp|udp|sctp|dccp)$/, 'must be as in 6443/tcp or 30000-32767/tcp')
        .optional()
        .describe('`6443/tcp`, `30000-32767/udp`'),
      protocol: word.optional().describe('of IP, such as vrrp'),
      source: word.optional().describe('address or network that belongs to the zone'),
      interface: word.optional().describe('an interface that belongs to the zone and to no other'),
      masquerade: args.boolean.optional().describe('what goes out gets the address of the host'),
      forward: args.boolean.optional().describe('forward between the interfaces of the zone'),
      rich_rule: z
        .string()
        .regex(/^rule\s[^\n\0]+$/, 'must begin with `rule`')
        .optional()
        .describe('a rule in the language of firewalld.richlanguage(5)'),
      icmp_block: word.optional().describe('a type of ICMP that is refused'),
      icmp_block_inversion: args.boolean.optional().describe('only what `icmp_block` names is let through'),
      port_forward: z
        .array(
          z.strictObject({
            port,
            proto: z.enum(['tcp', 'udp', 'sctp', 'dccp']),
            toport: port,
            toaddr: word.optional(),
          }),
        )
        .length(1, 'is one at a time')
        .optional()
        .describe('`[{port: 80, proto: tcp, toport: 8080}]`, with `toaddr` for another host'),
      target: z
        .enum(['default', 'ACCEPT', 'DROP', '%%REJECT%%'])
        .optional()
        .describe('what happens to what nothing in the zone is about'),
    })
    .check((ctx) => {
      const a = ctx.value
      const say = (message: string) => ctx.issues.push({ code: 'custom', message, input: a })
      const given = WHAT.filter((name) => a[name] !== undefined)
      if (given.length > 1) say(`${given.map((name) => `\`${name}\``).join(' and ')} need tasks of their own`)
      const isZone = given.length === 0 || given[0] === 'target'
      if (!isZone && /^(present|absent)$/.test(a.state)) say('write `state: enabled` or `disabled`')
      if (given.length === 0 && /^(enabled|disabled)$/.test(a.state)) say(`say what: ${WHAT.join(', ')}`)
      if (isZone && a.zone === undefined) say('give `zone`')
      if (isZone && (!a.permanent || a.immediate)) say('zones and targets are `permanent` only')
      if (given[0] === 'interface' && a.zone === undefined) say('`interface` needs `zone`')
      if (a.offline && !a.permanent) say('`offline` needs `permanent`')
    })
    .transform((a) => ({ ...a, immediate: a.immediate ?? !a.permanent })),
  examples: [
    {
      name: 'The API server, now and at every start',
      yaml: 'firewalld:\n  port: 6443/tcp\n  permanent: true\n  immediate: true\n  state: enabled',
    },
    {
      name: 'Pods are trusted',
      yaml: 'firewalld:\n  zone: trusted\n  source: 10.42.0.0/16\n  permanent: true\n  immediate: true\n  state: enabled',
    },
  ],
  probe: (a) => ({ now: map(read.script(question(a), TOUCHES), ({ out, rc }) => parse(out.toString('utf8'), rc)) }),
  plan: (a, { now }) => {
    const immediate = a.immediate && !(a.offline && !now.running)
    if (immediate && !now.running)
      throw new TaskFailure(
        'firewalld does not run: start it (service), or write `permanent: true` without `immediate`',
      )
    const wanted = isWanted(a)
    const changes: Change[] = []
    const set = (where: 'permanent' | 'immediate'): void => {
      const { words, shown } = a.target === undefined ? order(a, wanted, where) : targetOrder(a, wanted)
      const program = now.running
        ? ['firewall-cmd', ...(where === 'permanent' ? ['--permanent'] : [])]
        : ['firewall-offline-cmd']
      const summary = `${shown}${a.zone ? ` (${a.zone})` : ''}, ${where === 'permanent' ? 'at every start' : 'now'}`
      changes.push(change.run([...program, ...words], { summary, touches: TOUCHES }))
    }
    if (a.permanent && now.permanent !== wanted) set('permanent')
    if (immediate && now.immediate !== wanted) set('immediate')
    return changes
  },
})

/** What a task is about: one of them, or the zone itself. */
const WHAT = [
  ...['service', 'port', 'protocol', 'source', 'interface', 'masquerade', 'forward', 'rich_rule', 'icmp_block'],
  ...['icmp_block_inversion', 'port_forward', 'target'],
] as (
  | 'service'
  | 'port'
  | 'protocol'
  | 'source'
  | 'interface'
  | 'rich_rule'
  | 'icmp_block'
  | Flag
  | 'port_forward'
  | 'target'
)[]
type Flag = 'masquerade' | 'forward' | 'icmp_block_inversion'

interface Wanted {
  readonly state: string
  readonly zone?: string | undefined
  readonly permanent: boolean
  readonly immediate: boolean
  readonly timeout: number
  readonly service?: string | undefined
  readonly port?: string | undefined
  readonly protocol?: string | undefined
  readonly source?: string | undefined
  readonly interface?: string | undefined
  readonly masquerade?: boolean | undefined
  readonly forward?: boolean | undefined
  readonly rich_rule?: string | undefined
  readonly icmp_block?: string | undefined
  readonly icmp_block_inversion?: boolean | undefined
  readonly port_forward?:
    | readonly { port: string; proto: string; toport: string; toaddr?: string | undefined }[]
    | undefined
  readonly target?: string | undefined
}

const FLAGS: readonly Flag[] = ['masquerade', 'forward', 'icmp_block_inversion']

/** firewall-cmd's name of it, and its value. */
function subject(a: Wanted): readonly [name: string, value: string | undefined] | undefined {
  const name = WHAT.find((one) => a[one] !== undefined)
  if (name === undefined || name === 'target') return undefined
  if (name === 'port_forward') {
    const [{ port, proto, toport, toaddr } = { port: '', proto: '', toport: '' }] = a.port_forward ?? []
    return ['forward-port', `port=${port}:proto=${proto}:toport=${toport}${toaddr ? `:toaddr=${toaddr}` : ''}`]
  }
  const option = name.replaceAll('_', '-')
  return [option, FLAGS.includes(name as Flag) ? undefined : String(a[name])]
}

/** Whether it is to be there. `masquerade: false` with `enabled` means the same as true with `disabled`. */
function isWanted(a: Wanted): boolean {
  const on = a.state === 'enabled' || a.state === 'present'
  const flag = FLAGS.find((name) => a[name] !== undefined)
  return flag === undefined ? on : on === a[flag]
}

const option = (name: string, value: string | undefined): string =>
  value === undefined ? `--${name}` : `--${name}=${value}`
const zoneOf = (a: Wanted): string[] => (a.zone === undefined ? [] : [`--zone=${a.zone}`])

function order(a: Wanted, wanted: boolean, where: 'permanent' | 'immediate'): { words: string[]; shown: string } {
  const what = subject(a)
  if (!what) {
    const words = [option(wanted ? 'new-zone' : 'delete-zone', a.zone)]
    return { words, shown: `${wanted ? 'create' : 'remove'} the zone` }
  }
  const [name, value] = what
  const verb = !wanted ? 'remove' : name === 'interface' ? 'change' : 'add'
  const timeout = where === 'immediate' && wanted && a.timeout > 0 ? [`--timeout=${a.timeout}`] : []
  const shown = `${wanted ? 'add' : 'remove'} ${[name, value].filter(Boolean).join(' ')}`
  return { words: [...zoneOf(a), option(`${verb}-${name}`, value), ...timeout], shown }
}

function targetOrder(a: Wanted, wanted: boolean): { words: string[]; shown: string } {
  const target = wanted ? a.target! : 'default'
  return { words: [...zoneOf(a), `--set-target=${target}`], shown: `set the target ${target}` }
}

/** Exit status of firewall-cmd where firewalld does not run, and of a zone that is not there (firewalld: firewall/errors.py). */
const NOT_RUNNING = 252
const INVALID_ZONE = 112

/** Asks what runs and what is kept, as far as the task is about it. A zone that is not there yet has nothing. */
function question(a: Wanted): string {
  const what = subject(a)
  const ask = (program: readonly string[]): string => {
    if (what) return `${quoteAll([...program, ...zoneOf(a), option(`query-${what[0]}`, what[1])])} 2>&1`
    const words = a.target === undefined ? ['--get-zones'] : [...zoneOf(a), '--get-target']
    const target = isWanted(a) ? `[ "$t" = ${quoteAll([a.target ?? ''])} ]` : '[ "$t" != default ]'
    const test = a.target === undefined ? `case " $t " in *${quoteAll([` ${a.zone} `])}*) ;; *) exit 1 ;; esac` : target
    return `( t=$(${quoteAll([...program, ...words])} 2>&1) || { r=$?; echo "$t"; exit $r; }; ${test} )`
  }
  const permanent = `${ask(['firewall-cmd', '--permanent'])}; r=$?
if [ $r = ${NOT_RUNNING} ]; then say off 0; ${ask(['firewall-offline-cmd'])}; r=$?; fi; say permanent $r`
  return `command -v firewall-cmd >/dev/null || exit 3
say() { printf '\\n%s %s\\n' "$1" "$2"; }
${a.permanent ? permanent : ':'}
${a.immediate ? `${ask(['firewall-cmd'])}; r=$?; if [ $r = ${NOT_RUNNING} ]; then say off 0; else say immediate $r; fi` : ':'}`
}

interface State {
  readonly running: boolean
  readonly permanent: boolean
  readonly immediate: boolean
}

function parse(text: string, rc: number): State {
  if (rc === 3) throw new ReadError('firewalld is not installed')
  const status = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 1)
  for (const name of ['permanent', 'immediate']) {
    if ([0, 1, INVALID_ZONE].includes(status(name))) continue
    throw new ReadError(
      /^(Error|usage|firewall-cmd|firewall-offline-cmd): ?.*$/im.exec(text)?.[0] ?? 'firewall-cmd fails',
    )
  }
  return { running: !/^off 0$/m.test(text), permanent: status('permanent') === 0, immediate: status('immediate') === 0 }
}
