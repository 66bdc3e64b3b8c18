import { args, change, defineModule, read, TaskFailure, withinTime, z } from '#module'

const DEFAULT_MARKER = '# {mark} RUNBOOK MANAGED BLOCK'
/** The default of Ansible: a block that it wrote is taken over. */
const ANSIBLE_MARKER = '# {mark} ANSIBLE MANAGED BLOCK'

export default defineModule({
  summary: 'A block of lines in a file, between two marker lines',
  description:
    'Two blocks in one file need a `marker` each: with the same one, the second task replaces the first’s block.',
  args: z
    .strictObject({
      ...args.editedPath,
      block: z.string().default('').describe('the lines; empty removes the block'),
      state: z.enum(['present', 'absent']).default('present').describe('whether the block is to be there'),
      marker: z
        .string()
        .regex(/^[^\n\0]*\{mark\}[^\n\0]*$/, 'must be one line that holds {mark}')
        .default(DEFAULT_MARKER)
        .describe('the marker lines; {mark} becomes BEGIN and END'),
      marker_begin: z.string().min(1).default('BEGIN').describe('what {mark} becomes in the first line'),
      marker_end: z.string().min(1).default('END').describe('what {mark} becomes in the last line'),
      insertafter: z
        .union([z.literal('EOF'), args.regexp])
        .optional()
        .describe('a new block goes behind the last line that matches; default EOF'),
      insertbefore: z
        .union([z.literal('BOF'), args.regexp])
        .optional()
        .describe('a new block goes before the last line that matches; BOF: at the start'),
      create: args.boolean.default(false).describe('make the file when it is not there'),
      ...args.attributes,
      ...args.replacing,
    })
    .refine((a) => a.marker_begin !== a.marker_end, '`marker_begin` and `marker_end` must differ')
    .refine((a) => a.insertafter === undefined || a.insertbefore === undefined, 'give `insertafter` or `insertbefore`')
    .transform(args.onePath),
  returns: { backup_file: 'the old file, with `backup`' },
  examples: [
    {
      name: 'Names of the nodes',
      yaml: 'blockinfile:\n  path: /etc/hosts\n  marker: "# {mark} cluster nodes"\n  block: |\n    10.0.0.11 cp1\n    10.0.0.12 cp2',
    },
  ],
  probe: ({ path }) => ({ file: read.text(path) }),
  plan: (a, { file }) => {
    const gone = a.state === 'absent' || a.block === ''
    if (!file.exists) {
      if (gone) return []
      if (!a.create) throw new TaskFailure(`${a.path} does not exist; create: true makes it`)
    }
    return change.editText(
      a.path,
      file,
      withinTime(`the search for lines of ${a.path}`, () => edit(a, file.text, gone)),
      a,
    )
  },
  result: ({ backup }, _state, outputs) => {
    const file = outputs[0]?.stdout.toString('utf8').trim()
    return backup && file ? { backup_file: file } : {}
  },
})

interface Edit {
  readonly path: string
  readonly block: string
  readonly marker: string
  readonly marker_begin: string
  readonly marker_end: string
  readonly insertafter?: RegExp | 'EOF' | undefined
  readonly insertbefore?: RegExp | 'BOF' | undefined
}

function edit(a: Edit, text: string, gone: boolean): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  // As lineinfile does it, what is added ends like the first line of the file.
  const ending = lines[0]?.endsWith('\r') ? '\r' : ''
  const own = find(lines, a.marker, a)
  const [begin, end] = own ?? (a.marker === DEFAULT_MARKER ? find(lines, ANSIBLE_MARKER, a) : undefined) ?? []
  if (begin !== undefined && end !== undefined) lines.splice(begin, end - begin + 1)
  if (gone) return begin === undefined ? text : joined(lines)
  const block = [
    mark(a.marker, a.marker_begin),
    ...a.block.replace(/\n$/, '').split('\n'),
    mark(a.marker, a.marker_end),
  ]
  lines.splice(begin ?? position(a, lines), 0, ...block.map((line) => line.replace(/\r$/, '') + ending))
  return joined(lines)
}

const mark = (marker: string, word: string): string => marker.replaceAll('{mark}', word)
const joined = (lines: readonly string[]): string => (lines.length === 0 ? '' : `${lines.join('\n')}\n`)

/** Where the block stands. One marker without the other means that someone edited it: guessing would lose lines. */
function find(lines: readonly string[], marker: string, a: Edit): [number, number] | undefined {
  const bare = lines.map((line) => line.replace(/\r$/, ''))
  const begin = bare.indexOf(mark(marker, a.marker_begin))
  const end = bare.indexOf(mark(marker, a.marker_end), begin + 1)
  if (begin === -1 && end === -1) return undefined
  if (begin === -1 || end === -1) {
    const missing = mark(marker, begin === -1 ? a.marker_begin : a.marker_end)
    throw new TaskFailure(`${a.path} has only one of the two marker lines; "${missing}" is missing or out of order`)
  }
  return [begin, end]
}

function position({ insertafter, insertbefore }: Edit, lines: readonly string[]): number {
  if (insertbefore === 'BOF') return 0
  const last = (pattern: RegExp): number => lines.findLastIndex((line) => pattern.test(line.replace(/\r$/, '')))
  const before = insertbefore ? last(insertbefore) : -1
  if (before !== -1) return before
  const after = insertafter instanceof RegExp ? last(insertafter) : -1
  return after === -1 ? lines.length : after + 1
}
