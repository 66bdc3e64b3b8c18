import { args, type Change, change, defineModule, each, map, quoteAll, type Read, ReadError, read, z } from '#module'

const TOUCHES = ['fact:netfilter']
/** A rule may name a user, a host of /etc/hosts, and what a module of the kernel brings; ufw and firewalld have rules, too. */
const READS = [...TOUCHES, 'fact:ufw', 'fact:firewalld', 'user:*', 'group:*', 'module:*', 'file:/etc/hosts']
const PROGRAMS = { ipv4: ['iptables'], ipv6: ['ip6tables'], both: ['iptables', 'ip6tables'] } as const

/** The value of an option; `!` before it turns it round. */
const value = z
  .union([z.string().regex(/^!? ?[^\s!-][^\0\n]*$/, 'must be a value of iptables(8)'), z.int().nonnegative()])
  .transform(String)
const text = z.string().regex(/^[^\0\n]+$/, 'must be one line')
const name = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,28}$/, 'must be the name of a chain or a target')
const csv = args
  .list(z.union([z.string().regex(/^[A-Za-z0-9_:,! ]+$/), z.int()]))
  .transform((items) => items.flatMap((one) => String(one).split(/\s*,\s*/)))

/** The options of a rule in the order in which iptables gets them: one of an extension stands behind what loads it. */
const RULE = {
  protocol: value.optional().describe('tcp, udp, icmp, all or a number'),
  source: value.optional().describe('address or network; `!10.0.0.0/8`: any other'),
  destination: value.optional().describe('address or network'),
  match: csv.default([]).describe('extensions to load, such as comment or conntrack'),
  tcp_flags: z
    .strictObject({ flags: csv, flags_set: csv })
    .optional()
    .describe('`flags` are looked at, `flags_set` must be set'),
  jump: name.optional().describe('what happens: ACCEPT, DROP, REJECT, RETURN, a chain of yours …'),
  gateway: value.optional().describe('with `jump: TEE`'),
  log_prefix: text.optional().describe('before what is logged; means `jump: LOG`'),
  log_level: value.optional().describe('of what is logged, such as warning; means `jump: LOG`'),
  to_destination: value.optional().describe('with `jump: DNAT`'),
  destination_ports: csv.default([]).describe('several ports or ranges (multiport)'),
  to_source: value.optional().describe('with `jump: SNAT`'),
  goto: name.optional().describe('a chain to go on in'),
  in_interface: value.optional().describe('where it comes in; `eth+`: any that begins so'),
  out_interface: value.optional().describe('where it goes out'),
  source_port: value.optional().describe('port or range `1:2`; needs `protocol`'),
  destination_port: value.optional().describe('port or range `30000:32767`; needs `protocol`'),
  to_ports: value.optional().describe('with `jump: REDIRECT` or MASQUERADE'),
  set_dscp_mark: value.optional().describe('with `jump: DSCP`'),
  set_dscp_mark_class: value.optional().describe('with `jump: DSCP`'),
  syn: z.enum(['ignore', 'match', 'negate']).default('ignore').describe('match: new TCP connections; negate: no such'),
  ctstate: csv.default([]).describe('states of connections: NEW, ESTABLISHED, RELATED …'),
  src_range: value.optional().describe('`10.0.0.1-10.0.0.9`'),
  dst_range: value.optional().describe('`10.0.0.1-10.0.0.9`'),
  match_set: value.optional().describe('a set of ipset(8)'),
  match_set_flags: z
    .enum(['src', 'dst', 'src,dst', 'dst,src', 'src,src', 'dst,dst'])
    .optional()
    .describe('of `match_set`'),
  limit: value.optional().describe('no more often than `5/minute`'),
  limit_burst: value.optional().describe('how many may come at once'),
  uid_owner: value.optional().describe('the user whose process sent it'),
  gid_owner: value.optional().describe('the group whose process sent it'),
  reject_with: value.optional().describe('what is sent back; means `jump: REJECT`'),
  icmp_type: value.optional().describe('such as echo-request'),
  comment: text.optional().describe('beside the rule'),
}

export default defineModule({
  summary: 'Rules of the packet filter: iptables and ip6tables',
  description:
    'iptables itself is asked whether a rule is there (`-C`), so that a rule is the same however it was written. A rule that is ' +
    'there stays where it is. Nothing is kept for the next boot: iptables-save to where the host reads it from, in a handler, or ' +
    'use ufw. Where kube-proxy or a network plugin has chains of its own, leave those alone.',
  args: z
    .strictObject({
      chain: name.optional().describe('INPUT, FORWARD, OUTPUT, PREROUTING, POSTROUTING or one of yours'),
      table: z.enum(['filter', 'nat', 'mangle', 'raw', 'security']).default('filter').describe('which table'),
      state: z.enum(['present', 'absent']).default('present').describe('absent removes the rule, all of its like'),
      action: z.enum(['append', 'insert']).default('append').describe('where a new rule goes: the end, or `rule_num`'),
      rule_num: z
        .union([z.int().min(1), z.string().regex(/^\d+$/)])
        .optional()
        .describe('with insert: its place; 1 if not given'),
      ip_version: z.enum(['ipv4', 'ipv6', 'both']).default('ipv4').describe('iptables, ip6tables or both'),
      ...RULE,
      policy: z
        .enum(['ACCEPT', 'DROP', 'QUEUE', 'RETURN'])
        .optional()
        .describe('what happens to what no rule of the chain is about'),
      flush: args.boolean.default(false).describe('remove all rules of the chain; without `chain`, of the table'),
      chain_management: args.boolean
        .default(false)
        .describe('without a rule: the chain itself is to be there, or to be gone, which needs it empty'),
      wait: z
        .union([z.int().nonnegative(), z.string().regex(/^\d+$/)])
        .default(30)
        .describe('seconds to wait for another iptables'),
    })
    .check((ctx) => {
      const a = ctx.value
      const say = (message: string) => ctx.issues.push({ code: 'custom', message, input: a })
      const isRule = ruleWords(a, 'iptables').length > 0
      if (a.chain === undefined && !a.flush) say('give `chain`')
      if (a.flush && a.policy !== undefined) say('`flush` and `policy` need tasks of their own')
      if ((a.flush || a.policy !== undefined) && isRule) say('a rule needs a task of its own')
      if (!isRule && !a.flush && a.policy === undefined && !a.chain_management)
        say('say what the rule is, or `chain_management: true` for the chain itself')
      if ((a.log_prefix ?? a.log_level) !== undefined && a.jump !== undefined && a.jump !== 'LOG')
        say('`log_prefix` and `log_level` need `jump: LOG`')
      if (a.jump?.toLowerCase() === 'tee' && a.gateway === undefined) say('`jump: TEE` needs `gateway`')
      if ((a.set_dscp_mark ?? a.set_dscp_mark_class) !== undefined && a.jump !== 'DSCP')
        say('`set_dscp_mark` and `set_dscp_mark_class` need `jump: DSCP`')
    }),
  examples: [
    {
      name: 'The API server, from the nodes',
      yaml: 'iptables:\n  chain: INPUT\n  source: 10.0.0.0/8\n  protocol: tcp\n  destination_port: 6443\n  jump: ACCEPT\n  comment: API server',
    },
    {
      name: 'What belongs to a connection',
      yaml: 'iptables:\n  chain: INPUT\n  ctstate: [ESTABLISHED, RELATED]\n  jump: ACCEPT',
    },
    { name: 'Forward for pods', yaml: 'iptables:\n  chain: FORWARD\n  policy: ACCEPT' },
  ],
  probe: (a) => ({ found: each(PROGRAMS[a.ip_version].map((program) => look(a, program))) }),
  plan: (a, { found }) => PROGRAMS[a.ip_version].flatMap((program, i) => changesOf(a, program, found[i]!)),
})

type Args = z.infer<z.ZodObject<typeof RULE>> & {
  readonly chain?: string | undefined
  readonly table: string
  readonly state: 'present' | 'absent'
  readonly action: 'append' | 'insert'
  readonly rule_num?: string | number | undefined
  readonly policy?: string | undefined
  readonly flush: boolean
  readonly wait: string | number
}

interface Found {
  /** The rule, the chain, or rules to flush. */
  readonly there: boolean
  readonly policy?: string | undefined
}

/** The words of a rule behind the chain, as Ansible's module orders them (ansible-core: modules/iptables.py, construct_rule). */
function ruleWords(a: z.infer<z.ZodObject<typeof RULE>>, program: string): string[] {
  const words: string[] = []
  const option = (flag: string, given: string | undefined): void => {
    if (given === undefined) return
    if (given.startsWith('!')) words.push('!', flag, given.slice(1).trim())
    else words.push(flag, given)
  }
  const load = (extension: string, ...given: readonly (string | undefined)[]): void => {
    if (given.some((one) => one !== undefined) && !a.match.includes(extension)) words.push('-m', extension)
  }
  const list = (items: readonly string[]): string | undefined => (items.length > 0 ? items.join(',') : undefined)
  const [ports, states] = [list(a.destination_ports), list(a.ctstate)]
  const isLogged = a.log_prefix !== undefined || a.log_level !== undefined
  const jump = a.jump ?? (isLogged ? 'LOG' : undefined)
  option('-p', a.protocol)
  option('-s', a.source)
  option('-d', a.destination)
  for (const extension of a.match) option('-m', extension)
  if (a.tcp_flags) words.push('--tcp-flags', a.tcp_flags.flags.join(','), a.tcp_flags.flags_set.join(','))
  option('-j', jump)
  if (jump?.toLowerCase() === 'tee') option('--gateway', a.gateway)
  if (a.log_prefix !== undefined) words.push('--log-prefix', a.log_prefix)
  option('--log-level', a.log_level)
  option('--to-destination', a.to_destination)
  load('multiport', ports)
  option('--dports', ports)
  option('--to-source', a.to_source)
  option('-g', a.goto)
  option('-i', a.in_interface)
  option('-o', a.out_interface)
  option('--source-port', a.source_port)
  option('--destination-port', a.destination_port)
  option('--to-ports', a.to_ports)
  option('--set-dscp', a.set_dscp_mark)
  option('--set-dscp-class', a.set_dscp_mark_class)
  if (a.syn !== 'ignore') words.push(...(a.syn === 'negate' ? ['!'] : []), '--syn')
  const byState = !a.match.includes('conntrack') && a.match.includes('state')
  if (!byState) load('conntrack', states)
  option(byState ? '--state' : '--ctstate', states)
  load('iprange', a.src_range, a.dst_range)
  option('--src-range', a.src_range)
  option('--dst-range', a.dst_range)
  load('set', a.match_set)
  option('--match-set', a.match_set)
  if (a.match_set_flags !== undefined) words.push(a.match_set_flags)
  load('limit', a.limit, a.limit_burst)
  option('--limit', a.limit)
  option('--limit-burst', a.limit_burst)
  load('owner', a.uid_owner, a.gid_owner)
  option('--uid-owner', a.uid_owner)
  option('--gid-owner', a.gid_owner)
  if (a.reject_with !== undefined && jump === undefined) words.push('-j', 'REJECT')
  option('--reject-with', a.reject_with)
  option(program === 'ip6tables' ? '--icmpv6-type' : '--icmp-type', a.icmp_type)
  load('comment', a.comment)
  if (a.comment !== undefined) words.push('--comment', a.comment)
  return words
}

/** A call of the program: what to do, and with which chain. */
function call(a: Args, program: string, verb: string, ...words: readonly string[]): string[] {
  return [program, '-w', String(a.wait), '-t', a.table, verb, ...(a.chain === undefined ? [] : [a.chain]), ...words]
}

function look(a: Args, program: string): Read<Found> {
  const rule = ruleWords(a, program)
  const isRule = rule.length > 0 && !a.flush && a.policy === undefined
  const argv = isRule ? call(a, program, '-C', ...rule) : call(a, program, '-S')
  return map(read.script(`LC_ALL=C ${quoteAll(argv)} 2>&1`, READS), ({ out, rc }) => {
    const said = out.toString('utf8')
    if (rc === 127) throw new ReadError(`${program} is not installed`)
    // A chain that an earlier task will make is not there yet.
    const noChain = /does not exist|No chain\/target\/match|incompatible, use 'nft' tool/.test(said)
    if (rc !== 0 && !noChain && !(isRule && rc === 1))
      throw new ReadError(said.trim().split('\n')[0] ?? `${program} fails`)
    if (isRule) return { there: rc === 0 }
    const policy = /^-P \S+ (\S+)/m.exec(said)?.[1]
    return { there: a.flush ? /^-A /m.test(said) : rc === 0, policy }
  })
}

function changesOf(a: Args, program: string, found: Found): Change[] {
  const where = `${a.chain === undefined ? 'all chains' : a.chain} (${program === 'iptables' ? '' : 'IPv6, '}${a.table})`
  const run = (argv: readonly string[], summary: string): Change[] => [change.run(argv, { summary, touches: TOUCHES })]
  const wanted = a.state === 'present'
  if (a.flush) return found.there ? run(call(a, program, '-F'), `remove all rules of ${where}`) : []
  if (a.policy !== undefined) {
    if (found.policy === a.policy) return []
    const diff = { kind: 'value' as const, from: found.policy, to: a.policy }
    return run(call(a, program, '-P', a.policy), `policy of ${where}: ${a.policy}`).map((one) => ({ ...one, diff }))
  }
  if (found.there === wanted) return []
  const rule = ruleWords(a, program)
  const shown = rule.map((word) => (/\s/.test(word) ? `"${word}"` : word)).join(' ')
  if (rule.length === 0)
    return run(call(a, program, wanted ? '-N' : '-X'), `${wanted ? 'create' : 'remove'} chain ${where}`)
  if (!wanted) {
    const [look, remove] = [call(a, program, '-C', ...rule), call(a, program, '-D', ...rule)].map(quoteAll)
    const script = `${remove} || exit; while ${look} 2>/dev/null; do ${remove} || exit; done`
    return [change.script(script, { summary: `remove the rule of ${where}: ${shown}`, touches: TOUCHES })]
  }
  const place = a.action === 'insert' && a.rule_num !== undefined ? [String(a.rule_num)] : []
  const argv = a.action === 'insert' ? call(a, program, '-I', ...place, ...rule) : call(a, program, '-A', ...rule)
  return run(argv, `${a.action === 'insert' ? 'insert' : 'add'} a rule to ${where}: ${shown}`)
}
