import { args, change, defineModule, ini, read, TaskFailure, z } from '#module'

const oneLine = z.string().regex(/^[^\r\n\0]*$/, 'must be one line')
const value = z
  .union([oneLine, z.number()], {
    error: (issue) =>
      typeof issue.input === 'boolean'
        ? 'must be a quoted string: whether the program reads true, yes or 1 is for you to say'
        : undefined,
  })
  .transform((v) => String(v).trim())

export default defineModule({
  summary: 'One option of an INI file: set, or gone',
  description:
    'Changes the lines of one option and leaves all others as they are, comments too. A commented line of the option takes the ' +
    'value where no active one is there; other comments stay. A new option goes to the end of its section, a new section to the ' +
    'end of the file. For whole files use template; for repositories of dnf, yum_repository.',
  args: z
    .strictObject({
      ...args.editedPath,
      section: z
        .string()
        .regex(/^[^\r\n\0]*$/, 'must be one line')
        .optional()
        .describe('name without brackets; absent: before the first section'),
      section_has_values: z
        .array(z.strictObject({ option: oneLine.min(1), value: value.optional(), values: args.list(value).optional() }))
        .optional()
        .describe('which of several sections of this name: the one that has these options with these values'),
      option: z
        .string()
        .regex(/^[^\s=#;[][^=\r\n\0]*$/, 'must be the name of an option, without `=`')
        .transform((name) => name.trimEnd())
        .optional()
        .describe('which option; absent: the section itself'),
      value: value.optional().describe('its value'),
      values: args.list(value).optional().describe('several, for an option that stands there more than once'),
      state: z.enum(['present', 'absent']).default('present').describe('absent removes the option, or the section'),
      exclusive: args.boolean
        .default(true)
        .describe('the values are all that the option has; false adds or removes these and leaves others alone'),
      no_extra_spaces: args.boolean.default(false).describe('write `option=value` without blanks'),
      ignore_spaces: args.boolean.default(false).describe('a line that differs in blanks around `=` alone is right'),
      allow_no_value: args.boolean.default(false).describe('without a value the option stands alone on its line'),
      modify_inactive_option: args.boolean
        .default(true)
        .describe('put the value where the option is commented out; false leaves all comments'),
      create: args.boolean.default(true).describe('make the file when it is not there'),
      ...args.attributes,
      ...args.replacing,
    })
    .refine((a) => a.value === undefined || a.values === undefined, 'give `value` or `values`, not both')
    .refine(
      (a) => a.option !== undefined || (a.value === undefined && a.values === undefined),
      'a value needs its `option`',
    )
    .refine((a) => a.section || a.option !== undefined, 'give `section`, `option` or both')
    .refine((a) => a.section || a.section_has_values === undefined, '`section_has_values` needs `section`')
    .refine(
      (a) => a.state === 'absent' || a.option === undefined || a.allow_no_value || (a.value ?? a.values) !== undefined,
      'state present needs `value` or `values` (or `allow_no_value: true`)',
    )
    .refine(
      (a) => a.state === 'present' || a.option === undefined || a.exclusive || (a.value ?? a.values) !== undefined,
      'state absent with `exclusive: false` needs the values to remove',
    )
    .transform(args.onePath)
    .transform(({ value, values, section_has_values, ...a }) => ({
      ...a,
      section: a.section || undefined,
      values: [...new Set(values ?? (value === undefined ? [] : [value]))],
      has: (section_has_values ?? []).flatMap(({ option, value, values }) =>
        (values ?? [value ?? '']).map((one) => ({ option, value: one })),
      ),
    })),
  returns: { backup_file: 'the old file, with `backup`' },
  examples: [
    {
      name: 'A setting of NetworkManager',
      yaml: 'ini_file:\n  path: /etc/NetworkManager/conf.d/k8s.conf\n  section: keyfile\n  option: unmanaged-devices\n  value: interface-name:cali*;interface-name:tunl*',
    },
    {
      name: 'Several values of one option',
      yaml: 'ini_file:\n  path: /etc/systemd/timesyncd.conf\n  section: Time\n  option: NTP\n  values: [ntp1.example.org, ntp2.example.org]\n  no_extra_spaces: true',
    },
  ],
  probe: ({ path }) => ({ file: read.text(path) }),
  plan: (a, { file }) => {
    if (!file.exists) {
      if (a.state === 'absent') return []
      if (!a.create) throw new TaskFailure(`${a.path} does not exist; create: true makes it`)
    }
    return change.editText(a.path, file, edit(a, file.text), a)
  },
  result: ({ backup }, _state, outputs) => {
    const file = outputs[0]?.stdout.toString('utf8').trim()
    return backup && file ? { backup_file: file } : {}
  },
})

interface Edit {
  /** What a new line ends in, before its `\n`. */
  readonly end: string
  readonly section?: string | undefined
  readonly has: readonly { readonly option: string; readonly value: string }[]
  readonly option?: string | undefined
  readonly values: readonly string[]
  readonly state: 'present' | 'absent'
  readonly exclusive: boolean
  readonly no_extra_spaces: boolean
  readonly ignore_spaces: boolean
  readonly allow_no_value: boolean
  readonly modify_inactive_option: boolean
}

/** The text after the edit; the same text when all is as it should be. */
function edit(args: Omit<Edit, 'end'>, text: string): string {
  const parsed = ini.parseIni(text)
  const a = { ...args, end: parsed.end }
  const before = ini.formatIni(parsed)
  const mine = parsed.sections.filter((s) => s.name === a.section && hasValues(s, a.has))
  if (a.state === 'absent') {
    if (a.option === undefined) parsed.sections = parsed.sections.filter((s) => !mine.includes(s))
    else for (const section of mine) section.lines = without(a, a.option, section.lines)
  } else {
    let section = mine[0]
    if (!section) {
      const lines = a.has.map(({ option, value }) => render(a, option, value))
      section = { name: a.section, lines: [`[${a.section}]${a.end}`, ...lines] }
      parsed.sections.push(section)
    }
    if (a.option !== undefined) section.lines = withValues(a, a.option, section.lines)
  }
  const after = ini.formatIni(parsed)
  return after === before ? text : after
}

const hasValues = (section: ini.IniSection, wanted: Edit['has']): boolean =>
  wanted.every(({ option, value }) =>
    section.lines.some((line) => {
      const found = ini.optionLine(line, option)
      return found?.active && (found.value ?? '') === value
    }),
  )

function render({ no_extra_spaces, end }: Edit, option: string, value: string | undefined): string {
  if (value === undefined) return option + end
  return option + (no_extra_spaces ? '=' : ' = ') + value + end
}

function without({ exclusive, values }: Edit, option: string, lines: readonly string[]): string[] {
  return lines.filter((line) => {
    const found = ini.optionLine(line, option)
    return !found?.active || !(exclusive || values.includes(found.value ?? ''))
  })
}

/**
 * Lines that have a wanted value stay where they are; the values that are left go to other lines of the option, then to
 * commented ones, then behind the last setting of the section.
 */
function withValues(a: Edit, option: string, lines: readonly string[]): string[] {
  const left: (string | undefined)[] = a.values.length === 0 ? [undefined] : [...a.values]
  const out: (string | undefined)[] = [...lines]
  const taken = new Set<number>()
  const take = (test: (found: ini.OptionLine) => boolean, which: 'same' | 'next') => {
    for (const [i, line] of lines.entries()) {
      const found = taken.has(i) ? undefined : ini.optionLine(line, option)
      if (!found || !test(found)) continue
      const at = which === 'same' ? left.indexOf(found.value) : left.length > 0 ? 0 : -1
      if (at === -1) continue
      const [value] = left.splice(at, 1)
      taken.add(i)
      const isRight = a.ignore_spaces && found.active && found.value === value
      if (!isRight) out[i] = render(a, option, value)
    }
  }
  take(({ active }) => active, 'same')
  if (a.exclusive) {
    take(({ active }) => active, 'next')
    for (const [i, line] of lines.entries())
      if (!taken.has(i) && ini.optionLine(line, option)?.active) out[i] = undefined
  }
  if (a.modify_inactive_option) {
    take(({ active }) => !active, 'same')
    // A comment without `=` is a sentence that happens to begin so, or the option's name in a heading.
    if (a.exclusive) take(({ active, value }) => !active && value !== undefined, 'next')
  }
  const kept = out.filter((line) => line !== undefined)
  const last = kept.findLastIndex((line) => !ini.isIdle(line))
  kept.splice(last + 1, 0, ...left.map((value) => render(a, option, value)))
  return kept
}
