/** Ansible's facts and magic variables by our names. What is not here is refused: a guess could be another value. */

import { interfaceFact, isInterface } from './interfaces.ts'
import { bin, call, get, type Ir, lit, type Table, variable } from './ir.ts'
import { Refused } from './refused.ts'
import { BOOL, INT, listOf, MAP, STRING, STRINGS, type Type } from './types.ts'

/** `ID` of os-release(5) to `ansible_distribution` (ansible-core: module_utils/facts/system/distribution.py). */
const DISTRIBUTIONS: Table = {
  debian: ['Debian'],
  ubuntu: ['Ubuntu'],
  // Raspberry Pi OS of 32 bits; that of 64 says debian.
  raspbian: ['Debian'],
  linuxmint: ['Linux Mint'],
  pop: ['Pop!_OS'],
  kali: ['Kali'],
  devuan: ['Devuan'],
  centos: ['CentOS'],
  rhel: ['RedHat'],
  rocky: ['Rocky'],
  almalinux: ['AlmaLinux'],
  fedora: ['Fedora'],
  amzn: ['Amazon'],
  ol: ['OracleLinux'],
  'opensuse-leap': ['openSUSE Leap'],
  'opensuse-tumbleweed': ['openSUSE Tumbleweed'],
  sles: ['SLES'],
  alpine: ['Alpine'],
  arch: ['Archlinux'],
  flatcar: ['Flatcar', 'Flatcar Container Linux by Kinvolk'],
  openEuler: ['openEuler'],
  kylin: ['Kylin Linux Advanced Server'],
  photon: ['VMware Photon OS'],
  azurelinux: ['Microsoft Azure Linux'],
  mariner: ['Common Base Linux Mariner'],
  gentoo: ['Gentoo'],
  'clear-linux-os': ['Clear Linux OS'],
  openwrt: ['OpenWrt'],
}

const FAMILIES: Table = {
  debian: ['Debian'],
  redhat: ['RedHat'],
  suse: ['Suse'],
  alpine: ['Alpine'],
  arch: ['Archlinux'],
  gentoo: ['Gentoo'],
  'clear-linux-os': ['ClearLinux'],
  openwrt: ['OpenWrt'],
  flatcar: ['Flatcar', 'Flatcar Container Linux by Kinvolk'],
  photon: ['VMware Photon OS'],
  azurelinux: ['Microsoft Azure Linux'],
  mariner: ['Common Base Linux Mariner'],
}

/** systemd-detect-virt's names; what Ansible has no name for is a container (ansible-core: module_utils/facts/virtual/linux.py). */
const CONTAINERS: Table = {
  docker: ['docker'],
  lxc: ['lxc'],
  podman: ['podman'],
  openvz: ['openvz'],
  'systemd-nspawn': ['container'],
}

type Make = (facts: Ir) => Ir

const at = (type: Type, ...path: readonly string[]): Make => {
  return (facts) => path.reduce((of, key, i) => get(of, key, i === path.length - 1 ? type : MAP), facts)
}
const mapped = (table: Table, ...path: readonly string[]): Make => {
  return (facts) => ({ op: 'mapped', of: at(STRING, ...path)(facts), table, type: STRING })
}

/**
 * What has a device, as Ansible lists it (ansible-core: module_utils/facts/hardware/linux.py, get_mount_facts); sizes are
 * never asked of a file system here. Mounts of containers and pods are in neither the facts nor what playbooks look for.
 */
function mountsOf(facts: Ir): Ir {
  const of = get(facts, 'mounts', listOf(MAP))
  const one: Ir = { op: 'var', name: 'mounted', local: true, type: MAP }
  const device = get(one, 'device', STRING)
  const body = bin('||', call('startsWith', BOOL, device, lit('/')), call('contains', BOOL, device, lit(':/')))
  const entries: [string, Ir][] = [
    ['mount', get(one, 'path', STRING)],
    ['device', device],
    ['fstype', get(one, 'type', STRING)],
    ['options', call('join', STRING, get(one, 'options', STRINGS), lit(','))],
  ]
  const item: Type = {
    kind: 'map',
    entries: Object.fromEntries(entries.map(([key, { type }]) => [key, type])),
    closed: 'mounts',
  }
  const listed: Ir = { op: 'macro', name: 'filter', of, item: 'mounted', body, type: listOf(MAP) }
  const map: Ir = { op: 'map', items: entries, type: item }
  return { op: 'macro', name: 'map', of: listed, item: 'mounted', body: map, type: listOf(item) }
}

const FACTS: Readonly<Record<string, Make>> = {
  hostname: (facts) => call('first', STRING, call('split', STRINGS, at(STRING, 'hostname')(facts), lit('.'))),
  nodename: at(STRING, 'hostname'),
  os_family: mapped(FAMILIES, 'os', 'family'),
  distribution: mapped(DISTRIBUTIONS, 'os', 'id'),
  distribution_release: at(STRING, 'os', 'codename'),
  distribution_major_version: (facts) =>
    call('first', STRING, call('split', STRINGS, at(STRING, 'os', 'version')(facts), lit('.'))),
  distribution_version: at(STRING, 'os', 'release'),
  mounts: mountsOf,
  'lsb.codename': at(STRING, 'os', 'codename'),
  'lsb.id': mapped({ debian: ['Debian'], ubuntu: ['Ubuntu'] }, 'os', 'id'),
  architecture: at(STRING, 'kernel', 'architecture'),
  machine: at(STRING, 'kernel', 'architecture'),
  kernel: at(STRING, 'kernel', 'release'),
  userspace_bits: (facts) => call('string', STRING, at(INT, 'bits')(facts)),
  system: () => lit('Linux'),
  processor_vcpus: at(INT, 'cpu', 'count'),
  processor_nproc: at(INT, 'cpu', 'count'),
  memtotal_mb: at(INT, 'memory', 'total_mb'),
  swaptotal_mb: at(INT, 'memory', 'swap_mb'),
  virtualization_type: mapped(CONTAINERS, 'container'),
  default_ipv4: at(MAP, 'default_route'),
  'default_ipv4.address': at(STRING, 'default_route', 'address'),
  'default_ipv4.interface': at(STRING, 'default_route', 'interface'),
  'default_ipv4.gateway': at(STRING, 'default_route', 'gateway'),
  'default_ipv6.address': at(STRING, 'default_route', 'address6'),
  service_mgr: at(STRING, 'init'),
  pkg_mgr: at(STRING, 'package_manager'),
  machine_id: at(STRING, 'machine_id'),
  product_name: at(STRING, 'product', 'name'),
  product_serial: at(STRING, 'product', 'serial'),
  system_vendor: at(STRING, 'product', 'vendor'),
  user_id: at(STRING, 'user', 'name'),
  user_uid: at(INT, 'user', 'uid'),
  user_gid: at(INT, 'user', 'gid'),
  user_dir: at(STRING, 'user', 'home'),
  'env.HOME': at(STRING, 'user', 'home'),
  'env.USER': at(STRING, 'user', 'name'),
  'memory_mb.swap.total': at(INT, 'memory', 'swap_mb'),
  'memory_mb.real.total': at(INT, 'memory', 'total_mb'),
  // What package_facts, service_facts and getent add, under the same names.
  packages: at({ kind: 'map', of: listOf({ kind: 'map', of: STRING }) }, 'packages'),
  services: at({ kind: 'map', of: { kind: 'map', of: STRING } }, 'services'),
  getent_passwd: at({ kind: 'map', of: STRINGS }, 'getent_passwd'),
  getent_group: at({ kind: 'map', of: STRINGS }, 'getent_group'),
  getent_shadow: at({ kind: 'map', of: STRINGS }, 'getent_shadow'),
  'selinux.mode': at(STRING, 'selinux'),
  'selinux.status': (facts) => ({
    op: 'cond',
    test: bin('==', at(STRING, 'selinux')(facts), lit('disabled')),
    yes: lit('disabled'),
    no: lit('enabled'),
    type: STRING,
  }),
  'date_time.epoch': (facts) => call('string', STRING, at(INT, 'time', 'epoch')(facts)),
  all_ipv4_addresses: (facts) => ({
    op: 'macro',
    name: 'filter',
    of: at(STRINGS, 'addresses')(facts),
    item: 'one',
    body: {
      op: 'not',
      of: call('contains', BOOL, { op: 'var', name: 'one', local: true, type: STRING }, lit(':')),
      type: BOOL,
    },
    type: STRINGS,
  }),
}

/** What the module getent finds is a variable of its own, too. */
const FOUND = /^getent_(passwd|group|shadow)$/

/** Of `loop_control.extended`. */
const LOOP: Type = {
  kind: 'map',
  entries: { first: BOOL, last: BOOL, index: INT, index0: INT, length: INT, revindex: INT, revindex0: INT },
}

/** Variables of Ansible itself that exist here under the same or another name. */
const MAGIC: Readonly<Record<string, () => Ir>> = {
  inventory_hostname: () => variable('inventory_hostname', STRING),
  inventory_hostname_short: () => variable('inventory_hostname_short', STRING),
  group_names: () => variable('group_names', STRINGS),
  groups: () => variable('groups', { kind: 'map', of: STRINGS }),
  hostvars: () => variable('hostvars', MAP),
  playbook_dir: () => variable('playbook_dir', STRING),
  play_hosts: () => variable('play_hosts', STRINGS),
  ansible_play_hosts: () => variable('play_hosts', STRINGS),
  ansible_check_mode: () => variable('ansible_check_mode', BOOL),
  ansible_failed_task: () => variable('failed_task', MAP),
  ansible_failed_result: () => variable('failed_result', MAP),
  ansible_loop: () => variable('ansible_loop', LOOP),
  // Ansible fills it in with the name where the inventory gives no address.
  ansible_host: () => call('default', STRING, variable('ansible_host', STRING), variable('inventory_hostname', STRING)),
  ansible_managed: () => lit('Ansible managed'),
  // Always there in Ansible.
  ansible_connection: () => call('default', STRING, variable('ansible_connection', STRING), lit('ssh')),
}

/** Playbooks ask whether Ansible is new enough: that of the language which the import follows is. */
const RELEASE: Readonly<Record<string, string | number>> = {
  full: '2.19.0',
  string: '2.19.0',
  major: 2,
  minor: 19,
  revision: 0,
}

/** Settings of connections that an inventory gives; they stay what they are. */
const CONNECTION =
  /^ansible_(user|port|password|become\w*|ssh_\w+|private_key_file|python_interpreter|group_priority|shell_\w+|host_key_checking)$/

/** Unmapped names that are facts of Ansible's, not variables of the playbook's. */
const FACT_NAMES =
  /^ansible_(all_|apparmor|bios|board|chassis|cmdline|date_time|default_ip|device|distribution|dns|domain|effective|env|fibre|fips|form_factor|fqdn|interfaces|iscsi|is_chroot|kernel|loadavg|local|locally|lsb|lvm|mem|mounts|nodename|os_|processor|proc_|product|python|real_|selinux|service_mgr|ssh_host_key|swap|system|uptime|user_|user$|virtual|version|facts$|play_|inventory_sources|run_tags|skip_tags|role_names|config_file|forks|verbosity|search_path|index_var|loop_var|diff_mode|dependent_role|parent_role|limit|playbook_python)/

export interface Resolved {
  readonly ir: Ir
  /** How many parts of the path it stands for. */
  readonly used: number
  readonly note?: 'interfaces' | 'release'
}

/**
 * The beginning of a path as our name for it; undefined when it is no variable of Ansible's. `path` holds the names as far as
 * they are known when reading. Throws Refused for facts that we have not.
 */
export function resolveAnsible(path: readonly string[], facts: Ir = variable('facts', MAP)): Resolved | undefined {
  const [root] = path
  if (root === undefined) return undefined
  if (root === 'ansible_facts') {
    if (path.length === 1) throw noFact('ansible_facts')
    const found = fact([path[1]!.replace(/^ansible_/, ''), ...path.slice(2)], facts)
    if (!found) throw noFact(path.slice(0, 3).join('.'))
    return { ...found, used: found.used + 1 }
  }
  if (root === 'ansible_version' && path[1] !== undefined && Object.hasOwn(RELEASE, path[1]))
    return { ir: lit(RELEASE[path[1]]!), used: 2, note: 'release' }
  const magic = MAGIC[root]
  if (magic && Object.hasOwn(MAGIC, root)) return { ir: magic(), used: 1 }
  if (CONNECTION.test(root)) return undefined
  if (FOUND.test(root)) return fact(path, facts)
  if (root.startsWith('ansible_')) {
    const found = fact([root.slice('ansible_'.length), ...path.slice(1)], facts)
    if (found) return found
    if (FACT_NAMES.test(root)) throw noFact(path.slice(0, 2).join('.'))
  }
  if (
    /^(omit|vars|role_path|role_name|ansible_role_name|inventory_dir|inventory_file|environment|lookup|query|q|now|undef)$/.test(
      root,
    )
  )
    throw new Refused(
      `"${root}" has no like in runbook`,
      root === 'role_path' ? 'files of a role are found by their names' : 'write the value itself',
    )
  return undefined
}

function fact(path: readonly string[], facts: Ir): Resolved | undefined {
  for (const used of [3, 2, 1]) {
    const name = path.slice(0, used).join('.')
    if (path.length >= used && Object.hasOwn(FACTS, name)) return { ir: FACTS[name]!(facts), used }
  }
  const [name = ''] = path
  if (!isInterface(name)) return undefined
  const found = interfaceFact(facts, lit(name), path.slice(1))
  return { ir: found.ir, used: found.used + 1, note: 'interfaces' }
}

function noFact(name: string): Refused {
  return new Refused(`the fact "${name}" has no exact like in runbook`, 'see "runbook modules facts" for what there is')
}
