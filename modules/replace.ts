import { args, change, defineModule, read, TaskFailure, withinTime, z } from '#module'

export default defineModule({
  summary: 'Replace what matches in a file, wherever it stands',
  description:
    'Every match of `regexp` in the whole text: `^` and `$` are the ends of lines, and a match may go over lines. A task that ' +
    'would change the file again at every run fails, and says so. For one line use lineinfile.',
  args: z
    .strictObject({
      ...args.editedPath,
      regexp: args.regexp.describe('what to replace (JavaScript syntax)'),
      replace: z.string().default('').describe('what to put there; may hold \\1 or \\g<name> for groups of `regexp`'),
      ...args.attributes,
      ...args.replacing,
    })
    .transform(args.onePath),
  returns: { backup_file: 'the old file, with `backup`' },
  examples: [
    {
      name: 'No swap at the next boot',
      yaml: "replace:\n  path: /etc/fstab\n  regexp: '^([^#\\s]\\S*\\s+\\S+\\s+swap\\s.*)$'\n  replace: '# \\1'",
    },
  ],
  probe: ({ path }) => ({ file: read.text(path) }),
  plan: (a, { file }) => {
    if (!file.exists) throw new TaskFailure(`${a.path} does not exist`)
    const [after, again] = withinTime(`the search for matches in ${a.path}`, () => {
      const once = edit(a, file.text)
      return [once, edit(a, once)]
    })
    if (again !== after)
      throw new TaskFailure('what was replaced would be replaced again at the next run: the regexp must not match it')
    return change.editText(a.path, file, after, a)
  },
  result: ({ backup }, _state, outputs) => {
    const file = outputs[0]?.stdout.toString('utf8').trim()
    return backup && file ? { backup_file: file } : {}
  },
})

function edit({ regexp, replace }: { regexp: RegExp; replace: string }, text: string): string {
  const flags = [...new Set(`${regexp.flags}gm`)].join('')
  return text.replace(new RegExp(regexp.source, flags), (...found) => {
    const named = typeof found.at(-1) === 'object' ? (found.at(-1) as Record<string, string | undefined>) : {}
    return replace.replace(/\\g<(\w+)>|\\(\d)|\\n/g, (all, name: string | undefined, digit: string | undefined) => {
      if (all === '\\n') return '\n'
      const group = name ?? digit!
      return (/^\d+$/.test(group) ? (found[Number(group)] as string | undefined) : named[group]) ?? ''
    })
  })
}
