import { args, type Change, change, defineModule, quote, read, TaskFailure, z } from '#module'

const field = z
  .union([z.int().nonnegative(), z.string().regex(/^[\w*,/~-]+$/, 'must be as in crontab(5), such as */5 or 1-5')])
  .transform(String)
  .default('*')
const oneLine = z.string().regex(/^[^\n\0]+$/, 'must be one line')

export default defineModule({
  summary: 'A job or a variable of a crontab',
  description:
    'A job is found again by its name, which stands in a comment above it; comments that Ansible wrote count too. A ' +
    'percent sign in a job means a new line to cron: write \\%.',
  args: z
    .strictObject({
      name: oneLine.describe('the job’s name, or with `env` the variable’s'),
      job: oneLine.optional().describe('the command'),
      state: z.enum(['present', 'absent']).default('present').describe('whether it is to be there'),
      minute: field.describe('0-59, *, */5 …'),
      hour: field.describe('0-23'),
      day: field.describe('day of the month, 1-31'),
      month: field.describe('1-12'),
      weekday: field.describe('0-7 or names; 0 and 7 are Sunday'),
      special_time: z
        .enum(['reboot', 'yearly', 'annually', 'monthly', 'weekly', 'daily', 'hourly'])
        .optional()
        .describe('instead of the five fields'),
      user: args.principal.optional().describe('whose crontab, or as whom a job of `cron_file` runs (default root)'),
      cron_file: z
        .string()
        .regex(
          /^(\/.*\/)?[A-Za-z0-9_-]+$/,
          'must be a name or absolute path of letters, digits, - and _: cron leaves other files out',
        )
        .optional()
        .describe('a file of /etc/cron.d instead of a user’s crontab'),
      disabled: args.boolean.default(false).describe('keep the job, but as a comment'),
      env: args.boolean.default(false).describe('`name` is a variable for the jobs, `value` its value'),
      value: z
        .string()
        .regex(/^[^\n\0"]*$/, 'may not hold a line break or a double quote')
        .optional()
        .describe('the variable’s value'),
      backup: args.boolean.default(false).describe('keep the old `cron_file`'),
    })
    .refine((a) => a.state === 'absent' || a.env || a.job !== undefined, 'state present needs `job`')
    .refine((a) => a.state === 'absent' || !a.env || a.value !== undefined, 'a variable needs `value`')
    .refine(
      (a) => a.special_time === undefined || [a.minute, a.hour, a.day, a.month, a.weekday].every((f) => f === '*'),
      '`special_time` stands instead of minute, hour, day, month and weekday',
    )
    .refine((a) => !a.env || /^[A-Za-z_]\w*$/.test(a.name), 'the name of a variable holds letters, digits and _')
    .transform((a) => ({
      ...a,
      cron_file: a.cron_file === undefined || a.cron_file.startsWith('/') ? a.cron_file : `/etc/cron.d/${a.cron_file}`,
    })),
  returns: { jobs: 'names of the jobs that the crontab has now' },
  examples: [
    {
      name: 'Trim the disks on Sundays',
      yaml: 'cron:\n  name: trim\n  job: /sbin/fstrim -A\n  minute: 30\n  hour: 4\n  weekday: 0\n  cron_file: trim',
    },
    { name: 'No more', yaml: 'cron:\n  name: trim\n  state: absent\n  user: backup' },
  ],
  probe: ({ cron_file, user }) => ({
    file: cron_file === undefined ? undefined : read.text(cron_file),
    own:
      cron_file === undefined
        ? read.script(`LC_ALL=C crontab -l${forUser(user)} 2>&1`, [`crontab:${user ?? ''}`, `user:${user ?? ''}`])
        : undefined,
  }),
  plan: (a, { file, own }) => {
    const before = file?.text ?? crontab(own!)
    const after = edit(a, before)
    if (file) return after === '' ? remove(a.cron_file!, file.exists) : change.editText(a.cron_file!, file, after, a)
    if (after === before) return []
    const path = a.user === undefined ? 'crontab' : `crontab of ${a.user}`
    return [
      {
        summary: `write ${path}`,
        diff: { kind: 'text', path, before, after },
        touches: [`crontab:${a.user ?? ''}`],
        script: `printf %s ${quote(after)} | crontab${forUser(a.user)} -`,
      },
    ]
  },
  result: (_a, { file, own }) => ({
    jobs: (file?.text ?? crontab(own!)).split('\n').flatMap((line) => MARKER.exec(line)?.[1] ?? []),
  }),
})

const MARKER = /^#(?:runbook|Ansible): (.*)$/

const forUser = (user: string | undefined): string => (user === undefined ? '' : ` -u ${quote(user)}`)

/** The text of a crontab. Anything else than "there is none" must not be taken for an empty one: it would be lost. */
function crontab({ out, rc }: { out: Buffer; rc: number }): string {
  const text = out.toString('utf8')
  if (rc === 0) return text
  // 127: no crontab program yet; an earlier task may be about to install it.
  if (rc === 127 || /no crontab for|can't open '/.test(text)) return ''
  throw new TaskFailure(`the crontab cannot be read: ${text.trim()}`)
}

function remove(path: string, exists: boolean): Change[] {
  return exists ? [{ summary: `remove ${path}`, touches: [`file:${path}`], script: `rm -f -- ${quote(path)}` }] : []
}

interface Job {
  readonly name: string
  readonly job?: string | undefined
  readonly state: 'present' | 'absent'
  readonly minute: string
  readonly hour: string
  readonly day: string
  readonly month: string
  readonly weekday: string
  readonly special_time?: string | undefined
  readonly user?: string | undefined
  readonly cron_file?: string | undefined
  readonly disabled: boolean
  readonly env: boolean
  readonly value?: string | undefined
}

function edit(a: Job, text: string): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const present = a.state === 'present'
  const at = a.env
    ? lines.findIndex((line) => new RegExp(`^\\s*${a.name}\\s*=`).test(line))
    : lines.findIndex((line) => MARKER.exec(line)?.[1] === a.name)
  const wanted = a.env ? [`${a.name}="${a.value}"`] : [`#runbook: ${a.name}`, jobLine(a)]
  if (at === -1) {
    if (!present) return text
    // A variable holds for the jobs below it.
    if (a.env) lines.unshift(...wanted)
    else lines.push(...wanted)
  } else {
    const own = a.env || at + 1 === lines.length || MARKER.test(lines[at + 1]!) ? 1 : 2
    if (present && lines[at + own - 1] === wanted.at(-1)) return text
    lines.splice(at, own, ...(present ? wanted : []))
  }
  return lines.every((line) => line.trim() === '') ? '' : `${lines.join('\n')}\n`
}

function jobLine(a: Job): string {
  const when = a.special_time ? `@${a.special_time}` : [a.minute, a.hour, a.day, a.month, a.weekday].join(' ')
  const user = a.cron_file === undefined ? '' : ` ${a.user ?? 'root'}`
  return `${a.disabled ? '#' : ''}${when}${user} ${a.job}`
}
