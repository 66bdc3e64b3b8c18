import { quote, quoteAll } from '../../shared/quote.ts'
import { all, map, type Read } from '../read.ts'
import { type KernelModule, kernelModules } from '../reads/kernel.ts'
import { SAID } from '../reads/said.ts'
import { script } from '../reads/script.ts'
import { KERNEL_OPTIONS, type MirrorToTry, modulesFor, TOOLS, type Wanted } from './wanted.ts'

/** What preflight reads of a host beyond its facts. */
export interface Seen {
  /** Seconds since the epoch by the host's clock, before and after the other questions. */
  readonly clock: readonly [number, number]
  /** TCP ports that something listens on; the program where it can be told, else ''. */
  readonly ports: ReadonlyMap<number, string>
  /** Server of each kubeconfig of a node: /etc/kubernetes/kubelet.conf, /etc/kubernetes/admin.conf. */
  readonly servers: Readonly<Record<string, string>>
  /** /var/lib/etcd holds a member. */
  readonly etcdData: boolean
  /** What `kubelet --version` prints, '' without kubelet. */
  readonly kubelet: string
  /** What `containerd --version` prints, '' without containerd. */
  readonly containerd: string
  /** Path to the file system it is, or will be, on: free bytes, absent for one of the network, which is not asked. */
  readonly disks: Readonly<Record<string, { readonly type: string; readonly free?: number }>>
  /** Names that do not resolve. */
  readonly unresolved: readonly string[]
  /** Something has the virtual IP: its MAC address; whether an API answers there. */
  readonly virtualIp: { readonly mac: string; readonly api: boolean } | undefined
  /** Tools that are not there. */
  readonly missingTools: readonly string[]
  /** URL to the HTTP status, or to what curl or wget said. */
  readonly urls: Readonly<Record<string, string>>
  /** The same of the mirrors' APIs. */
  readonly mirrors: Readonly<Record<string, string>>
  /** `CONFIG_…` lines of the running kernel, without the prefix; [] when it does not tell. */
  readonly kernelOptions: readonly string[]
  readonly modules: Readonly<Record<string, KernelModule>>
}

/** File systems that a dead server makes hang: they are never asked. */
const NETWORK = 'nfs*|cifs|smb*|ceph|fuse.*|afs|lustre|gpfs|beegfs|ocfs2|gfs2'

const HEAD = `${SAID}
clock() { printf 'clock %s\\n' "$(date +%s.%N | sed 's/[^0-9.]//g')"; }
limit() { if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi; }
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
clock
for f in /proc/net/tcp /proc/net/tcp6; do
  [ ! -r "$f" ] || awk '$4 == "0A" { n = split($2, a, ":"); print "port", a[n] }' "$f"
done
if command -v ss >/dev/null; then ss -Hltnp 2>/dev/null | sed -n 's/^[^ ]* *[^ ]* *[^ ]* *[^ ]*:\\([0-9]*\\) .*(("\\([^"]*\\)".*/owner \\1 \\2/p'; fi
for f in /etc/kubernetes/kubelet.conf /etc/kubernetes/admin.conf; do
  [ ! -r "$f" ] || printf 'server %s %s\\n' "$f" "$(sed -n 's/^ *server: *//p' "$f" | head -n 1)"
done
if [ -d /var/lib/etcd/member ]; then echo etcd; fi
if command -v kubelet >/dev/null; then echo "kubelet $(said kubelet --version 2>/dev/null)"; fi
if command -v containerd >/dev/null; then echo "containerd $(containerd --version 2>/dev/null)"; fi
fstype() { awk -v p="$1" '{ m = $5; if (p == m || m == "/" || index(p, m "/") == 1) if (length(m) >= n) { n = length(m); for (i = 7; $i != "-"; i++); t = $(i + 1) } } END { print t }' /proc/self/mountinfo; }
disk() {
  p=$1
  for k in 1 2; do
    t=$(fstype "$p")
    case $t in ${NETWORK}) echo "disk $1 $t"; return ;; esac
    p=$(readlink -m "$p" 2>/dev/null || readlink -f "$p" 2>/dev/null || printf %s "$p")
  done
  while [ ! -e "$p" ]; do p=\${p%/*}; p=\${p:-/}; done
  echo "disk $1 $t $(stat -f -c '%a %S' "$p")"
}
for t in ${TOOLS.join(' ')}; do command -v "$t" >/dev/null || echo "tool $t"; done
{ zcat /proc/config.gz 2>/dev/null || cat "/boot/config-$(uname -r)" 2>/dev/null || cat "/lib/modules/$(uname -r)/config" 2>/dev/null; } |
  grep -E '^CONFIG_(${KERNEL_OPTIONS.flat().join('|')})=[ym]' | sed 's/^CONFIG_/option /; s/=.*//'
`

/** Whoever has an address on this network answers to ARP, whatever its firewall does. */
const virtualIp = (address: string, port: number): string => `
v=${quote(address)}
ping -c 1 -W 1 "$v" >/dev/null 2>&1; r=$?
m=$(ip neigh show "$v" 2>/dev/null | sed -n 's/.*lladdr \\([0-9a-f:]*\\).*/\\1/p' | head -n 1)
if [ $r = 0 ] || [ -n "$m" ]; then
  u="https://${address.includes(':') ? `[${address}]` : address}:${port}/version"
  if command -v curl >/dev/null; then a=$(curl -sk -m 3 -o /dev/null -w '%{http_code}' "$u")
  else a=$(wget -q -T 3 -S --no-check-certificate -O /dev/null "$u" 2>&1 | sed -n 's/^ *HTTP[^ ]* \\([0-9]*\\).*/\\1/p' | head -n 1); fi
  case $a in '' | 000) a=none ;; esac
  printf 'vip %s %s\\n' "\${m:--}" "$a"
fi
`

/** `ask WORD URL [CA]`: what comes of a URL. With -k for a CA, or with one that is not there yet, any certificate will do. */
const ASK = `
ask() {
  w=$1 u=$2 c=\${3-}
  [ -z "$c" ] || [ -e "$c" ] || c=-k
  if command -v curl >/dev/null; then
    case $c in '') set -- ;; -k) set -- -k ;; *) set -- --cacert "$c" ;; esac
    e=$(curl -sSL -m 15 -r 0-0 "$@" -o /dev/null -w '%{http_code}' "$u" 2>&1)
  elif command -v wget >/dev/null; then
    case $c in '') set -- ;; -k) set -- --no-check-certificate ;; *) set -- "--ca-certificate=$c" ;; esac
    e=$(wget -q -S -T 15 -t 1 "$@" --spider "$u" 2>&1 | sed -n 's/^ *HTTP[^ ]* \\([0-9]*\\).*/\\1/p' | tail -n 1)
  else e='the host has neither curl nor wget'; fi
  printf '%s %s %s\\n' "$w" "$u" "$(printf %s "\${e:-no answer}" | tr '\\n' ' ')"
}
`

/** containerd does not read the environment of shells; its proxy may have a password, which belongs on no command line. */
function mirror({ url, ca, skipVerify, proxy = '' }: MirrorToTry): string {
  const variables = ['http_proxy', 'https_proxy', 'HTTPS_PROXY'].map((name) => `${name}=${quote(proxy)}`).join(' ')
  const trust = skipVerify ? '-k' : quote(ca ?? '')
  return `{ unset all_proxy ALL_PROXY no_proxy NO_PROXY; export ${variables}; ask mirror ${quote(url)} ${trust}; } &`
}

/** See Seen. Takes as long as the slowest of names and URLs, seconds at the most for each; changes nothing. */
export function look(wanted: Wanted): Read<Seen> {
  const modules = modulesFor(wanted.kubeProxyMode)
  const text = [
    HEAD,
    ...Object.keys(wanted.minDiskGb).map((path) => `disk ${quote(path)}`),
    wanted.names.length === 0
      ? ''
      : `for n in ${quoteAll(wanted.names)}; do limit 10 getent ahosts "$n" >/dev/null 2>&1 || printf 'unresolved %s\\n' "$n"; done`,
    wanted.virtualIp === undefined ? '' : virtualIp(wanted.virtualIp, apiPort(wanted)),
    ASK,
    ...wanted.urls.map((address) => `ask url ${quote(address)} &`),
    ...new Map(wanted.mirrors.map((one) => [one.url, mirror(one)])).values(),
    'wait',
    'clock',
  ].join('\n')
  return map(all({ out: script(text, ['preflight']), modules: kernelModules(modules) }), ({ out, modules: found }) => ({
    ...parseSeen(out.out.toString('utf8')),
    modules: Object.fromEntries(modules.map((name, i) => [name, found[i]!])),
  }))
}

/** The port of the API behind the endpoint. */
export function apiPort({ endpoint, bindPort }: Pick<Wanted, 'endpoint' | 'bindPort'>): number {
  return Number(/:(\d+)$/.exec(endpoint ?? '')?.[1] ?? bindPort)
}

/** The script's lines. */
export function parseSeen(text: string): Omit<Seen, 'modules'> {
  const lines = text.split('\n').map((line) => line.trim().split(' '))
  const of = (word: string): string[][] => lines.filter(([first]) => first === word).map(([, ...rest]) => rest)
  const clocks = of('clock').map(([seconds]) => Number(seconds))
  const ports = new Map(of('port').map(([hex]): [number, string] => [Number.parseInt(hex!, 16), '']))
  for (const [port, program] of of('owner')) ports.set(Number(port), program ?? '')
  const [vip] = of('vip')
  return {
    clock: [clocks[0] ?? Number.NaN, clocks.at(-1) ?? Number.NaN],
    ports,
    servers: Object.fromEntries(of('server').map(([file, server]) => [file!, server ?? ''])),
    etcdData: of('etcd').length > 0,
    kubelet: of('kubelet')[0]?.join(' ') ?? '',
    containerd: of('containerd')[0]?.join(' ') ?? '',
    disks: Object.fromEntries(
      of('disk').map(([path, type, blocks, size]) => [
        path!,
        { type: type ?? '', ...(size === undefined ? {} : { free: Number(blocks) * Number(size) }) },
      ]),
    ),
    unresolved: of('unresolved').map(([name]) => name!),
    virtualIp: vip && { mac: vip[0] === '-' ? '' : vip[0]!, api: vip[1] !== 'none' },
    missingTools: of('tool').map(([name]) => name!),
    urls: Object.fromEntries(of('url').map(([address, ...said]) => [address!, said.join(' ').trim()])),
    mirrors: Object.fromEntries(of('mirror').map(([address, ...said]) => [address!, said.join(' ').trim()])),
    kernelOptions: of('option').map(([name]) => name!),
  }
}
