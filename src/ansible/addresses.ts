/** `ipaddr` and its like: addresses and networks (the filters of ansible.utils). */
import { bin, call, type Ir, lit } from './ir.ts'
import type { Args, Expr } from './jinja/ast.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { INT, STRING, STRINGS } from './types.ts'

/** An IPv6 address, with its prefix or without: seven colons, or two side by side. */
export const IPV6 = '^((?=(?:[^:]*:){7}[^:]*$|[^/]*::)[0-9A-Fa-f:.]+)(/\\d+)?$'

/** `net | ipaddr(1) | ipaddr('address')`: an address of a network. */
export function ipaddrOfIpaddr(t: Translator, expr: Expr & { op: 'filter' }): Ir | undefined {
  const isIp = (name: string): boolean => /(^|\.)ip(addr|v4)$/.test(name)
  const { of } = expr
  if (!isIp(expr.name)) return undefined
  const [what] = expr.args.list
  if (of.op === 'filter' && isIp(of.name) && what?.op === 'const' && what.value === 'address') {
    const index = indexOf(t, of.args.list[0])
    return index && call('cidr_ip', STRING, networkOf(t, of.of), index)
  }
  // Alone it keeps the length of the prefix.
  const index = indexOf(t, what)
  if (!index) return undefined
  const network = networkOf(t, of)
  const prefix = call('string', STRING, call('cidr_prefix', INT, network))
  return bin('+', bin('+', call('cidr_ip', STRING, network, index), lit('/'), STRING), prefix, STRING)
}

function indexOf(t: Translator, expr: Expr | undefined): Ir | undefined {
  if (!expr || (expr.op === 'const' && typeof expr.value === 'string')) return undefined
  const ir = t.value(expr)
  return ir.type.kind === 'int' ? ir : undefined
}

/** `ipaddr('net')` gives nothing for what is no network, of which no address can be taken then. */
function networkOf(t: Translator, of: Expr): Ir {
  const [what] = of.op === 'filter' && /(^|\.)ip(addr|v4)$/.test(of.name) ? of.args.list : []
  return t.value(of.op === 'filter' && what?.op === 'const' && what.value === 'net' ? of.of : of)
}

/** Throws Refused. */
export function ipaddr(t: Translator, of: Ir, args: Args): Ir {
  const what = t.constText(args.list[0], 'ipaddr')
  const firstPart = (ir: Ir): Ir => call('first', STRING, call('split', STRINGS, ir, lit('/')))
  if (what === 'address' || what === 'ip') return firstPart(of)
  if (what === 'network') return firstPart(call('cidr_network', STRING, of))
  if (what === 'netmask') return call('cidr_netmask', STRING, of)
  if (what === 'prefix') return call('cidr_prefix', INT, of)
  if (what === 'subnet' || what === 'network/prefix') return call('cidr_network', STRING, of)
  throw new Refused(`ipaddr("${what}")`, 'see the cidr_ helpers')
}
