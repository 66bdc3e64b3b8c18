import { args, type Change, change, defineModule, map, quote, ReadError, read, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Which of several programs a command means',
  description:
    'Works on the links of /etc/alternatives through update-alternatives(1): of dpkg, or of chkconfig on RPM hosts. On nodes it is ' +
    'mostly iptables, which must be the kind that other programs of the node use.',
  args: z.strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][^\s/\0]*$/, 'must be the name of a group, without slashes')
      .describe('the group: iptables, editor, …'),
    path: args.path.describe('the program that is meant'),
    link: args.path.optional().describe('the command that everybody calls; needed for a group that is not there yet'),
    priority: z.int().optional().describe('of a program that is added, default 50: auto takes the highest'),
    state: z
      .enum(['present', 'selected', 'auto', 'absent'])
      .default('selected')
      .describe(
        'selected: it is the one; present: it can be chosen; auto: it can, and the highest priority is the one',
      ),
  }),
  examples: [
    {
      name: 'The kind of iptables that an old network plugin needs',
      yaml: 'alternatives:\n  name: iptables\n  path: /usr/sbin/iptables-legacy',
    },
    {
      name: 'A program of our own',
      yaml: 'alternatives:\n  name: editor\n  path: /opt/vim/bin/vim\n  link: /usr/bin/editor\n  priority: 100\n  state: auto',
    },
  ],
  probe: ({ name }) => ({
    group: map(
      read.script(
        `command -v update-alternatives >/dev/null || exit 3; LC_ALL=C update-alternatives --display ${quote(name)} 2>/dev/null`,
        ['file:/etc/alternatives/*', 'package:*'],
      ),
      ({ out, rc }) => {
        if (rc === 3) throw new ReadError('this host has no update-alternatives')
        return rc === 0 ? parseGroup(out.toString('utf8')) : undefined
      },
    ),
  }),
  plan: ({ name, path, link, priority, state }, { group }) => {
    const known = group?.priorities.get(path)
    const make = (words: readonly (string | number)[], summary: string, from?: string, to?: string): Change =>
      change.run(['update-alternatives', ...words.map(String)], {
        summary,
        ...(to === undefined ? {} : { diff: { kind: 'value', from, to } }),
        touches: ['file:/etc/alternatives/*', `file:${link ?? group?.link ?? '/usr/bin/*'}`],
      })
    if (state === 'absent')
      return known === undefined
        ? []
        : [make(['--remove', name, path], `take ${path} out of the alternatives of ${name}`)]
    const changes: Change[] = []
    if (known === undefined || (priority !== undefined && priority !== known)) {
      const command = link ?? group?.link
      if (command === undefined) {
        throw new TaskFailure(
          `${path} is none of the alternatives of ${name}${group ? ` (${[...group.priorities.keys()].join(', ')})` : ''}: ` +
            '`link` says for which command it is to be one',
        )
      }
      const words = ['--install', command, name, path, priority ?? known ?? 50]
      changes.push(make(words, `make ${path} an alternative of ${name}`, known?.toString(), String(words.at(-1))))
    }
    if (state === 'selected' && group?.current !== path)
      changes.push(make(['--set', name, path], `${name} is ${path}`, group?.current, path))
    if (state === 'auto' && group && !group.isAuto)
      changes.push(make(['--auto', name], `${name} is chosen by priority`, 'manual', 'auto'))
    return changes
  },
})

interface Group {
  /** The command; chkconfig's program does not say it. */
  readonly link: string | undefined
  readonly isAuto: boolean
  readonly current: string | undefined
  readonly priorities: ReadonlyMap<string, number>
}

/** What `--display` prints: dpkg's `NAME - auto mode`, chkconfig's `NAME - status is auto.`, and lines that both have. */
function parseGroup(text: string): Group {
  const lines = [...text.matchAll(/^(\/.*) - (?:family \S+ )?priority (-?\d+)/gm)]
  return {
    link: /^ +link (?!currently|best)\S+ is (\/.*)$/m.exec(text)?.[1],
    isAuto: /^\S+ - (?:auto mode|status is auto)/m.test(text),
    current: /^ +link currently points to (\/.*)$/m.exec(text)?.[1],
    priorities: new Map(lines.map(([, path, priority]) => [path!, Number(priority)])),
  }
}
