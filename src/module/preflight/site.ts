/** What is asked of the host among the others: names, addresses, clock, ports, and what cluster it is part of. */
import type { Facts, Finding } from './facts.ts'
import { apiPort, type Seen } from './look.ts'
import { type MirrorToTry, type Peer, portsFor, versionOf, type Wanted } from './wanted.ts'

const problem = (check: Finding['check'], message: string): Finding => ({ check, message, level: 'problem' })
const note = (check: Finding['check'], message: string): Finding => ({ check, message, level: 'note' })

/** Controller's clock before it asked and after it had the answer, seconds since the epoch. */
export type Asked = readonly [number, number]

/** Findings about the host's place among the others. `self` is its name in the inventory. */
export function judgeSite(self: string, wanted: Wanted, facts: Facts, seen: Seen, asked: Asked): Finding[] {
  const member = membership(wanted, seen)
  return [
    ...cluster(wanted, seen, member),
    ...version(wanted, seen, member),
    ...ports(wanted, seen),
    ...names(wanted, facts, seen, member),
    ...identity(self, wanted, facts),
    ...clock(wanted, seen, asked),
    ...route(facts),
    ...virtualIp(self, wanted, facts, seen, member),
    ...urls(seen),
    ...mirrors(wanted, seen),
  ]
}

/** none: not in a cluster; ours: in the one that is wanted, or in one that nobody can compare; other: in another one. */
type Membership = 'none' | 'ours' | 'other'

/** A control plane's kubelet asks its own API server (ControlPlaneKubeletLocalMode), so there admin.conf tells. */
function membership({ endpoint }: Wanted, { servers }: Seen): Membership {
  const server = servers['/etc/kubernetes/admin.conf'] ?? servers['/etc/kubernetes/kubelet.conf']
  if (server === undefined) return 'none'
  return endpoint === undefined || sameEndpoint(server, endpoint) ? 'ours' : 'other'
}

/** A worker's kubeconfig may name a local proxy: kubeadm does not make such, so that one counts as another cluster. */
function sameEndpoint(server: string, endpoint: string): boolean {
  return (
    server
      .replace(/^https:\/\//, '')
      .replace(/\/$/, '')
      .toLowerCase() === endpoint.toLowerCase()
  )
}

function cluster(wanted: Wanted, { servers, etcdData }: Seen, member: Membership): Finding[] {
  const findings: Finding[] = []
  if (member === 'other') {
    const where = Object.entries(servers).map(([file, server]) => `${server || 'no server'} (${file})`)
    findings.push(
      problem(
        'cluster',
        `the host is in another cluster, ${[...new Set(where)].join(' and ')}, not in ${wanted.endpoint}: mend the inventory, or ` +
          'take it out of that cluster first (playbooks/reset.yml, by name)',
      ),
    )
  }
  if (member === 'none' && etcdData && wanted.role === 'control_plane') {
    findings.push(
      problem(
        'cluster',
        '/var/lib/etcd holds the data of an earlier cluster: move it away if it is of use to nobody, or reset the host',
      ),
    )
  }
  return findings
}

/** The version skew policy: kubelet up to three minors older than the API server, never newer; one minor at a time upwards. */
function version(wanted: Wanted, { kubelet }: Seen, member: Membership): Finding[] {
  const is = versionOf(kubelet)
  const goal = versionOf(wanted.kubernetesVersion)!
  if (!is || member !== 'ours' || (is.minor === goal.minor && is.patch === goal.patch)) return []
  const has = `1.${is.minor}.${is.patch}`
  if (is.minor > goal.minor || (is.minor === goal.minor && is.patch > goal.patch))
    return [
      problem(
        'version',
        `the node runs kubelet ${has}, ${wanted.kubernetesVersion} is older: going back is not supported`,
      ),
    ]
  if (goal.minor - is.minor > 1)
    return [
      problem(
        'version',
        `the node runs kubelet ${has}, ${wanted.kubernetesVersion} is ${goal.minor - is.minor} minor versions newer: upgrade one minor at a ` +
          `time, first to 1.${is.minor + 1}`,
      ),
    ]
  if (wanted.upgrade) return []
  return [
    problem(
      'version',
      `the node runs kubelet ${has}, not ${wanted.kubernetesVersion}: playbooks/upgrade.yml upgrades it, with drain`,
    ),
  ]
}

function ports(wanted: Wanted, seen: Seen): Finding[] {
  return [...portsFor(wanted)].flatMap(([port, program]) => {
    const owner = seen.ports.get(port)
    // A name is cut to 15 characters by the kernel (TASK_COMM_LEN).
    if (owner === undefined || owner === program.slice(0, 15)) return []
    // Whoever may not see the owner cannot tell: a node of a cluster has its ports in use.
    if (owner === '' && Object.keys(seen.servers).length > 0) return []
    const by = owner === '' ? 'something' : owner
    return [problem('port', `port ${port} is in use by ${by}; ${program} needs it: stop and disable it`)]
  })
}

function names(wanted: Wanted, facts: Facts, { unresolved }: Seen, member: Membership): Finding[] {
  const findings: Finding[] = []
  const name = wanted.hostname ?? facts.hostname ?? ''
  // A node's name is a subdomain of DNS (RFC 1123), in small letters.
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name) || name.length > 63)
    findings.push(
      problem('hostname', `"${name}" cannot be the name of a node: small letters, digits, - and . only, at most 63`),
    )
  if (member === 'ours' && wanted.hostname !== undefined && facts.hostname !== wanted.hostname)
    findings.push(
      problem(
        'hostname',
        `the node is in the cluster as ${facts.hostname}; as ${wanted.hostname} it would be another node: keep the name, or reset and join it`,
      ),
    )
  if (unresolved.length > 0)
    findings.push(
      problem(
        'dns',
        `${unresolved.join(', ')} ${unresolved.length > 1 ? 'do' : 'does'} not resolve on the host: mend /etc/hosts or DNS`,
      ),
    )
  return findings
}

/** Interfaces that are made by software, the same on many hosts. */
const VIRTUAL = /^(docker|br-|cni|flannel|cilium|lxc|cali|tunl|vxlan|veth|virbr|kube-|nodelocal|dummy|tailscale|wg)/

const macsOf = (interfaces: Peer['interfaces'] = {}): string[] =>
  Object.entries(interfaces).flatMap(([name, { mac }]) =>
    VIRTUAL.test(name) || /^(00:)*00$/.test(mac) || mac === '' ? [] : [mac],
  )

function identity(self: string, wanted: Wanted, facts: Facts): Finding[] {
  const findings: Finding[] = []
  if (!/^[0-9a-f]{32}$/.test(facts.machine_id ?? ''))
    findings.push(problem('identity', '/etc/machine-id is empty: systemd-machine-id-setup makes one'))
  const others = wanted.peers.filter((p) => p.host !== self)
  const shared = (is: (peer: Peer) => boolean): string =>
    others
      .filter(is)
      .map((p) => p.host)
      .join(', ')
  const machine = facts.machine_id ? shared((p) => p.machine_id === facts.machine_id) : ''
  if (machine)
    findings.push(
      problem(
        'identity',
        `machine-id ${facts.machine_id} is that of ${machine} too (a cloned disk): rm /etc/machine-id && systemd-machine-id-setup, then reboot`,
      ),
    )
  const uuid = facts.product?.uuid ?? ''
  // A container sees the firmware of its machine.
  const twins = uuid && !facts.container ? shared((p) => p.product_uuid === uuid) : ''
  if (twins)
    findings.push(
      problem(
        'identity',
        `product_uuid ${uuid} is that of ${twins} too: set it in the firmware (or the virtual machine's settings)`,
      ),
    )
  const name = wanted.hostname === undefined ? facts.hostname : undefined
  const namesakes = name ? shared((p) => p.hostname === name) : ''
  if (namesakes)
    findings.push(
      problem('identity', `the host name ${name} is that of ${namesakes} too: a cluster takes them for one node`),
    )
  for (const mac of macsOf(facts.interfaces)) {
    const same = shared((p) => macsOf(p.interfaces).includes(mac))
    if (same)
      findings.push(
        problem('identity', `the MAC address ${mac} is that of ${same} too: neither can be reached reliably`),
      )
  }
  return findings
}

/** The host's clock read at the start cannot be before the question, nor that at the end after the answer. */
function clock({ maxClockSkew }: Wanted, seen: Seen, [before, after]: Asked): Finding[] {
  const ahead = seen.clock[1] - after
  const behind = before - seen.clock[0]
  const words = (seconds: number, which: string): Finding[] => [
    problem(
      'clock',
      `the clock is ${seconds.toFixed(1)} s ${which} the controller's: certificates would not be valid yet. Set it (chronyc makestep) and see why time is not synchronised`,
    ),
  ]
  if (ahead > maxClockSkew) return words(ahead, 'ahead of')
  if (behind > maxClockSkew) return words(behind, 'behind')
  return []
}

function route({ default_route }: Facts): Finding[] {
  if (default_route) return []
  return [
    problem(
      'route',
      'there is no default route: kubeadm and kubelet take the node’s address from it. Add one, even to a gateway that is not there',
    ),
  ]
}

function virtualIp(self: string, wanted: Wanted, facts: Facts, seen: Seen, member: Membership): Finding[] {
  const address = wanted.virtualIp
  if (address === undefined) return []
  const findings: Finding[] = []
  const own = facts.addresses?.includes(address) ?? false
  const holder = wanted.peers.find((p) => p.host !== self && p.addresses?.includes(address))
  if (member === 'none' && own)
    findings.push(
      problem('virtual_ip', `the virtual IP ${address} is the host's own address: it must be one that nobody has`),
    )
  if (wanted.role === 'control_plane' && !own && !address.includes(':') && !inNetworks(address, facts))
    findings.push(
      problem(
        'virtual_ip',
        `the virtual IP ${address} is in no network of the host (${networks(facts).join(', ') || 'none'}): it can only be announced there`,
      ),
    )
  if (member === 'none' && !own && seen.virtualIp && !holder) {
    const who = seen.virtualIp.mac === '' ? 'a host' : `the host with the MAC address ${seen.virtualIp.mac}`
    const at = `${address}:${apiPort(wanted)}`
    findings.push(
      seen.virtualIp.api
        ? note('virtual_ip', `an API server answers at ${at} already: it is taken for the one of this cluster`)
        : problem(
            'virtual_ip',
            `the virtual IP ${address} is in use by ${who}, and no API server answers at ${at}: take another address`,
          ),
    )
  }
  return findings
}

const networks = ({ interfaces = {} }: Facts): string[] => Object.values(interfaces).flatMap((i) => i.ipv4)

function inNetworks(address: string, facts: Facts): boolean {
  const bits = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  return networks(facts).some((network) => {
    const [base, length] = network.split('/')
    const hosts = 2 ** (32 - Number(length))
    return hosts > 1 && Math.floor(bits(base!) / hosts) === Math.floor(bits(address) / hosts)
  })
}

/** What stands against an answer. 401 and 403 are those of a registry or mirror that is there. */
function wrongWith(said: string): string | undefined {
  if (/^(2\d\d|3\d\d|401|403|405|416)$/.test(said)) return undefined
  return /^\d{3}$/.test(said) && said !== '000' ? `HTTP status ${said}` : said.replace(/ ?000$/, '')
}

function urls({ urls }: Seen): Finding[] {
  return Object.entries(urls).flatMap(([url, said]) => {
    const why = wrongWith(said)
    return why === undefined
      ? []
      : [problem('mirror', `${url} cannot be had: ${why}. Mend the URL, the network or the proxy`)]
  })
}

/** containerd goes on to the next mirror of a registry, so one that answers is enough. */
function mirrors(wanted: Wanted, seen: Seen): Finding[] {
  const wrong = new Map(wanted.mirrors.map((mirror) => [mirror, wrongWithMirror(mirror, seen)]))
  return wanted.mirrors.flatMap((mirror) => {
    const why = wrong.get(mirror)
    if (why === undefined) return []
    const { registry, url, proxy } = mirror
    const of = registry === '_default' ? 'all registries' : registry
    const by = proxy === undefined ? '' : ` through the proxy ${proxy.replace(/\/\/[^/]*@/, '//')}`
    const said = `${url}, the mirror of ${of}, cannot be had${by}: ${why}`
    const other = wanted.mirrors.find((one) => one.registry === registry && wrong.get(one) === undefined)
    return other
      ? [note('mirror', `${said}. Images come from ${other.url}`)]
      : [problem('mirror', `${said}. Mend containerd_registries, the network or the proxy`)]
  })
}

/** Below a path of its own a registry need not say anything: what counts is that it is there. */
function wrongWithMirror({ url }: MirrorToTry, { mirrors }: Seen): string | undefined {
  const said = mirrors[url] ?? 'no answer'
  return said === '404' && !/^https?:\/\/[^/]+\/v2\/$/.test(url) ? undefined : wrongWith(said)
}
