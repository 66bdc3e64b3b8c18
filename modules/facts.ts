import { defineModule, map, read, z } from '#module'

export default defineModule({
  summary: 'Facts: what a host is',
  description:
    'Read at the start of each play (unless `gather_facts: false`), together with the questions of the first tasks, so that ' +
    'they cost no round trip of their own. As a task, it reads them again. Nothing is ever asked of a mounted file system.',
  args: z.strictObject({}),
  readOnly: true,
  provides: 'facts',
  examples: [{ name: 'Read the facts again', yaml: 'facts: {}' }],
  returns: {
    hostname: 'the kernel’s host name',
    machine_id: '/etc/machine-id',
    boot_id: 'a UUID that is new after each boot',
    uptime_seconds: 'whole seconds since the boot',
    os: '{id, id_like: list, family, version, release, codename, name}; family is debian, redhat, suse, alpine, arch or the id; version is VERSION_ID of os-release(5), release the same with the point release where the system keeps it elsewhere (Debian, CentOS)',
    kernel: '{release, architecture, cmdline}',
    architecture: 'amd64, arm64, … (Debian’s names)',
    bits: '64 or 32, of the programs',
    cpu: '{model, count, sockets, cores}: logical processors, sockets, physical cores of all sockets',
    memory: '{total_mb, swap_mb}',
    swap: 'list of {device, type, size_mb}',
    interfaces:
      'map of name to {mac, mtu, state, ipv4: list, ipv6: list}; addresses with prefix length; without container interfaces',
    addresses:
      'list of all IPv4 and IPv6 addresses of the interfaces but loopback and link-local ones, without prefix length',
    default_route: '{interface, gateway, address, address6?}: of the IPv4 default route; absent without one',
    init: 'systemd, or the name of process 1',
    package_manager: 'apt, dnf, yum, zypper, apk, pacman; absent when none is there',
    cgroup: 'v1, v2 or hybrid',
    mounts: 'list of {device, path, type, options: list}, without pseudo file systems',
    disks: 'list of {name, size_gb, rotational, model, serial}',
    firmware: 'efi or bios',
    selinux: 'enforcing, permissive or disabled',
    apparmor: 'true when the kernel enforces AppArmor',
    virtualization: 'none on bare metal, else kvm, vmware, …',
    container: 'the container manager when the host is a container, else ""',
    product: '{vendor, name, serial, uuid}; serial and uuid only for root',
    user: '{name, uid, gid, home}: as whom the facts were read',
    time: '{epoch, zone}: seconds since the epoch, name of the time zone',
  },
  probe: () => ({
    raw: map(read.script(SCRIPT, ['fact:all', 'mount:*', 'user:*']), ({ out }) => parseFacts(out.toString('utf8'))),
  }),
  plan: () => [],
  result: (_args, { raw }) => raw,
})

/** Lines `key value`, or `key` once for each of a list; builtins of sh wherever they do. */
const SCRIPT = `
put() { [ -z "$2" ] || printf '%s %s\\n' "$1" "$2"; }
one() { if [ -r "$2" ] && IFS= read -r v < "$2" && [ -n "$v" ]; then printf '%s %s\\n' "$1" "$v"; fi; } 2>/dev/null
one kernel /proc/sys/kernel/osrelease
# From Linux 6.1 on.
if [ -r /proc/sys/kernel/arch ]; then one machine /proc/sys/kernel/arch; else put machine "$(uname -m)"; fi
one hostname /proc/sys/kernel/hostname
one machine_id /etc/machine-id
one boot_id /proc/sys/kernel/random/boot_id; boot=$v
one uptime /proc/uptime
one cmdline /proc/cmdline
one debian_version /etc/debian_version
one centos_release /etc/centos-release
# sh reads byte by byte, and a node with pods has hundreds of mounts.
set -- /proc/cpuinfo /proc/meminfo /proc/self/mounts
[ ! -r /proc/swaps ] || set -- "$@" /proc/swaps
for f in /etc/os-release /usr/lib/os-release; do if [ -r "$f" ]; then set -- "$@" "$f"; break; fi; done
awk '
  FILENAME=="/proc/cpuinfo"{if(/^processor/)n++; if(/^model name/&&!m){m=$0;sub(/^[^:]*: /,"",m)} if(/^physical id/){p=$4;s[p]=1} if(/^cpu cores/)c[p]=$4; next}
  FILENAME=="/proc/meminfo"{if(/^MemTotal/)print "memory",$2; if(/^SwapTotal/)print "swap_total",$2; next}
  FILENAME=="/proc/swaps"{if(FNR>1)print "swap",$1,$2,$3; next}
  FILENAME!="/proc/self/mounts"{print "os",$0; next}
  $3~/^(proc|sysfs|cgroup.*|devpts|devtmpfs|tmpfs|nsfs|mqueue|debugfs|tracefs|securityfs|pstore|bpf|autofs|configfs|fusectl|hugetlbfs|binfmt_misc|efivarfs|rpc_pipefs|ramfs|squashfs)$/{next}
  $3=="overlay"&&$2!="/"{next}
  index($2,"/var/lib/kubelet/")==1||index($2,"/run/containerd/")==1||index($2,"/var/lib/docker/")==1{next}
  {print "mount",$1,$2,$3,$4}
  END{if(m!="")print "cpu_model",m; print "cpu_count",n; k=0; for(i in s)k++; print "cpu_sockets",k; t=0; for(i in c)t+=c[i]; print "cpu_cores",t}' "$@"
for n in /sys/class/net/*; do
  i=\${n##*/}; case $i in lo|veth*|cali*|lxc*|cni-*) continue ;; esac
  a=; m=; s=
  IFS= read -r a < "$n/address"; IFS= read -r m < "$n/mtu"; IFS= read -r s < "$n/operstate"
  printf 'interface %s %s %s %s\\n' "$i" "\${a:--}" "\${m:-0}" "\${s:-unknown}"
done 2>/dev/null
if command -v ip >/dev/null; then
  # One program for both; busybox has no -batch.
  l=$(ip -o -batch - 2>/dev/null <<end
addr show
route show default
end
) || l=$(ip -o addr show 2>/dev/null; ip -4 route show default 2>/dev/null)
  while read -r x i f a r; do
    case $x in default) put route4 "$x $i $f $a $r"; continue ;; esac
    case $i in lo|veth*|cali*|lxc*) ;; *) printf 'address %s %s %s\\n' "$i" "$f" "$a" ;; esac
  done <<end
$l
end
  case $l in *' inet6 '[23]*|*' inet6 f'[cd]*) put route6 "$(ip -6 route show default 2>/dev/null)" ;; esac
fi
if [ -d /run/systemd/system ]; then put init systemd; else one init /proc/1/comm; fi
for p in apt-get dnf yum zypper apk pacman; do if command -v $p >/dev/null; then put package_manager "\${p%-get}"; break; fi; done
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then put cgroup v2
elif [ -d /sys/fs/cgroup/unified ]; then put cgroup hybrid; else put cgroup v1; fi
for b in /sys/block/*; do
  case \${b##*/} in loop*|ram*|zram*|dm-*|md*|sr*|fd*|nbd*) continue ;; esac
  z=0; r=; m=; s=
  IFS= read -r z < "$b/size"; IFS= read -r r < "$b/queue/rotational"; IFS= read -r m < "$b/device/model"; IFS= read -r s < "$b/device/serial"
  printf 'disk %s|%s|%s|%s|%s\\n' "\${b##*/}" "$z" "$r" "$m" "$s"
done 2>/dev/null
[ ! -d /sys/firmware/efi ] || put firmware efi
one selinux /sys/fs/selinux/enforce
one apparmor /sys/module/apparmor/parameters/enabled
if command -v systemd-detect-virt >/dev/null; then
  # Seven milliseconds each time for what lasts until the next boot: root keeps it where its lock lies, in a folder that only root
  # can have made.
  k=/run/runbook/virt b= i= c=
  [ ! -r $k ] || read -r b i c < $k
  if [ "$b" != "$boot" ] || [ -z "$c" ]; then
    # Without an option it says the innermost, and which containers there are it knows by name; systemd as process 1 of one
    # writes its name down.
    i= c=none
    if [ -r /run/systemd/container ]; then IFS= read -r c < /run/systemd/container
    else i=$(systemd-detect-virt 2>/dev/null); fi
    case $i in openvz|lxc*|systemd-nspawn|docker|podman|rkt|wsl|proot|pouch|container-other) c=$i i= ;; esac
    [ -n "$i" ] || i=$(systemd-detect-virt --vm 2>/dev/null)
    if [ -w /run/runbook ]; then printf '%s %s %s\\n' "$boot" "$i" "$c" > $k.$$ && mv -f $k.$$ $k; fi
  fi 2>/dev/null
  put virt "$i"; put container "$c"
fi
for k in sys_vendor product_name product_serial product_uuid; do one dmi_$k /sys/class/dmi/id/$k; done
{ while read -r k x u r && [ "$k" != Uid: ]; do :; done; read -r k x g r; } </proc/$$/status
# Root's name is at the top of the file, others' may be in a directory far away.
n=; [ "$u" != 0 ] || while IFS=: read -r n x i r && [ "$i" != 0 ]; do n=; done 2>/dev/null </etc/passwd
put user "$u \${n:-$(id -un)} $HOME"
put gid "$g"
# Addresses of a program of 64 bits have more than eight digits.
if [ -r /proc/$$/maps ]; then b=32; while read -r m r; do case $m in [!-][!-][!-][!-][!-][!-][!-][!-][!-]*) b=64; break ;; esac; done </proc/$$/maps; put bits "$b"; fi
put time "$(date '+%s %Z')"
`

const FAMILIES: ReadonlyMap<string, string> = new Map([
  ['debian', 'debian'],
  ['ubuntu', 'debian'],
  ['rhel', 'redhat'],
  ['fedora', 'redhat'],
  ['centos', 'redhat'],
  ['openEuler', 'redhat'],
  ['kylin', 'redhat'],
  ['alinux', 'redhat'],
  ['tencentos', 'redhat'],
  ['suse', 'suse'],
  ['opensuse', 'suse'],
  ['alpine', 'alpine'],
  ['arch', 'arch'],
])

/** `uname -m` to Debian's names, which are Kubernetes' and Go's too. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armv7l', 'arm'],
  ['i686', '386'],
  ['riscv64', 'riscv64'],
  ['ppc64le', 'ppc64le'],
  ['s390x', 's390x'],
])

/** The answers of the script as facts. */
export function parseFacts(text: string): Record<string, unknown> {
  const lines = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const at = line.indexOf(' ')
    if (at === -1) continue
    const key = line.slice(0, at)
    const list = lines.get(key) ?? []
    list.push(line.slice(at + 1).trim())
    lines.set(key, list)
  }
  const all = (key: string): string[] => lines.get(key) ?? []
  const one = (key: string): string => all(key)[0] ?? ''
  const number = (key: string): number => Number(one(key) || 0)
  const interfaces = parseInterfaces(all('interface'), all('address'))
  const [uid = '', userName = '', home = ''] = one('user').split(' ')
  const [epoch = '0', zone = ''] = one('time').split(' ')
  const machine = one('machine')
  const manager = one('package_manager')
  const route = parseRoute(one('route4'), one('route6'), interfaces)
  return {
    hostname: one('hostname'),
    machine_id: one('machine_id'),
    boot_id: one('boot_id'),
    uptime_seconds: Math.floor(Number(one('uptime').split(' ')[0] || 0)),
    os: parseOs(all('os'), one('debian_version'), one('centos_release')),
    kernel: { release: one('kernel'), architecture: machine, cmdline: one('cmdline') },
    architecture: ARCHITECTURES.get(machine) ?? machine,
    // A kernel of 64 bits runs programs of 32, as on many a Raspberry Pi.
    bits: number('bits') || (machine.includes('64') || machine === 's390x' ? 64 : 32),
    cpu: {
      model: one('cpu_model'),
      count: number('cpu_count'),
      sockets: number('cpu_sockets') || 1,
      cores: number('cpu_cores') || number('cpu_count'),
    },
    memory: { total_mb: Math.floor(number('memory') / 1024), swap_mb: Math.floor(number('swap_total') / 1024) },
    swap: all('swap').map((line) => {
      const [device = '', type = '', size = '0'] = line.split(' ')
      return { device: unescapeOctal(device), type, size_mb: Math.floor(Number(size) / 1024) }
    }),
    interfaces: Object.fromEntries(interfaces),
    addresses: [...interfaces.values()].flatMap((i) =>
      [...i.ipv4, ...i.ipv6.filter((a) => !/^fe80:/i.test(a))].map(bare),
    ),
    ...(route ? { default_route: route } : {}),
    init: one('init'),
    ...(manager ? { package_manager: manager } : {}),
    cgroup: one('cgroup'),
    mounts: all('mount').map((line) => {
      const [device = '', path = '', type = '', options = ''] = line.split(' ')
      return { device: unescapeOctal(device), path: unescapeOctal(path), type, options: options.split(',') }
    }),
    disks: all('disk').map((line) => {
      const [name = '', sectors = '0', rotational = '', model = '', serial = ''] = line.split('|')
      // /sys/block/*/size counts sectors of 512 bytes whatever the disk's own are
      const size_gb = Math.round((Number(sectors) * 512) / 1e8) / 10
      return { name, size_gb, rotational: rotational === '1', model: model.trim(), serial: serial.trim() }
    }),
    firmware: one('firmware') || 'bios',
    selinux: one('selinux') === '1' ? 'enforcing' : one('selinux') === '0' ? 'permissive' : 'disabled',
    apparmor: one('apparmor') === 'Y',
    virtualization: one('virt') || 'none',
    container: one('container') === 'none' ? '' : one('container'),
    product: {
      vendor: one('dmi_sys_vendor'),
      name: one('dmi_product_name'),
      serial: one('dmi_product_serial'),
      uuid: one('dmi_product_uuid').toLowerCase(),
    },
    user: { name: userName, uid: Number(uid), gid: number('gid'), home },
    time: { epoch: Number(epoch), zone },
  }
}

function parseOs(lines: readonly string[], debian: string, centos: string): Record<string, unknown> {
  const values = new Map<string, string>()
  for (const line of lines) {
    const m = /^([A-Z_]+)=(.*)$/.exec(line)
    if (m) values.set(m[1]!, m[2]!.replace(/^(["'])(.*)\1$/, '$2').replace(/\\(.)/g, '$1'))
  }
  const id = values.get('ID') ?? 'linux'
  const id_like = (values.get('ID_LIKE') ?? '').split(' ').filter(Boolean)
  const family = [id, ...id_like].map((name) => FAMILIES.get(name)).find((f) => f !== undefined) ?? id
  const version = values.get('VERSION_ID') ?? ''
  return {
    id,
    id_like,
    family,
    version,
    release: pointRelease(id, version, debian, centos),
    codename: values.get('VERSION_CODENAME') ?? '',
    name: values.get('PRETTY_NAME') ?? id,
  }
}

/** The more exact of two (github.com/python-distro/distro, `version(best=True)`): 12.5 for Debian 12, 7.9 for CentOS 7. */
function pointRelease(id: string, version: string, debian: string, centos: string): string {
  const other = id === 'debian' ? debian : id === 'centos' ? (/\d+(\.\d+)?/.exec(centos)?.[0] ?? '') : ''
  const dots = (text: string): number => text.split('.').length
  return dots(other) > dots(version) ? other : version
}

interface Interface {
  mac: string
  mtu: number
  state: string
  ipv4: string[]
  ipv6: string[]
}

/** A map, for a host may give any name, such as one that every object has. */
function parseInterfaces(links: readonly string[], addresses: readonly string[]): Map<string, Interface> {
  const all = new Map<string, Interface>()
  for (const line of links) {
    const [name = '', mac = '', mtu = '0', state = ''] = line.split(' ')
    all.set(name, { mac: mac === '-' ? '' : mac, mtu: Number(mtu), state, ipv4: [], ipv6: [] })
  }
  for (const line of addresses) {
    const [name = '', family = '', address = ''] = line.split(' ')
    const of = all.get(name.replace(/[@:].*$/, ''))
    if (family === 'inet') of?.ipv4.push(address)
    if (family === 'inet6') of?.ipv6.push(address)
  }
  return all
}

function parseRoute(
  v4: string,
  v6: string,
  interfaces: ReadonlyMap<string, Interface>,
): Record<string, string> | undefined {
  const word = (line: string, name: string): string => new RegExp(`(?:^| )${name} (\\S+)`).exec(line)?.[1] ?? ''
  const device = word(v4, 'dev')
  if (device === '') return undefined
  const address = word(v4, 'src') || bare(interfaces.get(device)?.ipv4[0] ?? '')
  const six = interfaces.get(word(v6, 'dev'))?.ipv6.find((a) => !/^fe80:/i.test(a))
  return { interface: device, gateway: word(v4, 'via'), address, ...(six ? { address6: bare(six) } : {}) }
}

const bare = (address: string): string => address.replace(/\/.*$/, '')

/** /proc/mounts and /proc/swaps write blanks as `\040`. */
const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
