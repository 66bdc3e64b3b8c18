import { quoteAll } from '../../shared/quote.ts'
import { type AskKind, ask, each, map, type Read, type Section } from '../read.ts'

const text = (section: Section | undefined): string => (section?.out.toString('utf8') ?? '').replace(/\n$/, '')

/** `net.ipv4.ip_forward` -> its file below /proc/sys; a key may hold slashes where a part holds dots (sysctl.d(5)). */
export function sysctlPath(key: string): string {
  const slash = key.indexOf('/')
  const dot = key.indexOf('.')
  const path = slash !== -1 && (dot === -1 || slash < dot) ? key : key.replace(/[./]/g, (c) => (c === '.' ? '/' : '.'))
  return `/proc/sys/${path}`
}

/**
 * One `grep` for all parameters. Not the shell's `read`: it asks for one byte at a time, and most files below /proc/sys
 * answer only a read at their start.
 */
const sysctlKind: AskKind<string, string | undefined> = {
  name: 'sysctl',
  reads: (key) => [`sysctl:${key}`],
  sections: () => 1,
  script: (keys) => `grep -sH '' -- ${quoteAll(keys.map(sysctlPath))} /dev/null; rb_mark\n`,
  parse: ([section], keys) => {
    const values = new Map<string, string>()
    for (const line of text(section).split('\n')) {
      const at = line.indexOf(':')
      const path = line.slice(0, at)
      const before = values.get(path)
      values.set(path, before === undefined ? line.slice(at + 1) : `${before}\n${line.slice(at + 1)}`)
    }
    return keys.map((key) => values.get(sysctlPath(key)))
  },
}

/** Live values of kernel parameters, tabs as single spaces; a parameter that does not exist is left out. */
export function sysctl(keys: readonly string[]): Read<Record<string, string>> {
  return map(each(keys.map((key) => ask(sysctlKind, key))), (values) =>
    Object.fromEntries(
      keys.flatMap((key, i) => (values[i] === undefined ? [] : [[key, values[i]!.replace(/\s+/g, ' ').trim()]])),
    ),
  )
}

/** A kernel module on a host. */
export interface KernelModule {
  /** In the kernel: loaded, or built in. */
  readonly present: boolean
  readonly builtIn: boolean
  /** modprobe can find it, whether or not it is loaded. */
  readonly available: boolean
}

export interface Kernel {
  readonly release: string
  /** /lib/modules has a folder for the running kernel: it has not after an upgrade of the kernel on some distributions. */
  readonly hasModules: boolean
  readonly redhat: boolean
}

/**
 * A built-in module without parameters has no folder in /sys/module, and a kernel may come without a modules folder at
 * all. Then the kernel's own configuration tells: an option of a module's name is `y`. Few modules have the name of their
 * option, so those that Kubernetes hosts need are listed; for the others modules.builtin has to do.
 */
const BUILT_IN = `
rb_kmod_config() {
  case $1 in
    br_netfilter) echo BRIDGE_NETFILTER ;;
    overlay) echo OVERLAY_FS ;;
    bonding|vxlan|dummy|macvlan|ipvlan|veth|tun|bridge|nf_conntrack|nf_tables|ip_vs|ip_vs_rr|ip_vs_wrr|ip_vs_sh|zram|wireguard|nf_nat) echo "$1" ;;
    8021q) echo VLAN_8021Q ;;
    nvme_tcp) echo NVME_TCP ;;
    iscsi_tcp) echo ISCSI_TCP ;;
    dm_*|ipmi_*|vfio_*|nft_*|xt_*|sch_*) echo "$1" ;;
    ip_tables) echo IP_NF_IPTABLES ;;
    ip6_tables) echo IP6_NF_IPTABLES ;;
    rbd) echo BLK_DEV_RBD ;;
    nbd) echo BLK_DEV_NBD ;;
    loop) echo BLK_DEV_LOOP ;;
    softdog) echo SOFT_WATCHDOG ;;
  esac
}
rb_kmod() {
  rb_k=$(uname -r)
  rb_c=
  for rb_n; do
    if [ -e "/sys/module/$rb_n" ]; then
      # the state of loading is something that only a loaded module has
      if [ -e "/sys/module/$rb_n/initstate" ]; then echo loaded; else echo builtin; fi
      continue
    fi
    if grep -qE "/$(printf %s "$rb_n" | sed 's/_/[_-]/g')\\.ko" "/lib/modules/$rb_k/modules.builtin" 2>/dev/null; then echo builtin; continue; fi
    rb_o=$(rb_kmod_config "$rb_n" | tr 'a-z' 'A-Z')
    if [ -n "$rb_o" ]; then
      [ -n "$rb_c" ] || rb_c=$(zcat /proc/config.gz 2>/dev/null || cat "/boot/config-$rb_k" 2>/dev/null || echo none)
      case "
$rb_c
" in *"
CONFIG_$rb_o=y
"*) echo builtin; continue ;; esac
    fi
    if modprobe -n -q -- "$rb_n" 2>/dev/null; then echo available; else echo missing; fi
  done
}
`

const moduleKind: AskKind<string, KernelModule> = {
  name: 'kernel_module',
  prelude: BUILT_IN,
  reads: (name) => [`module:${name}`],
  sections: () => 1,
  script: (names) => `rb_kmod ${quoteAll(names)}; rb_mark\n`,
  parse: ([section], names) => {
    const words = text(section).split('\n')
    return names.map((_, i) => ({
      present: words[i] === 'loaded' || words[i] === 'builtin',
      builtIn: words[i] === 'builtin',
      available: words[i] !== 'missing',
    }))
  },
}

const kernelKind: AskKind<'', Kernel> = {
  name: 'kernel',
  reads: () => ['kernel'],
  sections: () => 1,
  script: () =>
    'rb_k=$(uname -r); echo "$rb_k"; if [ -d "/lib/modules/$rb_k" ]; then echo modules; fi; if [ -e /etc/redhat-release ]; then echo redhat; fi; rb_mark\n',
  parse: ([section]) => {
    const [release = '', ...words] = text(section).split('\n')
    return [{ release, hasModules: words.includes('modules'), redhat: words.includes('redhat') }]
  },
}

/** State of kernel modules, one answer a name in their order; `-` in a name means `_`, as to modprobe. */
export function kernelModules(names: readonly string[]): Read<KernelModule[]> {
  return each(names.map((name) => ask(moduleKind, name.replaceAll('-', '_'))))
}

/** The running kernel. */
export function kernel(): Read<Kernel> {
  return ask(kernelKind, '')
}
