import { args, change, defineModule, map, read, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'SELinux: enforcing, permissive or disabled, now and at every boot',
  description:
    'Writes SELINUX and SELINUXTYPE into /etc/selinux/config and sets what the running kernel can be set to. To switch SELinux on ' +
    'or off takes a reboot: see `reboot_required`. What is to be disabled is permissive until then. (From RHEL 9 on a kernel ' +
    'that was not started with selinux=0 still loads it, without a policy.)',
  args: z
    .strictObject({
      state: z.enum(['enforcing', 'permissive', 'disabled']).describe('what the kernel does with a breach'),
      policy: z
        .string()
        .regex(/^[a-z][a-z0-9_-]*$/, 'must be the name of a policy such as targeted')
        .optional()
        .describe('the policy, mostly targeted; needed unless disabled'),
      configfile: args.path.default('/etc/selinux/config').describe('where it is kept for the next boot'),
    })
    .refine((a) => a.state === 'disabled' || a.policy !== undefined, '`policy` is needed unless the state is disabled'),
  examples: [
    { name: 'Log, but do not stop', yaml: 'selinux:\n  policy: targeted\n  state: permissive' },
    {
      name: 'Enforce, with the reboot that takes',
      yaml: 'selinux:\n  policy: targeted\n  state: enforcing\nregister: selinux',
    },
  ],
  returns: { reboot_required: 'whether SELinux as a whole has yet to go on or off', configfile: 'the file' },
  probe: ({ configfile }) => ({
    config: read.text(configfile),
    // 1 or 0 while it is on; the file system is not there while it is off
    live: map(read.script('cat /sys/fs/selinux/enforce 2>/dev/null', ['selinux']), ({ out }) =>
      out.toString('latin1').trim(),
    ),
  }),
  plan: (a, { config, live }) => {
    if (!config.exists) {
      if (a.state === 'disabled' && live === '') return []
      throw new TaskFailure(`${a.configfile} does not exist: this host has no SELinux`)
    }
    const wanted = { SELINUX: a.state, ...(a.policy === undefined ? {} : { SELINUXTYPE: a.policy }) }
    const changes = change.editText(a.configfile, config, edit(config.text, wanted), {})
    const enforce = a.state === 'enforcing' ? '1' : '0'
    if (live === '' || live === enforce) return changes
    const now = change.run(['setenforce', enforce], {
      summary: `setenforce ${enforce}`,
      diff: { kind: 'value', from: word(live), to: word(enforce) },
      touches: ['selinux', 'fact:*'],
    })
    return [...changes, now]
  },
  result: ({ state, configfile }, { live }) => ({
    reboot_required: (state === 'disabled') !== (live === ''),
    configfile,
  }),
})

const word = (enforce: string): string => (enforce === '1' ? 'enforcing' : 'permissive')

/** Sets `KEY=value` lines: libselinux takes the last of a key, and no blanks around `=`. */
function edit(text: string, wanted: Readonly<Record<string, string>>): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  for (const [key, value] of Object.entries(wanted)) {
    const at = lines.findLastIndex((line) => line.trimStart().startsWith(`${key}=`))
    const line = `${key}=${value}`
    if (at === -1) lines.push(line)
    else if (lines[at]!.trim() !== line) lines[at] = line
  }
  const after = `${lines.join('\n')}\n`
  return after === `${text}\n` ? text : after
}
