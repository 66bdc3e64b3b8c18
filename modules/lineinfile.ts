import { args, change, defineModule, isSwift, read, TaskFailure, withinTime, z } from '#module'

export default defineModule({
  summary: 'One line of a file: there, changed or gone',
  description:
    'With `regexp` the last line that matches is replaced (`firstmatch`: the first); without a match the line is added, ' +
    'unless it is there already. A task that would change the file again at every run fails, and says so. For whole files use template.',
  args: z
    .strictObject({
      ...args.editedPath,
      line: z
        .string()
        .regex(/^[^\n\0]*$/, 'must be one line; use blockinfile for several')
        .optional()
        .describe('the line, without its newline'),
      regexp: args.regexp
        .optional()
        .describe('which line to replace or, with state absent, which lines to remove (JavaScript syntax)'),
      search_string: z.string().min(1).optional().describe('the same with a text that the line contains'),
      state: z.enum(['present', 'absent']).default('present').describe('whether the line is to be there'),
      backrefs: args.boolean
        .default(false)
        .describe('`line` may hold \\1 or \\g<name> for groups of `regexp`; without a match nothing is done'),
      insertafter: z
        .union([z.literal('EOF'), args.regexp])
        .optional()
        .describe('a new line goes behind the last line that matches this; EOF, the default: at the end'),
      insertbefore: z
        .union([z.literal('BOF'), args.regexp])
        .optional()
        .describe('a new line goes before the last line that matches this; BOF: at the start'),
      firstmatch: args.boolean.default(false).describe('take the first match instead of the last'),
      create: args.boolean.default(false).describe('make the file when it is not there'),
      ...args.attributes,
      ...args.replacing,
    })
    .refine(
      (a) => a.regexp === undefined || a.search_string === undefined,
      'give `regexp` or `search_string`, not both',
    )
    .refine((a) => a.insertafter === undefined || a.insertbefore === undefined, 'give `insertafter` or `insertbefore`')
    .refine((a) => a.state === 'absent' || a.line !== undefined, 'state present needs `line`')
    .refine(
      (a) => a.state === 'present' || a.line !== undefined || a.regexp !== undefined || a.search_string !== undefined,
      'state absent needs `regexp`, `search_string` or `line`',
    )
    .refine((a) => !a.backrefs || a.regexp !== undefined, '`backrefs` needs `regexp`')
    .transform(args.onePath),
  returns: { backup_file: 'the old file, with `backup`' },
  examples: [
    {
      name: 'A setting of sshd',
      yaml: "lineinfile:\n  path: /etc/ssh/sshd_config\n  regexp: '^#?PermitRootLogin '\n  line: PermitRootLogin no\n  validate: sshd -t -f %s",
    },
    { name: 'Remove lines', yaml: "lineinfile:\n  path: /etc/fstab\n  regexp: '\\sswap\\s'\n  state: absent" },
  ],
  probe: ({ path }) => ({ file: read.text(path) }),
  plan: (a, { file }) => {
    if (!file.exists) {
      if (a.state === 'absent') return []
      if (!a.create) throw new TaskFailure(`${a.path} does not exist; create: true makes it`)
    }
    const twice = () => {
      const once = edit(a, file.text)
      return [once, edit(a, once)] as const
    }
    const patterns = [a.regexp, a.insertafter, a.insertbefore].filter((one) => one instanceof RegExp)
    const what = `the search for lines of ${a.path}`
    const [after, again] = patterns.every(isSwift) ? twice() : withinTime(what, twice)
    if (again !== after) {
      throw new TaskFailure(
        `the file would be changed again at the next run: the regexp must match the line that it makes, or one line alone`,
      )
    }
    return change.editText(a.path, file, after, a)
  },
  result: ({ backup }, _state, outputs) => {
    const file = outputs[0]?.stdout.toString('utf8').trim()
    return backup && file ? { backup_file: file } : {}
  },
})

interface Edit {
  readonly line?: string | undefined
  readonly regexp?: RegExp | undefined
  readonly search_string?: string | undefined
  readonly state: 'present' | 'absent'
  readonly backrefs: boolean
  readonly insertafter?: RegExp | 'EOF' | undefined
  readonly insertbefore?: RegExp | 'BOF' | undefined
  readonly firstmatch: boolean
}

/** What most programs pass over. */
const COMMENT = /^\s*[#;]/

/** The text after the edit. Lines keep their endings; one that is added gets those of the first line. */
function edit(a: Edit, text: string): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const bare = (i: number): string => lines[i]!.replace(/\r$/, '')
  const matching = (test: (line: string) => boolean): number[] => lines.flatMap((_, i) => (test(bare(i)) ? [i] : []))
  const pattern = a.search_string === undefined ? a.regexp : new RegExp(RegExp.escape(a.search_string))
  const same = (line: string): boolean => line === a.line

  if (a.state === 'absent') {
    const gone = new Set(matching((line) => pattern?.test(line) ?? same(line)))
    if (gone.size === 0) return text
    const kept = lines.filter((_, i) => !gone.has(i))
    return kept.length === 0 ? '' : restored(kept, text)
  }
  const line = a.line!
  const end = lines[0]?.endsWith('\r') ? '\r' : ''
  const there = !a.backrefs && lines.some((_, i) => same(bare(i)))
  // A line that its pattern does not find (regexp: ^#Port, line: Port 22) is found by itself: comments that still match are
  // left then. Anything else would count beside it.
  const done = there && pattern !== undefined && !pattern.test(line)
  const at = pattern && matching((l) => pattern.test(l) && !(done && COMMENT.test(l))).at(a.firstmatch ? 0 : -1)
  if (at !== undefined) {
    const wanted = a.backrefs ? expand(line, pattern!.exec(bare(at))!) : line
    if (bare(at) === wanted) return text
    lines[at] = wanted + (lines[at]!.endsWith('\r') ? '\r' : '')
    return restored(lines, text)
  }
  if (a.backrefs || there) return text
  lines.splice(position(a, matching), 0, line + end)
  return joined(lines)
}

const joined = (lines: readonly string[]): string => (lines.length === 0 ? '' : `${lines.join('\n')}\n`)
/** The text ends as before, except where its last line would be lost: an empty one needs its newline. */
const restored = (lines: readonly string[], before: string): string =>
  lines.join('\n') + (before.endsWith('\n') || lines.at(-1) === '' ? '\n' : '')

/** Where a new line goes. */
function position(a: Edit, matching: (test: (line: string) => boolean) => number[]): number {
  const pick = a.firstmatch ? 0 : -1
  if (a.insertbefore === 'BOF') return 0
  const { insertbefore, insertafter } = a
  const before = insertbefore && matching((l) => insertbefore.test(l)).at(pick)
  if (before !== undefined) return before
  const after = insertafter instanceof RegExp ? matching((l) => insertafter.test(l)).at(pick) : undefined
  return after === undefined ? Number.MAX_SAFE_INTEGER : after + 1
}

/** Puts groups of a match in the place of \1 and \g<name>. */
function expand(line: string, match: RegExpExecArray): string {
  return line.replace(/\\(?:(\d)|g<(\w+)>)/g, (_, number, name) =>
    name === undefined || /^\d+$/.test(name) ? (match[Number(number ?? name)] ?? '') : (match.groups?.[name] ?? ''),
  )
}
