import { TaskFailure } from '../define.ts'

/** A network card, and whether it can wake the host: ethtool's letters (`g` is the magic packet). */
export interface Card {
  readonly name: string
  readonly mac: string
  readonly supports: string
}

export interface Mount {
  readonly path: string
  readonly type: string
  readonly source: string
}

/** What must be known of a host before it is taken down. */
export interface NodeLook {
  readonly bootId: string
  /** As root, or nothing of this can be done. */
  readonly root: boolean
  readonly systemd: boolean
  /** `systemctl is-system-running`: running, degraded, starting, stopping … */
  readonly state: string
  /** `active`, `inactive`, `failed` …; undefined where the unit is not installed. */
  readonly kubelet: string | undefined
  readonly containerd: string | undefined
  /** `1.6.20` */
  readonly containerdVersion: string | undefined
  readonly joined: boolean
  readonly failedUnits: readonly string[]
  readonly ext4Errors: Readonly<Record<string, number>>
  /** Who has asked that the system is not shut down: `dpkg: …`. */
  readonly inhibitors: readonly string[]
  /** Somebody's `shutdown +10` is under way. */
  readonly scheduled: boolean
  /** Ours is under way: the timer waits, or the system is stopping. */
  readonly goingDown: boolean
  readonly mounts: readonly Mount[]
  readonly cards: readonly Card[]
}

/** The transient units that a power off and a reboot of ours are. A second one is refused by systemd while one waits. */
export const POWEROFF_UNIT = 'runbook-poweroff'

export const LOOK = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
limit() { if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi; }
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
echo "uid $(id -u)"
if [ -d /run/systemd/system ]; then
  echo systemd
  echo "state $(limit 10 systemctl is-system-running 2>/dev/null)"
  for u in kubelet containerd; do
    echo "unit $u $(limit 10 systemctl show -p LoadState --value $u.service) $(limit 10 systemctl show -p ActiveState --value $u.service)"
  done
  limit 10 systemctl list-units --failed --plain --no-legend --no-pager 2>/dev/null | while read -r u _; do echo "failed $u"; done
  limit 5 systemd-inhibit --list --no-legend --no-pager 2>/dev/null | sed 's/^/inhibit /'
  [ ! -e /run/systemd/shutdown/scheduled ] || echo scheduled
  if systemctl -q is-active ${POWEROFF_UNIT}.timer || systemctl -q is-active ${POWEROFF_UNIT}.service ||
    systemctl list-jobs --no-legend --no-pager 2>/dev/null | grep -qE ' (poweroff|reboot|halt|shutdown|kexec)\\.target '; then echo going-down; fi
fi
if command -v containerd >/dev/null; then echo "containerd $(limit 5 containerd --version)"; fi
[ ! -s /etc/kubernetes/kubelet.conf ] || echo joined
for f in /sys/fs/ext4/*/errors_count; do
  [ ! -r "$f" ] || { d=\${f%/errors_count}; echo "ext4 \${d##*/} $(cat "$f")"; }
done
for n in /sys/class/net/*; do
  i=\${n##*/}; [ "$i" != lo ] || continue
  s=; ! command -v ethtool >/dev/null || s=$(ethtool "$i" 2>/dev/null | sed -n 's/^.*Supports Wake-on: *//p')
  echo "card $i $(cat "$n/address" 2>/dev/null) $s"
done
sed 's/^/mount /' /proc/self/mountinfo
`

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** A boot_id when a text is one: an error text was once taken for one (ansible#83018). */
export function parseBootId(text: string): string | undefined {
  const id = text.trim()
  return UUID.test(id) ? id : undefined
}

/** What LOOK printed. Throws TaskFailure when the host does not tell its boot_id. */
export function parseLook(text: string): NodeLook {
  const lines = text.split('\n')
  const of = (key: string): string[] =>
    lines.flatMap((line) => (line === key || line.startsWith(`${key} `) ? [line.slice(key.length + 1)] : []))
  const bootId = parseBootId(of('boot')[0] ?? '')
  if (bootId === undefined) throw new TaskFailure('the host does not give its boot_id')
  const units = new Map(
    of('unit').map((line) => {
      const [name, load, active] = line.split(' ')
      return [name, load === 'not-found' || load === '' ? undefined : active] as const
    }),
  )
  return {
    bootId,
    root: of('uid')[0] === '0',
    systemd: lines.includes('systemd'),
    state: of('state')[0] ?? '',
    kubelet: units.get('kubelet'),
    containerd: units.get('containerd'),
    containerdVersion: /\bv?(\d+\.\d+\.\d+)/.exec(of('containerd')[0] ?? '')?.[1],
    joined: lines.includes('joined'),
    failedUnits: of('failed').filter(Boolean),
    ext4Errors: Object.fromEntries(of('ext4').map((line) => [line.split(' ')[0], Number(line.split(' ')[1])])),
    inhibitors: of('inhibit').flatMap(parseInhibitor),
    scheduled: lines.includes('scheduled'),
    goingDown: lines.includes('going-down') || of('state')[0] === 'stopping',
    mounts: of('mount').flatMap(parseMount),
    cards: of('card').map((line) => {
      const [name = '', mac = '', supports = ''] = line.split(' ')
      return { name, mac, supports }
    }),
  }
}

/** `WHO UID USER PID COMM WHAT WHY MODE`; WHO and WHY have spaces. Only block locks on shutdown: delay locks are short. */
function parseInhibitor(line: string): string[] {
  const m = /^(.*?) +\d+ +\S+ +(\d+) +(\S+) +(\S+) +(.*?) +(block|delay)\s*$/.exec(line)
  if (m?.[6] !== 'block' || !m[4]!.split(':').includes('shutdown')) return []
  return [`${m[1]} (process ${m[2]} ${m[3]}): ${m[5]}`]
}

/** proc_pid_mountinfo(5): optional fields end with a dash; white space and backslashes are octal. */
function parseMount(line: string): Mount[] {
  const fields = line.split(' ')
  const dash = fields.indexOf('-', 6)
  if (dash === -1) return []
  const plain = (text = ''): string =>
    text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
  return [{ path: plain(fields[4]), type: fields[dash + 1] ?? '', source: plain(fields[dash + 2]) }]
}

const NETWORK_TYPES = /^(nfs|nfs4|cifs|smb3|ceph|9p|glusterfs|fuse\.(sshfs|glusterfs|s3fs|ceph-fuse))$/

/** What hangs when its server is gone. */
export function networkMounts({ mounts }: NodeLook): Mount[] {
  return mounts.filter(({ type }) => NETWORK_TYPES.test(type))
}

/** What kubelet, containerd and CNI have mounted (k3s-killall.sh's list), the deepest and newest first. */
export function containerMounts({ mounts }: Pick<NodeLook, 'mounts'>): string[] {
  const ours = /^(\/run\/containerd\/.|\/var\/lib\/kubelet\/(pods|plugins)\/.|\/run\/netns\/cni-)/
  const paths = mounts.map(({ path }, order) => ({ path, order, depth: path.split('/').length }))
  return paths
    .filter(({ path }) => ours.test(path))
    .sort((a, b) => b.depth - a.depth || b.order - a.order)
    .map(({ path }) => path)
}

/** Shims of containerd before 1.6.0 and 1.5.11 ignore SIGTERM: a shutdown waits 90 s for each (containerd#5502). */
export function hasOldShims(version: string | undefined): boolean {
  if (version === undefined) return false
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  return major < 1 || (major === 1 && (minor < 5 || (minor === 5 && patch < 11)))
}
