import { map, type Read } from '../read.ts'
import { script } from '../reads/script.ts'

/** What systemd says of a service, and its last words. */
export interface Service {
  /** `not-found`: it is not installed. */
  readonly load: string
  readonly active: string
  readonly sub: string
  /** Why it ended: `exit-code`, `signal`, `core-dump`, `oom-kill`, `success`. */
  readonly result: string
  readonly restarts: number
  readonly log: readonly string[]
}

/** A file system that a node lives on. */
export interface Volume {
  /** The first of the paths that is on it: `/`, `/var/lib/containerd` … */
  readonly path: string
  readonly type: string
  /** `/dev/sda2`; what was mounted. */
  readonly source: string
  readonly readOnly: boolean
  /** fstab wants it so. */
  readonly meantReadOnly: boolean
  /** Free for everybody but root, in bytes and as a share; absent for file systems of the network, which are not asked. */
  readonly free?: number
  readonly freeShare?: number
  readonly freeInodesShare?: number
  /** ext4's own count of errors since the last fsck (/sys/fs/ext4/DEVICE/errors_count). */
  readonly errors: number
}

/** All that a diagnosis is made from. */
export interface Signs {
  readonly host: string
  readonly uptimeSeconds: number
  /** The journal of this boot says that the last one did not end in a shutdown. */
  readonly uncleanShutdown: boolean
  /** Kernel messages of this boot about disks, file systems, memory and lockups, oldest first. */
  readonly kernelLog: readonly string[]
  readonly missingModules: readonly string[]
  readonly ipForward: boolean
  readonly swap: readonly string[]
  readonly volumes: readonly Volume[]
  readonly containerd: Service
  /** The socket is there; what `ctr version` said when it does not answer, '' when it does; undefined without ctr. */
  readonly socket: { readonly exists: boolean; readonly complaint: string | undefined }
  /** Lines of `ctr plugins ls` about CRI that are not `ok`. */
  readonly criTrouble: readonly string[]
  readonly kubelet: Service
  /** /var/lib/kubelet/config.yaml and /etc/kubernetes/kubelet.conf are there. */
  readonly joined: boolean
  /** kubelet's client certificate ends at this time, seconds since the epoch. */
  readonly certificateEnds: number | undefined
  readonly now: number
  /** Files of CNI configurations. */
  readonly cniConfigs: readonly string[]
  /** Plugins that the configurations name and that are in none of the folders that containerd looks in. */
  readonly missingPlugins: readonly string[]
  /** Folders that containerd looks in for plugins, and those that hold any. */
  readonly cniBinDirs: readonly string[]
  readonly filledBinDirs: readonly string[]
  /** The API server of kubelet.conf, '' when there is none. */
  readonly server: string
  /** HTTP status of its /healthz, or what curl said. */
  readonly serverAnswer: string
  /** `Ready` of the node as the API has it: True, False, Unknown, with reason and message; absent when it could not be asked. */
  readonly ready: { readonly status: string; readonly reason: string; readonly message: string } | undefined
}

/** Where a node keeps what must be written. */
const PATHS = '/ /var /var/lib /var/lib/containerd /var/lib/kubelet /var/lib/etcd /etc'

const SCRIPT = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
limit() { if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi; }
echo "host $(cat /proc/sys/kernel/hostname)"
echo "now $(date +%s)"
read -r u _ < /proc/uptime; echo "uptime \${u%.*}"
if journalctl -b -q --no-pager -o cat -n 2000 -t systemd-journald 2>/dev/null | grep -q 'uncleanly shut down'; then echo unclean; fi
{ dmesg 2>/dev/null || journalctl -k -b -q --no-pager -o cat 2>/dev/null; } |
  grep -iE 'I/O error|EXT4-fs (error|warning)|EXT4-fs .*(recovery|orphan|remount|abort)|JBD2.*(abort|error)|XFS .*(corrupt|shut|error|recovery)|BTRFS.*(error|corrupt|forced readonly)|remounting filesystem read-only|out of memory: killed|soft lockup|hung_task|blocked for more than|hardware error|machine check' |
  tail -n 40 | sed 's/^/log /'
for m in overlay br_netfilter; do echo "module $m $(rb_kmod $m)"; done
echo "forward $(cat /proc/sys/net/ipv4/ip_forward)"
{ read -r _; while read -r d _; do echo "swap $d"; done; } < /proc/swaps
for p in ${PATHS}; do
  awk -v p="$p" '{ m = $5; if (p == m || m == "/" || index(p, m "/") == 1) if (length(m) >= n) { n = length(m); at = m; dev = $3; o = $6; for (i = 7; $i != "-"; i++); t = $(i + 1); s = $(i + 2); so = $(i + 3) } } END { print at, dev, t, s, o "," so }' /proc/self/mountinfo
done | sort -u | while read -r at dev t s o; do
  case ,$o, in *,ro,* | *,emergency_ro,* | *,shutdown,*) r=ro ;; *) r=rw ;; esac
  w=rw; while read -r _ fm _ fo _; do [ "$fm" != "$at" ] || case ,$fo, in *,ro,*) w=ro ;; esac; done < /etc/fstab 2>/dev/null
  n=$(readlink "/sys/dev/block/$dev" 2>/dev/null); n=\${n##*/}; e=0
  [ -z "$n" ] || e=$(cat "/sys/fs/ext4/$n/errors_count" 2>/dev/null) || e=0
  case $t in nfs* | cifs | smb* | ceph | fuse.*) f= ;; *) f=$(stat -f -c '%a %b %S %d %c' "$at") ;; esac
  echo "volume $at $t $s $r $w \${e:-0} $f"
done
for u in containerd kubelet; do
  systemctl show -p LoadState -p ActiveState -p SubState -p Result -p NRestarts "$u.service" 2>/dev/null | sed "s/^/$u /"
  journalctl -q --no-pager -o cat -n 30 -u "$u.service" 2>/dev/null | cut -c 1-600 | sed "s/^/$u-log /"
done
s=/run/containerd/containerd.sock
if [ -S $s ]; then echo socket; fi
if command -v ctr >/dev/null; then
  v=$(limit 5 ctr version 2>&1); case $? in
    0) echo 'ctr ok'
      # A plugin that is turned off is in no line at all.
      if l=$(limit 5 ctr plugins ls 2>/dev/null); then
        l=$(printf '%s\\n' "$l" | grep -E 'io.containerd.(grpc.v1 +cri |cri.v1 )') || echo 'cri it is disabled (disabled_plugins)'
        printf '%s\\n' "$l" | grep . | grep -v ' ok *$' | sed 's/^/cri /'
      fi ;;
    124 | 137 | 143) echo 'ctr failed ' ;;
    *) echo "ctr failed $(printf '%s' "$v" | tail -n 1)" ;;
  esac
  limit 5 containerd config dump 2>/dev/null | sed -n '/nri\\|image-verifier/d; s/^ *bin_dirs* = //p' | tr -d '[]"'"'"' ' | tr ',' '\\n' | sed '/^\\/.*cni/!d; s/^/bin /'
fi
[ ! -s /var/lib/kubelet/config.yaml ] || [ ! -s /etc/kubernetes/kubelet.conf ] || echo joined
if command -v openssl >/dev/null; then
  d=$(openssl x509 -noout -enddate -in /var/lib/kubelet/pki/kubelet-client-current.pem 2>/dev/null) && echo "certificate $(date -d "\${d#*=}" +%s)"
fi
for f in /etc/cni/net.d/*.conf /etc/cni/net.d/*.conflist /etc/cni/net.d/*.json; do
  [ -f "$f" ] || continue
  echo "cni $f"
  grep -o '"type"[[:space:]]*:[[:space:]]*"[^"]*"' "$f" | sed 's/.*"\\([^"]*\\)"$/type \\1/'
done
for d in /opt/cni/bin /usr/lib/cni /usr/libexec/cni; do for f in "$d"/*; do if [ -x "$f" ] && [ -f "$f" ]; then echo "plugin $f"; fi; done; done
a=$(sed -n 's/^ *server: *//p' /etc/kubernetes/kubelet.conf 2>/dev/null | head -n 1)
if [ -n "$a" ]; then
  echo "server $a"
  if command -v curl >/dev/null; then echo "answer $(curl -sk -m 5 -o /dev/null -w '%{http_code}' "$a/healthz" 2>&1) $(curl -skS -m 5 -o /dev/null "$a/healthz" 2>&1 | head -n 1)"
  else echo "answer $(limit 5 wget -q -S --no-check-certificate -O /dev/null "$a/healthz" 2>&1 | sed -n 's/^ *HTTP[^ ]* \\([0-9]*\\).*/\\1/p' | tail -n 1)"; fi
  if command -v kubectl >/dev/null; then
    limit 8 kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=5s get node "$(cat /proc/sys/kernel/hostname)" \\
      -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}ready {.status} {.reason} {.message}{"\\n"}{end}' 2>/dev/null
  fi
fi
exit 0`

/** Puts all questions at once; takes up to half a minute when things hang, and changes nothing. */
export function look(): Read<Signs> {
  return map(script(`${KMOD}${SCRIPT}`, ['doctor']), ({ out }) => parseSigns(out.toString('utf8')))
}

/** Whether a module is loaded or built in, in words of its own: the node may be too broken for more. */
const KMOD = `
rb_kmod() {
  if [ -e "/sys/module/$1" ]; then echo there
  elif [ "$1" = overlay ] && grep -qw overlay /proc/filesystems; then echo there
  elif [ "$1" = br_netfilter ] && [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo there
  else echo missing; fi
}
`

/** The script's lines. */
export function parseSigns(text: string): Signs {
  const lines = text.split('\n')
  const of = (word: string): string[] =>
    lines.filter((l) => l.startsWith(`${word} `)).map((l) => l.slice(word.length + 1))
  const one = (word: string): string => of(word)[0]?.trim() ?? ''
  const plugins = of('plugin')
  const folder = (path: string): string => path.replace(/\/[^/]*$/, '')
  const binDirs = of('bin').length > 0 ? of('bin') : ['/opt/cni/bin']
  const found = new Set(plugins.filter((p) => binDirs.includes(folder(p))).map((p) => p.replace(/^.*\//, '')))
  const types = [...new Set(of('type'))].filter((type) => !INNER.has(type))
  const [, status, reason, message] = /^(\S+) (\S+) ?(.*)$/.exec(one('ready')) ?? []
  const certificate = one('certificate')
  const ctr = one('ctr')
  return {
    host: one('host'),
    now: Number(one('now')),
    uptimeSeconds: Number(one('uptime')),
    uncleanShutdown: lines.includes('unclean'),
    kernelLog: of('log'),
    missingModules: of('module').flatMap((l) => (l.endsWith(' missing') ? [l.split(' ')[0]!] : [])),
    ipForward: one('forward') !== '0',
    swap: of('swap'),
    volumes: of('volume').map(parseVolume),
    containerd: parseService(of('containerd'), of('containerd-log')),
    socket: {
      exists: lines.includes('socket'),
      complaint:
        ctr === '' ? undefined : ctr.replace(/^(ok|failed) ?/, '') || (ctr === 'ok' ? '' : 'no answer within 5 s'),
    },
    criTrouble: of('cri'),
    kubelet: parseService(of('kubelet'), of('kubelet-log')),
    joined: lines.includes('joined'),
    certificateEnds: certificate === '' ? undefined : Number(certificate),
    cniConfigs: of('cni'),
    missingPlugins: types.filter((type) => !found.has(type)),
    cniBinDirs: binDirs,
    filledBinDirs: [...new Set(plugins.map(folder))],
    server: one('server'),
    serverAnswer: one('answer'),
    ready: status === undefined ? undefined : { status, reason: reason!, message: message! },
  }
}

/** Values of `"type"` in CNI configurations that are not plugins of their own (kubeconfig and policy stanzas of Calico). */
const INNER = new Set(['k8s', 'iptables', 'none'])

function parseVolume(line: string): Volume {
  const [path, type, source, mode, wanted, errors, ...statfs] = line.trim().split(' ')
  const [free, blocks, size, freeInodes, inodes] = statfs.map(Number)
  return {
    path: path!,
    type: type!,
    source: source!,
    readOnly: mode === 'ro',
    meantReadOnly: wanted === 'ro',
    errors: Number(errors),
    ...(blocks ? { free: free! * size!, freeShare: free! / blocks } : {}),
    // btrfs and others have no fixed number of inodes and say 0.
    ...(inodes ? { freeInodesShare: freeInodes! / inodes } : {}),
  }
}

function parseService(properties: readonly string[], log: readonly string[]): Service {
  const of = (name: string): string => properties.find((p) => p.startsWith(`${name}=`))?.slice(name.length + 1) ?? ''
  return {
    load: of('LoadState'),
    active: of('ActiveState'),
    sub: of('SubState'),
    result: of('Result'),
    restarts: Number(of('NRestarts') || 0),
    log,
  }
}
