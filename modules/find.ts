import { args, defineModule, fileResult, read, z } from '#module'

/** Letters of find(1). */
const TYPES = { file: 'f', directory: 'd', link: 'l' } as const
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }
const BYTES: Readonly<Record<string, number>> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

export default defineModule({
  summary: 'Files of the host that match a pattern, an age or a size',
  description:
    'Changes nothing and runs in check mode too. Links are not followed. Paths that hold a line break are left out.',
  readOnly: true,
  args: z
    .strictObject({
      paths: args.list(args.path).describe('folders to look in'),
      patterns: args.list(z.string().min(1)).default([]).describe('names, with * ? [ ] as in sh; any of them'),
      use_regex: args.boolean
        .default(false)
        .describe('`patterns` and `excludes` are regular expressions (JavaScript), found somewhere in the name'),
      excludes: args.list(z.string().min(1)).default([]).describe('names to leave out'),
      file_type: z.enum(['file', 'directory', 'link', 'any']).default('file').describe('what to look for'),
      recurse: args.boolean.default(false).describe('all below, not only what is in the folders themselves'),
      depth: z.int().min(1).optional().describe('with `recurse`: how deep'),
      hidden: args.boolean.default(false).describe('names that begin with a dot too'),
      age: z
        .string()
        .regex(/^-?\d+[smhdw]?$/, 'must be as in 2d or -90m')
        .optional()
        .describe('changed longer ago than this; with a minus, less long ago; s, m, h, d, w'),
      size: z
        .string()
        .regex(/^-?\d+[bkmgt]?$/, 'must be as in 10m or -4k')
        .optional()
        .describe('at least this large; with a minus, at most; b, k, m, g, t'),
    })
    .transform((given, ctx) => {
      const { use_regex, patterns, excludes } = given
      const regexes = (name: string, some: readonly string[]): RegExp[] =>
        some.flatMap((one) => {
          const read = args.regexp.safeParse(one)
          if (!read.success)
            for (const { message } of read.error.issues)
              ctx.addIssue({ code: 'custom', message, input: one, path: [name] })
          return read.data ?? []
        })
      if (!use_regex) return { ...given, wanted: [], unwanted: [] }
      return { ...given, wanted: regexes('patterns', patterns), unwanted: regexes('excludes', excludes) }
    }),
  returns: {
    files: 'sorted by path, each with what `stat` says of a file',
    matched: 'how many',
  },
  examples: [
    {
      name: 'Old logs',
      yaml: "find:\n  paths: /var/log\n  patterns: ['*.gz', '*.1']\n  age: 4w\n  recurse: true\nregister: old",
    },
  ],
  probe: ({ paths, file_type, recurse, depth, hidden, use_regex, ...given }) => {
    const { patterns, excludes } = use_regex ? { patterns: [], excludes: [] } : given
    const names = patterns.flatMap((p, i) => [...(i > 0 ? ['-o'] : []), '-name', p])
    const tests = [
      ...(file_type === 'any' ? [] : ['-type', TYPES[file_type]]),
      ...(names.length > 0 ? ['(', ...names, ')'] : []),
      ...excludes.flatMap((p) => ['!', '-name', p]),
      ...(hidden ? [] : ['!', '-name', '.*']),
    ]
    return {
      found: read.find({ paths, tests, depth: recurse ? depth : 1 }),
      now: read.script('date +%s', ['clock']),
    }
  },
  plan: () => [],
  result: ({ age, size, wanted, unwanted }, { found, now }) => {
    const seconds = Number(now.out.toString('latin1'))
    const files = found
      .filter(({ path }) => {
        const name = path.slice(path.lastIndexOf('/') + 1)
        const matches = (one: RegExp): boolean => one.test(name)
        return (wanted.length === 0 || wanted.some(matches)) && !unwanted.some(matches)
      })
      .filter((f) => age === undefined || beyond(age, UNITS, 's', seconds - f.mtime))
      .filter((f) => size === undefined || beyond(size, BYTES, 'b', f.size))
      .map(({ path, ...stat }) => fileResult(path, stat))
      .sort((a, b) => (a.path < b.path ? -1 : 1))
    return { files, matched: files.length }
  },
})

/** At least the limit, or at most where it has a minus. */
function beyond(limit: string, units: Readonly<Record<string, number>>, base: string, value: number): boolean {
  const [, minus, number, unit = base] = /^(-?)(\d+)([a-z]?)$/.exec(limit)!
  const bound = Number(number) * units[unit || base]!
  return minus ? value <= bound : value >= bound
}
