import { args, type Change, change, defineModule, read, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Kernel modules, now and at every boot',
  description:
    'A module that is built into the kernel counts as loaded. What loads modules at boot is /etc/modules-load.d, parameters ' +
    'stand in /etc/modprobe.d; a parameter of a module that is loaded already takes effect when it is loaded next.',
  args: z
    .strictObject({
      name: args
        .list(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'must be the name of a kernel module'))
        .describe('module or list of modules'),
      state: z.enum(['present', 'absent']).default('present').describe('absent unloads it'),
      params: z
        .string()
        .regex(/^[^\n#]*$/, 'must be one line')
        .optional()
        .describe('parameters of the module, as modprobe takes them: `max_loop=64`'),
      persistent: args.boolean
        .default(true)
        .describe('load it at every boot; with absent, no longer. false leaves the files alone'),
      file: z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, 'must be a file name')
        .default('runbook')
        .describe('name of the files, without folder and ending'),
    })
    .refine(
      (a) => a.params === undefined || a.name.length === 1,
      '`params` are of one module: give each a task of its own',
    ),
  examples: [
    { name: 'What Kubernetes needs', yaml: 'modprobe:\n  name: [overlay, br_netfilter]\n  file: kubernetes' },
    { name: 'A watchdog', yaml: 'modprobe:\n  name: softdog\n  params: soft_margin=60' },
  ],
  returns: { built_in: 'those of the modules that are built into the kernel' },
  probe: ({ name, params, file, persistent }) => ({
    modules: read.kernelModules(name),
    kernel: read.kernel(),
    load: persistent ? read.text(loadPath(file)) : undefined,
    options: persistent && params !== undefined ? read.text(optionsPath(file)) : undefined,
  }),
  plan: (a, { modules, kernel, load, options }) => {
    const present = a.state === 'present'
    const state = a.name.map((name, i) => ({ name, ...modules[i]! }))
    const missing = state.filter((m) => present && !m.present && !m.available).map((m) => m.name)
    if (missing.length > 0) throw new TaskFailure(missingWords(missing, kernel))
    const changes: Change[] = []
    if (options) {
      const after = editLines(
        options.text,
        (line) => isOptionsOf(line, a.name[0]!),
        present && a.params ? [`options ${a.name[0]} ${a.params}`] : [],
      )
      changes.push(...edit(optionsPath(a.file), options, after))
    }
    if (load) {
      const names = new Set(a.name.map(canonical))
      const kept = load.text.split('\n').map((line) => canonical(line.trim()))
      const after = present
        ? editLines(
            load.text,
            () => false,
            a.name.filter((n) => !kept.includes(canonical(n))),
          )
        : editLines(load.text, (line) => names.has(canonical(line.trim())), [])
      changes.push(...edit(loadPath(a.file), load, after))
    }
    for (const m of state) {
      const touches = [`module:${canonical(m.name)}`, 'module:*', 'sysctl:*']
      if (present && !m.present) {
        const words = ['modprobe', '--', m.name, ...(a.params?.split(/\s+/).filter(Boolean) ?? [])]
        changes.push(change.run(words, { summary: `load ${m.name}`, touches }))
      }
      if (!present && m.present) {
        if (m.builtIn) throw new TaskFailure(`${m.name} is built into the kernel and cannot be unloaded`)
        changes.push(change.run(['modprobe', '-r', '--', m.name], { summary: `unload ${m.name}`, touches }))
      }
    }
    return changes
  },
  result: ({ name }, { modules }) => ({ built_in: name.filter((_, i) => modules[i]?.builtIn) }),
})

const loadPath = (file: string): string => `/etc/modules-load.d/${file}.conf`
const optionsPath = (file: string): string => `/etc/modprobe.d/${file}.conf`
const canonical = (name: string): string => name.replaceAll('-', '_')

function edit(path: string, before: Parameters<typeof change.editText>[1], after: string): Change[] {
  if (after === before.text) return []
  return change.editText(path, before, after, before.exists ? {} : { mode: '0644' })
}

/** The text without the lines that `drop` finds and with new lines at its end; a line that stays is not moved. */
function editLines(text: string, drop: (line: string) => boolean, add: readonly string[]): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const kept = lines.filter((line) => !drop(line) || add.includes(line))
  const after = [...kept, ...add.filter((line) => !kept.includes(line))]
  return after.length === 0 ? '' : `${after.join('\n')}\n`
}

const isOptionsOf = (line: string, name: string): boolean =>
  canonical(/^\s*options\s+(\S+)/.exec(line)?.[1] ?? '') === canonical(name)

function missingWords(names: readonly string[], { release, hasModules, redhat }: read.Kernel): string {
  const what = `the kernel ${release} has no module ${names.join(', ')}`
  if (!hasModules) {
    return `${what}, for /lib/modules/${release} does not exist: after an upgrade of the kernel, reboot first; in a container, load it on the machine`
  }
  if (redhat)
    return `${what}: mend the name, or install kernel-modules-extra for this kernel (dnf install kernel-modules-extra-${release})`
  return `${what}: mend the name, or install the package of the kernel that has it (Ubuntu: linux-modules-extra-${release})`
}
