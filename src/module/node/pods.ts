import { quote } from '../../shared/quote.ts'
import { TaskFailure } from '../define.ts'

/** A pod whose containers run, as the container runtime has it. */
export interface RunningPod {
  /** Of its sandbox. */
  readonly id: string
  readonly namespace: string
  readonly name: string
  readonly network: 'pod' | 'host'
  /** terminationGracePeriodSeconds. */
  readonly grace: number
  readonly containers: readonly string[]
}

export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock'

/** What Kubernetes gives a pod that does not say. */
const DEFAULT_GRACE = 30

/**
 * crictl is on every host that kubeadm has set up. Where it is missing, containerd's own ctr tells the same but the grace
 * period, and leaves the pod's network to the power off.
 */
export const PODS = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
[ -S ${CONTAINERD_SOCKET} ] || { echo @none; exit 0; }
if command -v crictl >/dev/null; then
  c() { timeout 20 crictl -r unix://${CONTAINERD_SOCKET} --timeout 15s "$@"; }
  echo @crictl
  echo @pods; c pods --state ready -o json || exit 1
  echo @containers; c ps -o json || exit 1
  for i in $(c pods --state ready -q); do
    echo "@network $i $(c inspectp -o go-template --template '{{.status.linux.namespaces.options.network}}' "$i" 2>/dev/null)"
  done
else
  echo @ctr
  for i in $(timeout 20 ctr -n k8s.io tasks ls -q); do echo "@info $i"; timeout 20 ctr -n k8s.io containers info "$i"; done
fi
`

/** What PODS printed. */
export function parsePods(text: string): { readonly tool: 'crictl' | 'ctr' | 'none'; readonly pods: RunningPod[] } {
  try {
    if (text.startsWith('@none')) return { tool: 'none', pods: [] }
    if (text.startsWith('@ctr')) return { tool: 'ctr', pods: fromCtr(text) }
    return { tool: 'crictl', pods: fromCrictl(text) }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new TaskFailure(`crictl's answer makes no sense: ${error.message}`)
  }
}

interface Metadata {
  readonly name?: string
  readonly namespace?: string
}
interface CriPod {
  readonly id: string
  readonly metadata?: Metadata
}
interface CriContainer {
  readonly id: string
  readonly podSandboxId: string
  readonly annotations?: Readonly<Record<string, string>>
}

function fromCrictl(text: string): RunningPod[] {
  const between = (from: string, to: string): string => {
    const start = text.indexOf(`${from}\n`)
    const end = text.indexOf(`\n${to}`, start)
    return text.slice(start + from.length + 1, end === -1 ? undefined : end)
  }
  const { items = [] } = JSON.parse(between('@pods', '@containers')) as { items?: CriPod[] }
  const { containers = [] } = JSON.parse(between('@containers', '@network')) as { containers?: CriContainer[] }
  // cri-api's NamespaceMode: 0 POD, 2 NODE; crictl prints the word, or the number.
  const network = new Map([...text.matchAll(/^@network (\S+) (\S*)$/gm)].map(([, id, mode]) => [id!, mode!]))
  return items.map(({ id, metadata }) => {
    const own = containers.filter((one) => one.podSandboxId === id)
    return {
      id,
      namespace: metadata?.namespace ?? '',
      name: metadata?.name ?? id.slice(0, 13),
      network: /^(NODE|2)$/.test(network.get(id) ?? '') ? 'host' : 'pod',
      grace: graceOf(own),
      containers: own.map((one) => one.id),
    }
  })
}

/** kubelet keeps the pod's period with each container, for its own restarts (pkg/kubelet/kuberuntime/labels.go). */
function graceOf(containers: readonly CriContainer[]): number {
  const periods = containers.flatMap(({ annotations }) => {
    const text = annotations?.['io.kubernetes.pod.terminationGracePeriod']
    return text === undefined || !/^\d+$/.test(text) ? [] : [Number(text)]
  })
  return periods.length === 0 ? DEFAULT_GRACE : Math.max(...periods)
}

interface CtrInfo {
  readonly ID: string
  readonly Labels?: Readonly<Record<string, string>> | null
  /** Null where there is none, as are labels. */
  readonly Extensions?: Readonly<Record<string, { readonly value?: string }>> | null
  readonly Spec?: { readonly linux?: { readonly namespaces?: readonly { readonly type: string }[] } }
}

function fromCtr(text: string): RunningPod[] {
  const infos = text
    .split(/^@info .*\n/m)
    .slice(1)
    .map((json) => JSON.parse(json) as CtrInfo)
  const pods = new Map<string, { info: CtrInfo; containers: string[]; grace: number | undefined }>()
  for (const info of infos) {
    const labels = info.Labels ?? {}
    const uid = labels['io.kubernetes.pod.uid'] ?? info.ID
    const pod = pods.get(uid) ?? { info, containers: [], grace: undefined }
    if (labels['io.cri-containerd.kind'] === 'sandbox') pod.info = info
    else {
      pod.containers.push(info.ID)
      pod.grace = ctrGrace(info) ?? pod.grace
    }
    pods.set(uid, pod)
  }
  return [...pods.values()].map(({ info, containers, grace }) => ({
    id: info.ID,
    namespace: info.Labels?.['io.kubernetes.pod.namespace'] ?? '',
    name: info.Labels?.['io.kubernetes.pod.name'] ?? info.ID,
    network: info.Spec?.linux?.namespaces?.some(({ type }) => type === 'network') ? 'pod' : 'host',
    grace: grace ?? DEFAULT_GRACE,
    containers,
  }))
}

/** CRI's own record of a container, JSON in base64, has the annotations that kubelet gave it. */
function ctrGrace({ Extensions }: CtrInfo): number | undefined {
  const { value = '' } = Extensions?.['io.cri-containerd.container.metadata'] ?? {}
  const seconds = /"io\.kubernetes\.pod\.terminationGracePeriod":"(\d{1,6})"/.exec(
    Buffer.from(value, 'base64').toString('utf8'),
  )?.[1]
  return seconds === undefined ? undefined : Number(seconds)
}

export interface PodGroup {
  readonly name: 'pod network' | 'host network' | 'etcd'
  readonly pods: readonly RunningPod[]
}

/**
 * In the order in which they stop: those that need the CNI's own pods first, then what is on the host's network (the CNI,
 * kube-proxy, the API server), and etcd, which the API server needs, last.
 */
export function podGroups(pods: readonly RunningPod[]): PodGroup[] {
  const isEtcd = (pod: RunningPod): boolean =>
    pod.namespace === 'kube-system' && pod.network === 'host' && /^etcd(-|$)/.test(pod.name)
  const groups: PodGroup[] = [
    { name: 'pod network', pods: pods.filter(({ network }) => network === 'pod') },
    { name: 'host network', pods: pods.filter((pod) => pod.network === 'host' && !isEtcd(pod)) },
    { name: 'etcd', pods: pods.filter(isEtcd) },
  ]
  return groups.filter((group) => group.pods.length > 0)
}

/** Pods that are stopped at the same time: each is two processes for a moment. */
const AT_ONCE = 32
/** Beyond its grace period: SIGKILL, taking the network down, on a slow disk. */
const EXTRA_SECONDS = 30

/** Seconds that a group may take. */
export function groupSeconds({ pods }: PodGroup): number {
  const longest = Math.max(...pods.map(({ grace }) => grace))
  return Math.ceil(pods.length / AT_ONCE) * (longest + EXTRA_SECONDS)
}

/** Stops a group, each pod with its own grace period. Prints `left NAMESPACE/NAME` for what still runs. */
export function stopScript({ pods }: PodGroup, tool: 'crictl' | 'ctr'): string {
  const work = pods.map(({ id, grace, containers }) => `${id} ${grace} ${containers.join(' ')}`.trim())
  const left = pods.map(({ id, namespace, name, containers }) =>
    [quote(`${namespace}/${name}`), ...(tool === 'crictl' ? [id] : [id, ...containers])].join(' '),
  )
  return `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
export PATH
${tool === 'crictl' ? CRICTL : CTR}
printf '%s\\n' ${work.map(quote).join(' ')} | xargs -P ${AT_ONCE} -L 1 sh -c "$one" sh
${left.map((words) => `left ${words}`).join('\n')}
`
}

const CRICTL = `
one='p=$1 g=$2; shift 2
c() { timeout $((g + 20)) crictl -r unix://${CONTAINERD_SOCKET} --timeout $((g + 15))s "$@"; }
for i in "$@"; do c stop --timeout $g $i >/dev/null & done; wait
c stopp $p >/dev/null'
left() { n=$1; shift; timeout 20 crictl -r unix://${CONTAINERD_SOCKET} pods --state ready -q --id "$1" | grep -q . && echo "left $n"; :; }
`

const CTR = `
one='p=$1 g=$2; shift 2
k() { timeout 20 ctr -n k8s.io "$@" 2>/dev/null; }
runs() { k tasks ls | grep -q "^$1 .*RUNNING"; }
for i in "$@" $p; do k tasks kill -s SIGTERM $i; done
n=0; for i in "$@" $p; do while runs $i && [ $n -lt $((g * 2)) ]; do n=$((n + 1)); sleep 0.5; done; done
for i in "$@" $p; do runs $i && k tasks kill -s SIGKILL $i; done; sleep 0.2
for i in "$@" $p; do k tasks delete $i >/dev/null; done; :'
left() { n=$1; shift; for i; do if ctr -n k8s.io tasks ls 2>/dev/null | grep -q "^$i .*RUNNING"; then echo "left $n"; break; fi; done; }
`
