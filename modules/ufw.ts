import { args, type Change, change, defineModule, map, quoteAll, ReadError, read, z } from '#module'

/** What a rule or its end may be: an address, a network, any. */
const address = z.string().regex(/^(any|[0-9A-Fa-f.:]+(\/[0-9.]+)?)$/, 'must be an address, a network or any')
/** As ufw(8) takes them. */
const ports = z
  .union([
    z.int().min(1).max(65_535),
    z.string().regex(/^\d+(:\d+)?(,\d+(:\d+)?)*$/, 'must be as in 22, 80,443 or 30000:32767'),
  ])
  .transform(String)
const device = z.string().regex(/^[\w.@+-]{1,15}$/, 'must be the name of an interface')

/** Directions of `default`, and its lines in /etc/default/ufw. */
const POLICIES = {
  incoming: 'DEFAULT_INPUT_POLICY',
  outgoing: 'DEFAULT_OUTPUT_POLICY',
  routed: 'DEFAULT_FORWARD_POLICY',
} as const
const TARGETS = { allow: 'ACCEPT', deny: 'DROP', reject: 'REJECT' } as const

const FILES = ['file:/etc/ufw/*', 'file:/etc/default/ufw', 'fact:ufw']

export default defineModule({
  summary: 'The firewall ufw: whether it is on, its policies and its rules',
  description:
    'ufw itself is asked whether a rule is there (`ufw --dry-run`), so that a rule is the same however it was written. A rule ' +
    'with the same ends and another action or comment is replaced. Let SSH in before the firewall is enabled: rules can be ' +
    'added while it is off. For reload and reset use a command in a handler.',
  args: z
    .strictObject({
      state: z.enum(['enabled', 'disabled']).optional().describe('on, now and at boot, or off'),
      default: z.enum(['allow', 'deny', 'reject']).optional().describe('what happens to what no rule is about'),
      policy: z.enum(['allow', 'deny', 'reject']).optional().describe('the same as `default`'),
      direction: z
        .enum(['in', 'out', 'incoming', 'outgoing', 'routed'])
        .optional()
        .describe('of a rule `in` or `out`; of `default` `incoming` (if not given), `outgoing` or `routed`'),
      logging: z.enum(['on', 'off', 'low', 'medium', 'high', 'full']).optional().describe('how much is logged'),
      rule: z.enum(['allow', 'deny', 'reject', 'limit']).optional().describe('what happens to what the rule is about'),
      delete: args.boolean.default(false).describe('the rule is not to be there'),
      route: args.boolean.default(false).describe('a rule for what is forwarded'),
      interface: device.optional().describe('of a rule with `direction`'),
      interface_in: device.optional().describe('where it comes in'),
      interface_out: device.optional().describe('where it goes out'),
      from_ip: address.default('any').describe('where it comes from'),
      from_port: ports.optional().describe('its port there'),
      to_ip: address.default('any').describe('where it goes'),
      to_port: ports.optional().describe('its port here: 22, `80,443`, `30000:32767`; several need `proto`'),
      port: ports.optional().describe('the same as `to_port`'),
      proto: z.enum(['any', 'tcp', 'udp', 'ipv6', 'esp', 'ah', 'gre', 'igmp']).optional().describe('protocol'),
      name: z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9 ._+-]*$/, 'must be the name of an application')
        .optional()
        .describe('an application of /etc/ufw/applications.d instead of ports'),
      log: args.boolean.default(false).describe('log new connections'),
      comment: z
        .string()
        .regex(/^[^'\n\0]+$/, "may not hold a ' or a line break")
        .optional()
        .describe('beside the rule'),
    })
    .check((ctx) => {
      const a = ctx.value
      const say = (message: string) => ctx.issues.push({ code: 'custom', message, input: a })
      const policy = a.default ?? a.policy
      if (a.default !== undefined && a.policy !== undefined) say('give `default` or `policy`')
      if (a.port !== undefined && a.to_port !== undefined) say('give `to_port` or `port`')
      if (a.rule === undefined && policy === undefined && a.state === undefined && a.logging === undefined)
        say('say what is wanted: `state`, `default`, `logging` or `rule`')
      if (a.rule !== undefined && policy !== undefined) say('`default` and `rule` need tasks of their own')
      if (a.rule !== undefined && a.direction !== undefined && !/^(in|out)$/.test(a.direction))
        say('the `direction` of a rule is in or out')
      if (policy !== undefined && a.direction !== undefined && /^(in|out)$/.test(a.direction))
        say('the `direction` of `default` is incoming, outgoing or routed')
      if (a.interface !== undefined && a.direction === undefined) say('`interface` needs a `direction`')
      if (a.rule === undefined && (a.delete || a.name || a.to_port || a.port)) say('a rule needs `rule`')
      if (a.interface_in !== undefined && a.interface_out !== undefined && !a.route)
        say('only rules with `route` have both interfaces')
    }),
  examples: [
    {
      name: 'The API server, from the nodes',
      yaml: "ufw:\n  rule: allow\n  from_ip: 10.0.0.0/8\n  to_port: '6443'\n  proto: tcp",
    },
    { name: 'Forward for pods', yaml: 'ufw:\n  default: allow\n  direction: routed' },
    { name: 'On, when SSH may come in', yaml: 'ufw:\n  state: enabled\n  rule: allow\n  name: OpenSSH' },
  ],
  probe: (a) => ({
    now: map(read.script(STATE, FILES), ({ out, rc }) => {
      if (rc === 3) throw new ReadError('ufw is not installed')
      return parseState(out.toString('utf8'))
    }),
    ...(a.rule === undefined
      ? {}
      : {
          rule: map(read.script(ruleScript(a), FILES), ({ out, rc }) => {
            const text = out.toString('utf8')
            if (rc !== 0) throw new ReadError(text.trim().split('\n').at(-1) ?? 'ufw does not take the rule')
            return a.delete
              ? isThere(text)
              : text
                  .trim()
                  .split('\n')
                  .every((line) => line.startsWith('Skipping'))
          }),
        }),
  }),
  plan: (a, { now, rule }) => {
    const changes: Change[] = []
    const run = (words: readonly string[], summary: string, from?: string, to?: string): void => {
      const diff = to === undefined ? {} : { diff: { kind: 'value' as const, from, to } }
      changes.push(change.run(['ufw', ...words], { summary, ...diff, touches: FILES }))
    }
    const policy = a.default ?? a.policy
    if (policy !== undefined) {
      const direction = (a.direction ?? 'incoming') as keyof typeof POLICIES
      const current = now.policies[direction]
      if (current !== TARGETS[policy])
        run(['default', policy, direction], `${policy} what is ${direction}`, current, TARGETS[policy])
    }
    // `on` is whatever level there is, or low.
    if (a.logging !== undefined && (a.logging === 'on' ? now.logging === 'off' : now.logging !== a.logging))
      run(['logging', a.logging], `log: ${a.logging}`, now.logging, a.logging)
    if (a.rule !== undefined && rule === a.delete) {
      const words = ruleWords(a)
      const shown = words.join(' ')
      if (a.delete) run(withDelete(words), `delete the rule: ${shown}`)
      else run(words, `add the rule: ${shown}`)
    }
    const wanted = a.state && (a.state === 'enabled' ? 'active' : 'inactive')
    if (wanted !== undefined && now.status !== wanted)
      run(a.state === 'enabled' ? ['--force', 'enable'] : ['disable'], `${a.state} ufw`, now.status, wanted)
    return changes
  },
})

interface Rule {
  readonly rule?: string | undefined
  readonly delete: boolean
  readonly route: boolean
  readonly direction?: string | undefined
  readonly interface?: string | undefined
  readonly interface_in?: string | undefined
  readonly interface_out?: string | undefined
  readonly log: boolean
  readonly from_ip: string
  readonly from_port?: string | undefined
  readonly to_ip: string
  readonly to_port?: string | undefined
  readonly port?: string | undefined
  readonly proto?: string | undefined
  readonly name?: string | undefined
  readonly comment?: string | undefined
}

/** The long form of a rule, in the order of ufw(8). */
function ruleWords(a: Rule): string[] {
  const pair = (word: string, value: string | undefined): string[] => (value === undefined ? [] : [word, value])
  return [
    ...(a.route ? ['route'] : []),
    a.rule!,
    ...(a.direction ? [a.direction] : []),
    ...pair('on', a.interface),
    ...(a.interface_in ? ['in', 'on', a.interface_in] : []),
    ...(a.interface_out ? ['out', 'on', a.interface_out] : []),
    ...(a.log ? ['log'] : []),
    ...pair('from', a.from_ip),
    ...pair('port', a.from_port),
    ...pair('to', a.to_ip),
    ...pair('port', a.to_port ?? a.port),
    ...pair('proto', a.proto),
    ...pair('app', a.name),
    ...(a.delete ? [] : pair('comment', a.comment)),
  ]
}

function withDelete(words: readonly string[]): string[] {
  return words[0] === 'route' ? ['route', 'delete', ...words.slice(1)] : ['delete', ...words]
}

const MARK = '=== files'
const TUPLES = '/etc/ufw/user.rules'
const TUPLES6 = '/etc/ufw/user6.rules'

/** A rule that is there is not added; a deletion prints what would be left, to be held against what is there. */
function ruleScript(a: Rule): string {
  const words = ruleWords(a)
  const dry = `LC_ALL=C ufw --dry-run ${quoteAll(a.delete ? withDelete(words) : words)} 2>&1 || exit 1`
  if (!a.delete) return dry
  return `${dry}; echo '${MARK}'; grep -c '^### tuple' ${TUPLES}; grep -c '^### tuple' ${TUPLES6}; :`
}

/** Whether a dry deletion leaves fewer rules of IPv4 or IPv6 than there are. */
function isThere(text: string): boolean {
  const [dry = '', counts = ''] = text.split(MARK)
  const [four = 0, six = 0] = counts.trim().split('\n').map(Number)
  return dry
    .split('*filter')
    .slice(1)
    .some((part) => (part.match(/^### tuple/gm)?.length ?? 0) < (part.includes(':ufw6-') ? six : four))
}

const STATE = `command -v ufw >/dev/null || exit 3
LC_ALL=C ufw status | head -n 1
grep -hE '^(DEFAULT_(INPUT|OUTPUT|FORWARD)_POLICY|LOGLEVEL)=' /etc/default/ufw /etc/ufw/ufw.conf`

interface State {
  readonly status: string
  readonly policies: Readonly<Record<keyof typeof POLICIES, string | undefined>>
  readonly logging: string
}

function parseState(text: string): State {
  const value = (name: string): string | undefined => new RegExp(`^${name}="?(\\w+)`, 'm').exec(text)?.[1]
  return {
    status: /^Status: (\w+)/m.exec(text)?.[1] ?? 'unknown',
    policies: {
      incoming: value(POLICIES.incoming),
      outgoing: value(POLICIES.outgoing),
      routed: value(POLICIES.routed),
    },
    logging: value('LOGLEVEL') ?? 'off',
  }
}
