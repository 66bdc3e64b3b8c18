/**
 * The thirty tasks of the bench, once for runbook and once for Ansible: 5 folders, 8 files, 4 lines in files, a link,
 * modules-load, 5 sysctls in one file, 2 services, 3 read-only commands and a stat.
 */

interface Flavour {
  readonly name: 'runbook' | 'ansible'
  sysctl(name: string, value: string): Record<string, unknown>
}

const SYSCTLS: readonly (readonly [string, string])[] = [
  ['net.ipv4.ip_forward', '1'],
  ['net.ipv4.conf.all.rp_filter', '0'],
  ['net.ipv4.tcp_keepalive_time', '600'],
  ['net.ipv4.tcp_fin_timeout', '30'],
  ['net.ipv4.ip_local_port_range', '20000 60999'],
]

const FLAVOURS: Readonly<Record<Flavour['name'], Flavour>> = {
  runbook: {
    name: 'runbook',
    sysctl: (name, value) => ({ sysctl: { name, value, file: '/etc/sysctl.d/90-bench.conf' } }),
  },
  ansible: {
    name: 'ansible',
    sysctl: (name, value) => ({
      'ansible.posix.sysctl': {
        name,
        value,
        sysctl_set: true,
        reload: false,
        sysctl_file: '/etc/sysctl.d/90-bench.conf',
      },
    }),
  },
}

/** The play as JSON, which is YAML to both. `files` is the folder with conf1 … conf8. */
export function benchPlay(flavour: Flavour['name'], files: string): string {
  const { sysctl } = FLAVOURS[flavour]
  const read = { changed_when: false, check_mode: false }
  const numbers = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
  const tasks = [
    ...numbers(5).map((i) => ({
      name: `Folder ${i}`,
      file: { path: `/etc/bench/d${i}`, state: 'directory', mode: '0755' },
    })),
    ...numbers(8).map((i) => ({
      name: `File ${i}`,
      copy: { src: `${files}/conf${i}`, dest: `/etc/bench/d1/conf${i}`, mode: '0644', owner: 'root', group: 'root' },
    })),
    ...numbers(4).map((i) => ({
      name: `Line ${i}`,
      lineinfile: { path: '/etc/hosts', line: `10.99.0.${i} bench${i}`, regexp: `\\sbench${i}$` },
    })),
    { name: 'Link', file: { path: '/etc/bench/link', src: '/etc/bench/d1', state: 'link' } },
    // A file in both: the lab's kernel has no loadable modules, and Ansible's modprobe fails without /proc/modules.
    { name: 'Modules at boot', copy: { dest: '/etc/modules-load.d/bench.conf', content: 'overlay\n', mode: '0644' } },
    ...SYSCTLS.map(([name, value]) => ({ name: `Parameter ${name}`, ...sysctl(name, value) })),
    { name: 'Service ssh', service: { name: 'ssh', state: 'started', enabled: true } },
    { name: 'Service cron', service: { name: 'bench', state: 'started', enabled: true } },
    { name: 'Kernel', command: 'uname -r', register: 'kernel', ...read },
    { name: 'Load', command: 'cat /proc/loadavg', register: 'load', ...read },
    { name: 'Root', command: 'findmnt -no OPTIONS /', register: 'root', ...read },
    { name: 'Look', stat: { path: '/etc/bench/d1/conf1' }, register: 'look' },
  ]
  return JSON.stringify([{ name: 'Prepare a node', hosts: 'all', tasks }], undefined, 1)
}
