import { args, change, defineModule, map, read, TaskFailure, z } from '#module'

const value = z
  .union([z.string(), z.int(), z.boolean()])
  .transform((v) => (typeof v === 'boolean' ? (v ? '1' : '0') : String(v)))

export default defineModule({
  summary: 'Kernel parameters, now and at every boot',
  description:
    'Writes the parameters into a file of sysctl.d(5) and into the running kernel, and reads them back from /proc/sys. ' +
    'Other lines of the file stay as they are.',
  args: z
    .strictObject({
      values: z.record(z.string(), value).optional().describe('parameters and their values'),
      at_least: z
        .record(z.string(), z.int())
        .optional()
        .describe('parameters that are raised to a number, and left alone where they are that or more'),
      name: z.string().optional().describe('one parameter, with `value` (Ansible’s form)'),
      value: value.optional().describe('the value of `name`'),
      file: args.path.default('/etc/sysctl.d/90-runbook.conf').describe('where they are kept for the next boot'),
      sysctl_file: args.path.optional().describe('the same as `file` (Ansible’s name)'),
      state: z
        .enum(['present', 'absent'])
        .default('present')
        .describe('absent takes them out of the file; the kernel keeps its value'),
    })
    .refine((a) => a.values === undefined || a.name === undefined, 'give either `values`, or `name` and `value`')
    .refine((a) => a.values ?? a.name ?? a.at_least, 'say which: `values`, `at_least`, or `name` and `value`')
    .refine((a) => a.name === undefined || a.state === 'absent' || a.value !== undefined, '`name` needs a `value`')
    .transform(({ name, value: single, values, sysctl_file, ...a }) => ({
      ...a,
      file: sysctl_file ?? a.file,
      values: values ?? (name === undefined ? {} : { [name]: single ?? '' }),
      at_least: a.at_least ?? {},
    })),
  examples: [
    {
      name: 'Let Kubernetes route',
      yaml: 'sysctl:\n  values:\n    net.ipv4.ip_forward: 1\n    net.bridge.bridge-nf-call-iptables: 1\n  file: /etc/sysctl.d/99-kubernetes.conf',
    },
  ],
  probe: ({ values, at_least, file }) => ({
    live: read.sysctl([...Object.keys(values), ...Object.keys(at_least)]),
    saved: map(read.text(file), ({ text }) => text),
  }),
  plan: ({ values, at_least, file, state }, { live, saved }) => {
    const wanted = [
      ...Object.entries(values).map(([key, v]) => [key, v.replace(/\s+/g, ' ').trim()] as const),
      ...Object.entries(at_least).map(
        ([key, v]) => [key, String(Math.max(v, number(live[key]), inFile(saved, key)))] as const,
      ),
    ]
    const after = editFile(saved, wanted, state === 'present')
    const expect = saved === '' ? undefined : change.sha256Of(saved)
    const save =
      after === saved
        ? []
        : [change.write(file, after, { expect, diff: { kind: 'text', path: file, before: saved, after } })]
    if (state === 'absent') return save
    const missing = wanted.filter(([key]) => live[key] === undefined).map(([key]) => key)
    if (missing.length > 0) {
      throw new TaskFailure(
        `the kernel has no parameter ${missing.join(', ')}: load the module it belongs to first ` +
          '(net.bridge.* needs br_netfilter, net.netfilter.* needs nf_conntrack), or mend the name',
      )
    }
    const set = wanted
      .filter(([key, v]) => (key in at_least ? number(live[key]) < at_least[key]! : live[key] !== v))
      .map(([key, v]) =>
        change.run(['sysctl', '-q', '-w', `${key}=${v}`], {
          summary: `set ${key} = ${v}`,
          diff: { kind: 'value', from: live[key], to: v },
          // Some parameters set others: ip_forward resets the per-interface values (ip-sysctl.rst).
          touches: ['sysctl:*'],
        }),
      )
    return [...save, ...set]
  },
})

const number = (value: string | undefined): number => (value !== undefined && /^\d+$/.test(value) ? Number(value) : 0)

/** The number that a file has for a key: one that is larger than what is asked for is left there. */
function inFile(text: string, key: string): number {
  const line = text.split('\n').findLast((one) => lineKey(one) === canonical(key))
  return line === undefined ? 0 : number(lineValue(line))
}

/** Sets or takes out lines `key = value`; keeps comments and order, changes the last line of a key, drops repetitions. */
function editFile(text: string, wanted: readonly (readonly [string, string])[], present: boolean): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  for (const [key, v] of wanted) {
    const mine = lines.flatMap((line, i) => (lineKey(line) === canonical(key) ? [i] : []))
    const last = mine.at(-1)
    const line = `${key} = ${v}`
    if (present && last === undefined) lines.push(line)
    if (present && last !== undefined && lineValue(lines[last]!) !== v) lines[last] = line
    const drop = new Set(present ? mine.slice(0, -1) : mine)
    if (drop.size > 0) lines.splice(0, lines.length, ...lines.filter((_, i) => !drop.has(i)))
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

const canonical = (key: string): string => read.sysctlPath(key)

function lineKey(line: string): string | undefined {
  const m = /^\s*-?\s*([^#;=\s][^=]*?)\s*=/.exec(line)
  return m ? canonical(m[1]!) : undefined
}

const lineValue = (line: string): string =>
  line
    .slice(line.indexOf('=') + 1)
    .trim()
    .replace(/\s+/g, ' ')
