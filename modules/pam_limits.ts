import { args, change, defineModule, read, z } from '#module'

/** limits.conf(5). */
const ITEMS = [
  ...['core', 'data', 'fsize', 'memlock', 'nofile', 'rss', 'stack', 'cpu', 'nproc', 'as', 'maxlogins', 'maxsyslogins'],
  ...['priority', 'locks', 'sigpending', 'msgqueue', 'nice', 'rtprio', 'chroot'],
] as const
const UNLIMITED = /^(unlimited|infinity|-1)$/

export default defineModule({
  summary: 'Limits of users: one line of limits.conf',
  description:
    'pam_limits(8) gives them to logins from then on. Services have limits of their own in their units (LimitNOFILE and its ' +
    'like): systemd_unit. Other lines stay as they are, and so does the comment beside the line.',
  args: z
    .strictObject({
      domain: z
        .string()
        .regex(/^[^\s#]+$/, 'may hold no blanks')
        .describe('whom it is for: a user, `@group`, `*`, or ids such as `1000:`'),
      limit_type: z.enum(['soft', 'hard', '-']).describe('`-`: both'),
      limit_item: z.enum(ITEMS).describe('what is limited'),
      value: z
        .union([z.int(), z.string().regex(/^(unlimited|infinity|-?\d+)$/, 'must be a whole number or unlimited')])
        .transform(String)
        .describe('the limit: a whole number, or `unlimited`'),
      use_max: args.boolean.default(false).describe('a higher limit that is there stays'),
      use_min: args.boolean.default(false).describe('a lower limit that is there stays'),
      comment: z
        .string()
        .regex(/^[^\r\n\0]*$/, 'must be one line')
        .default('')
        .describe('beside the line'),
      dest: args.path
        .default('/etc/security/limits.conf')
        .describe('the file; those in /etc/security/limits.d must end in .conf'),
      backup: args.replacing.backup,
    })
    .refine((a) => !(a.use_max && a.use_min), '`use_max` and `use_min` contradict each other')
    .refine((a) => {
      const number = Number(a.value)
      return /^(nice|priority)$/.test(a.limit_item)
        ? number >= -20 && number <= 19
        : UNLIMITED.test(a.value) || number >= 0
    }, 'nice and priority go from -20 to 19; other limits are unlimited or not negative'),
  examples: [
    {
      name: 'Open files',
      yaml: "pam_limits:\n  domain: '*'\n  limit_type: '-'\n  limit_item: nofile\n  value: 1048576\n  dest: /etc/security/limits.d/90-k8s.conf",
    },
    {
      name: 'At least so many processes',
      yaml: "pam_limits:\n  domain: '@ops'\n  limit_type: soft\n  limit_item: nproc\n  value: 4096\n  use_max: true",
    },
  ],
  returns: { backup_file: 'the old file, with `backup`' },
  probe: ({ dest }) => ({ file: read.text(dest) }),
  plan: (a, { file }) =>
    change.editText(a.dest, file, edit(a, file.text), { backup: a.backup, ...(file.exists ? {} : { mode: '0644' }) }),
  result: ({ backup }, _state, outputs) => {
    const file = outputs[0]?.stdout.toString('utf8').trim()
    return backup && file ? { backup_file: file } : {}
  },
})

interface Limit {
  readonly domain: string
  readonly limit_type: string
  readonly limit_item: string
  readonly value: string
  readonly use_max: boolean
  readonly use_min: boolean
  readonly comment: string
}

/** Every line of this limit gets the value; a new one goes to the end. */
function edit(a: Limit, text: string): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  let found = false
  const after = lines.map((line) => {
    const [, fields = '', note = ''] = /^([^#]*)(?:#(.*))?$/.exec(line) ?? []
    const [domain, type, item, value, ...more] = fields.trim().split(/\s+/)
    const isIt = domain === a.domain && type === a.limit_type && item === a.limit_item
    if (!isIt || value === undefined || more.length > 0) return line
    found = true
    const wanted = chosen(a, value)
    return wanted === value ? line : render(a, wanted, a.comment || note)
  })
  if (!found) after.push(render(a, a.value, a.comment))
  else if (after.every((line, i) => line === lines[i])) return text
  return after.map((line) => `${line}\n`).join('')
}

/** The limit of two that stays. */
function chosen({ value, limit_item, use_max, use_min }: Limit, current: string): string {
  if (!use_max && !use_min) return value
  const number = (one: string): number =>
    UNLIMITED.test(one) && !/^(nice|priority)$/.test(limit_item) ? Number.POSITIVE_INFINITY : Number(one)
  const [is, wanted] = [number(current), number(value)]
  const isBetter = use_max ? wanted > is : wanted < is
  return isBetter ? value : current
}

function render({ domain, limit_type, limit_item }: Limit, value: string, comment: string): string {
  return `${[domain, limit_type, limit_item, value].join('\t')}${comment ? `\t#${comment}` : ''}`
}
