import { quote } from '../../shared/quote.ts'
import { containerMounts, type NodeLook } from './look.ts'
import { groupSeconds, type PodGroup, podGroups, type RunningPod, stopScript } from './pods.ts'

/** One step of a stop: a piece of sh that prints `did WORDS` for what it did and `left WORDS` for what survived it. */
export interface Step {
  /** `kubelet`, `pods of the pod network` … */
  readonly title: string
  /** What it is about, for a dry run. */
  readonly items: readonly string[]
  /** Its time limit; the script keeps it, and is killed a little later when it does not. */
  readonly seconds: number
  readonly script: string
}

/** Seconds for each step; see the arguments of `node_stop`. */
export interface StopLimits {
  readonly service: number
  readonly kubelet: number
  readonly containerd: number
  readonly mount: number
  readonly sync: number
}

const HEAD = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
in_cgroup() { grep -lE "$1" /proc/[0-9]*/cgroup 2>/dev/null | while IFS=/ read -r _ _ p _; do
  IFS= read -r s 2>/dev/null <"/proc/$p/stat" || continue; case \${s##*) } in Z*) ;; *) echo "$p" ;; esac; done; }
words() { for p; do IFS= read -r n <"/proc/$p/comm" && IFS= read -r s <"/proc/$p/stat" && printf '%s %s (%.1s)\\n' "$n" "$p" "\${s##*) }"; done 2>/dev/null; }
left() { what=$1; shift; [ $# -eq 0 ] || echo "left $what: $(words "$@" | head -n 5 | tr '\\n' ',')"; }
`

/**
 * A service of the operator's choice: asked, never killed, for it may hold data. systemd's own limit (TimeoutStopSec)
 * applies too.
 */
export function serviceStep(name: string, seconds: number): Step {
  const unit = quote(name)
  return {
    title: `service ${name}`,
    items: [name],
    seconds,
    script: `${HEAD}
case $(systemctl show -p LoadState --value ${unit}) in not-found) echo "left there is no unit "${unit}; exit 0 ;; esac
systemctl -q is-active ${unit} || exit 0
timeout ${seconds} systemctl stop ${unit} && echo "did stopped "${unit} && exit 0
echo "left "${unit}" is $(systemctl show -p ActiveState --value ${unit}) after ${seconds} s"`,
  }
}

/**
 * kubelet alone: in one command with containerd both would be stopped side by side. What it leaves hanging in the kernel
 * (mount helpers of a dead server) survives SIGKILL (kubernetes#112364).
 */
export function kubeletStep(seconds: number): Step {
  return {
    title: 'kubelet',
    items: ['kubelet.service'],
    seconds: seconds + 20,
    script: `${HEAD}
case $(systemctl show -p ActiveState --value kubelet.service) in inactive | failed) ;; *)
  if timeout ${seconds} systemctl stop kubelet.service; then echo 'did stopped kubelet'
  else
    systemctl kill -s KILL kubelet.service
    echo 'did killed kubelet, which did not end within ${seconds} s'
    timeout 10 systemctl stop kubelet.service
  fi ;;
esac
left kubelet $(in_cgroup '/kubelet.service(/|$)')`,
  }
}

export function podStep(group: PodGroup, tool: 'crictl' | 'ctr'): Step {
  const seconds = groupSeconds(group)
  return {
    title: group.name === 'etcd' ? 'etcd' : `pods of the ${group.name}`,
    items: group.pods.map(({ namespace, name, grace }) => `${namespace}/${name} (grace ${grace} s)`),
    seconds,
    script: `${stopScript(group, tool)}
echo 'did stopped ${group.pods.length} pods'`,
  }
}

/**
 * containerd, and what its unit's KillMode=process leaves: shims, and the containers below them in scopes of their own,
 * which a shutdown would wait 90 s for each after the network is gone.
 */
export function containerdStep(seconds: number): Step {
  return {
    title: 'containerd',
    items: ['containerd.service', 'its shims', 'kubepods.slice'],
    seconds: seconds + 40,
    script: `${HEAD}
shims() { for c in /proc/[0-9]*/comm; do IFS= read -r n 2>/dev/null <"$c" || continue
  [ "$n" != containerd-shim ] || { d=\${c%/comm}; echo "\${d#/proc/}"; }; done; }
children() { for s in /proc/[0-9]*/stat; do IFS= read -r l 2>/dev/null <"$s" || continue
  p=\${l%% *}; set -- "$1" \${l##*) }; [ "$3" != "$1" ] || echo "$p"; done; }
case $(systemctl show -p ActiveState --value containerd.service) in inactive | failed) ;; *)
  if timeout ${seconds} systemctl stop containerd.service; then echo 'did stopped containerd'
  else
    systemctl kill -s KILL containerd.service
    echo 'did killed containerd, which did not end within ${seconds} s'
    timeout 10 systemctl stop containerd.service
  fi ;;
esac
s=$(shims)
if [ -n "$s" ]; then
  echo "did killed what containerd left: $(echo $s | wc -w) shims"
  k=; for i in $s; do k="$k $(children "$i")"; done
  kill -KILL $k 2>/dev/null
  systemctl kill --kill-whom=all -s KILL containerd.service 2>/dev/null || systemctl kill --kill-who=all -s KILL containerd.service 2>/dev/null
  kill -KILL $s 2>/dev/null
fi
if systemctl -q is-active kubepods.slice; then timeout 20 systemctl stop kubepods.slice; fi
n=0; while [ -n "$(in_cgroup '/kubepods[./]')$(shims)" ] && [ $n -lt 20 ]; do
  [ $n -ne 4 ] || kill -KILL $(in_cgroup '/kubepods[./]') 2>/dev/null
  n=$((n + 1)); sleep 0.5
done
left containers $(in_cgroup '/kubepods[./]')
left shims $(shims)`,
  }
}

/** Deepest first; what is busy or hangs is taken out of sight (umount -l), which is said. */
export function mountStep(paths: readonly string[], seconds: number): Step {
  return {
    title: 'mounts',
    items: countBelow(paths),
    seconds: 2 * seconds + 10,
    script: `${HEAD}
end=$(($(date +%s) + ${seconds}))
u() {
  t=$((end - $(date +%s))); [ $t -gt 0 ] || t=1; [ $t -lt 10 ] || t=10
  timeout -k 1 $t umount "$1" 2>/dev/null && return
  timeout -k 1 5 umount -l "$1" 2>/dev/null && { echo "did lazily unmounted $1"; return; }
  grep -qF " $1 " /proc/self/mountinfo && echo "left $1 is mounted"
}
${paths.map((path) => `u ${quote(path)}`).join('\n')}
echo 'did unmounted ${paths.length}'`,
  }
}

/** There are a dozen a pod: `12 below /run/containerd`. */
function countBelow(paths: readonly string[]): string[] {
  return ['/run/containerd', '/var/lib/kubelet', '/run/netns'].flatMap((root) => {
    const count = paths.filter((path) => path.startsWith(`${root}/`)).length
    return count === 0 ? [] : [`${count} below ${root}`]
  })
}

export function syncStep(seconds: number): Step {
  return {
    title: 'sync',
    items: ['what is not written yet'],
    seconds: seconds + 5,
    script: `timeout -k 1 ${seconds} sync && echo 'did synced' || echo 'left sync did not end within ${seconds} s: a disk or a network mount hangs'`,
  }
}

/** Whether the host runs containers of Kubernetes: then these are stopped, else only the operator's services. */
export function runsKubernetes(look: NodeLook, pods: readonly RunningPod[]): boolean {
  return look.joined || (look.kubelet !== undefined && look.kubelet !== 'inactive') || pods.length > 0
}

/** All that a stop would do now, in its order. */
export function stopSteps(
  look: NodeLook,
  { tool, pods }: { readonly tool: 'crictl' | 'ctr' | 'none'; readonly pods: readonly RunningPod[] },
  services: readonly string[],
  limits: StopLimits,
): Step[] {
  const steps = services.map((name) => serviceStep(name, limits.service))
  if (runsKubernetes(look, pods)) {
    if (look.kubelet !== undefined) steps.push(kubeletStep(limits.kubelet))
    if (tool !== 'none') steps.push(...podGroups(pods).map((group) => podStep(group, tool)))
    if (look.containerd !== undefined) steps.push(containerdStep(limits.containerd))
    const paths = containerMounts(look)
    if (paths.length > 0) steps.push(mountStep(paths, limits.mount))
  }
  return [...steps, syncStep(limits.sync)]
}
