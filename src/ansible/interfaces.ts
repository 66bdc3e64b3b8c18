/** `ansible_eth0.ipv4.address` and its like: facts that are named after an interface. */
import { call, get, type Ir, lit } from './ir.ts'
import { INT, listOf, MAP, STRING, STRINGS, type Type } from './types.ts'

/** Names that only interfaces have; Ansible writes `_` for `-` in them, which nobody can undo. */
const NAMES =
  /^(eth\d+|en[opsx][0-9a-z]+|em\d+|wl(an\d+|[opsx][0-9a-z]+)|bond\d+|br\d+|cni0|docker0|vlan\d+|wg\d+|tun\d+|tap\d+|tailscale0|virbr\d+)$/

const PARTS: Readonly<Record<string, (one: Ir) => Ir>> = {
  'ipv4.address': (one) => call('first', STRING, call('split', STRINGS, firstAddress(one), lit('/'))),
  'ipv4.prefix': (one) => call('last', STRING, call('split', STRINGS, firstAddress(one), lit('/'))),
  'ipv4.netmask': (one) => call('cidr_netmask', STRING, firstAddress(one)),
  'ipv4.network': (one) =>
    call('first', STRING, call('split', STRINGS, call('cidr_network', STRING, firstAddress(one)), lit('/'))),
  macaddress: (one) => get(one, 'mac', STRING),
  mtu: (one) => get(one, 'mtu', INT),
}

function firstAddress(one: Ir): Ir {
  return call('first', STRING, get(one, 'ipv4', listOf(STRING)))
}

export function isInterface(name: string): boolean {
  return NAMES.test(name)
}

/** What has no entry here is refused where it is looked at. */
const INTERFACE: Type = { kind: 'map', entries: {}, closed: 'an interface' }

/** An interface's fact; `path` are the names behind it as far as they are known, and `used` how many of them it stands for. */
export function interfaceFact(facts: Ir, name: Ir, path: readonly string[]): { ir: Ir; used: number } {
  const one = get(get(facts, 'interfaces', MAP), name, INTERFACE)
  for (const used of [2, 1]) {
    const part = path.slice(0, used).join('.')
    if (path.length >= used && Object.hasOwn(PARTS, part)) return { ir: PARTS[part]!(one), used }
  }
  return { ir: one, used: 0 }
}

/** The name in `'ansible_' + name`, or in `'ansible_' ~ name`; undefined when it is something else. */
export function computedInterface(key: Ir): Ir | undefined {
  if (key.op !== 'bin' || key.sign !== '+' || key.left.op !== 'lit') return undefined
  return key.left.value === 'ansible_' ? key.right : undefined
}
