import { didYouMean } from '../shared/errors.ts'

/** Where Ansible's facts stand here (`runbook modules facts`). */
const FACTS: Readonly<Record<string, string>> = {
  ansible_facts: 'facts',
  ansible_hostname: 'facts.hostname',
  ansible_nodename: 'facts.hostname',
  ansible_distribution: 'facts.os.id, as in "debian"',
  ansible_distribution_version: 'facts.os.version',
  ansible_distribution_release: 'facts.os.codename',
  ansible_os_family: 'facts.os.family, as in "debian"',
  ansible_architecture: 'facts.kernel.architecture, or facts.architecture for the name that packages have',
  ansible_kernel: 'facts.kernel.release',
  ansible_memtotal_mb: 'facts.memory.total_mb',
  ansible_swaptotal_mb: 'facts.memory.swap_mb',
  ansible_processor_vcpus: 'facts.cpu.count',
  ansible_default_ipv4: 'facts.default_route.address',
  ansible_all_ipv4_addresses: 'facts.addresses',
  ansible_interfaces: 'facts.interfaces',
  ansible_mounts: 'facts.mounts',
  ansible_service_mgr: 'facts.init',
  ansible_pkg_mgr: 'facts.package_manager',
  ansible_managed: 'a comment of your own',
}

/** What may be meant by a name that is not defined: Ansible's name of a fact, or one that is there and nearly the same. */
export function undefinedHint(name: string, names: Iterable<string>): string | undefined {
  if (Object.hasOwn(FACTS, name)) return `write ${FACTS[name]}`
  return didYouMean(name, names)
}
