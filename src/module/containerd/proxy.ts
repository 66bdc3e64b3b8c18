import { BlockList, isIP } from 'node:net'

/** As containerd's environment has them. */
export interface Proxies {
  readonly http?: string | undefined
  readonly https?: string | undefined
  /** Hosts, domains, addresses and networks, each with a port if need be. */
  readonly none?: readonly string[] | undefined
}

/** The proxy that containerd takes for a URL, by the rules of Go (golang.org/x/net/http/httpproxy). */
export function proxyFor(url: string, { http, https, none = [] }: Proxies): string | undefined {
  const { protocol, hostname, port } = new URL(url)
  const proxy = (protocol === 'https:' ? https : http) || undefined
  const host = hostname.replace(/^\[|\]$/g, '')
  const at = port || (protocol === 'https:' ? '443' : '80')
  if (host === 'localhost' || /^127\./.test(host) || host === '::1') return undefined
  return none.some((one) => covers(one.trim().toLowerCase(), host, at)) ? undefined : proxy
}

function covers(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  const [network, length] = entry.split('/')
  if (length !== undefined) return isIP(host) !== 0 && inNetwork(host, network!, Number(length))
  const [, name = '', own] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry)!
  if (name === '' || (own !== undefined && own !== port)) return false
  if (isIP(name) !== 0) return name === host
  // A name stands for what is below it too, with a dot before it for that alone.
  return name === host || host.endsWith(`.${name.replace(/^\*?\./, '')}`)
}

function inNetwork(address: string, network: string, length: number): boolean {
  const family = isIP(network)
  if (family === 0 || !(length >= 0 && length <= (family === 6 ? 128 : 32))) return false
  const list = new BlockList()
  const type = family === 6 ? 'ipv6' : 'ipv4'
  list.addSubnet(network, length, type)
  return isIP(address) === family && list.check(address, type)
}
