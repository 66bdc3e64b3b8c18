import { args, type Change, change, defineModule, map, quote, read, z } from '#module'

const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?'

export default defineModule({
  summary: 'The name of the host, now and after every boot',
  description:
    'Sets the kernel’s name and /etc/hostname. Where cloud-init is installed, it is told to leave the name alone, which it ' +
    'would otherwise set back at the next boot.',
  freeForm: 'name',
  args: z.strictObject({
    name: z
      .string()
      // hostname(7): 64 characters, in labels of at most 63
      .regex(
        new RegExp(`^(?=.{1,64}$)${LABEL}(\\.${LABEL})*$`),
        'must be a host name: letters, digits and `-`, at most 64',
      )
      .describe('the name; Kubernetes wants it in lower case'),
    hosts: z
      .union([args.boolean, z.union([z.ipv4(), z.ipv6()])])
      .default(false)
      .describe('an address to give the name in /etc/hosts, so that it resolves without DNS; true: 127.0.1.1'),
  }),
  examples: [
    { name: 'As in the inventory', yaml: 'hostname:\n  name: "{{ inventory_hostname }}"' },
    { name: 'With its address', yaml: 'hostname:\n  name: node1.example.org\n  hosts: 10.0.0.11' },
  ],
  returns: { name: 'the name' },
  probe: ({ hosts }) => ({
    live: map(read.script('cat /proc/sys/kernel/hostname', ['hostname']), ({ out }) => out.toString('utf8').trim()),
    saved: read.text('/etc/hostname'),
    hosts: hosts === false ? undefined : read.text('/etc/hosts'),
    cloud: read.stat('/etc/cloud/cloud.cfg.d'),
    preserve: read.file(CLOUD),
  }),
  plan: ({ name, hosts: wanted }, { live, saved, hosts, cloud, preserve }) => {
    const changes: Change[] = []
    const first = saved.text.split('\n').find((line) => line.trim() !== '' && !line.startsWith('#'))
    if (first?.trim() !== name) changes.push(...change.editText('/etc/hostname', saved, `${name}\n`, { mode: '0644' }))
    if (cloud) changes.push(...change.put('preserve_hostname: true\n', preserve, { mode: '0644' }))
    if (hosts) {
      const address = wanted === true ? '127.0.1.1' : String(wanted)
      const after = editHosts(hosts.text, address, name, live)
      if (after !== hosts.text)
        changes.push(...change.editText('/etc/hosts', hosts, after, hosts.exists ? {} : { mode: '0644' }))
    }
    if (live !== name) {
      changes.push({
        summary: `set the host name to ${name}`,
        diff: { kind: 'value', from: live, to: name },
        touches: ['hostname', 'fact:*'],
        script: `printf '%s\\n' ${quote(name)} > /proc/sys/kernel/hostname`,
      })
    }
    return changes
  },
  result: ({ name }) => ({ name }),
})

const CLOUD = '/etc/cloud/cloud.cfg.d/99-runbook-hostname.cfg'

/**
 * The address gets the full name first, which is what `hostname -f` gives, then the short one, then what else it had but
 * the name of before. hosts(5).
 */
export function editHosts(text: string, address: string, name: string, before: string): string {
  const short = name.replace(/\..*$/, '')
  const names = [...new Set([name, short])]
  const stale = [before, before.replace(/\..*$/, '')]
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const at = lines.findIndex((line) => fields(line)[0] === address)
  const others = at === -1 ? [] : fields(lines[at]!).slice(1)
  const kept = others.filter((n) => !names.includes(n) && !stale.includes(n))
  if (at !== -1 && [...names, ...kept].join(' ') === others.join(' ')) return text
  const line = `${address}\t${[...names, ...kept].join(' ')}`
  const after = at === -1 ? [...lines, line] : lines.with(at, line)
  return `${after.join('\n')}\n`
}

const fields = (line: string): string[] => line.replace(/#.*$/, '').trim().split(/\s+/).filter(Boolean)
