import type { KubeObject, KubernetesApi } from '../../shared/kubernetes.ts'

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
}

/** What a node says of itself that matters to those who wait for it. */
export interface NodeStatus {
  readonly ready: boolean
  /** Why not, with what it means where that is known; '' when it is ready. */
  readonly why: string
  readonly kubelet: string
  readonly schedulable: boolean
  /** Of the boot that kubelet last reported from. */
  readonly bootId: string
}

export function nodeStatus(node: KubeObject): NodeStatus {
  const { conditions = [], nodeInfo } = (node.status ?? {}) as {
    conditions?: Condition[]
    nodeInfo?: { kubeletVersion?: string; bootID?: string }
  }
  const ready = conditions.find(({ type }) => type === 'Ready')
  const spec = (node.spec ?? {}) as { unschedulable?: boolean }
  return {
    ready: ready?.status === 'True',
    why: ready?.status === 'True' ? '' : notReady(ready),
    kubelet: nodeInfo?.kubeletVersion ?? '',
    schedulable: spec.unschedulable !== true,
    bootId: nodeInfo?.bootID ?? '',
  }
}

function notReady(ready: Condition | undefined): string {
  if (!ready) return 'kubelet has not reported yet'
  const said = [ready.reason, ready.message].filter(Boolean).join(': ')
  const meaning = MEANINGS.find(([pattern]) => pattern.test(said))?.[1]
  return meaning === undefined ? said : `${said} - ${meaning}`
}

/** Words of kubelet and containerd, and what is behind them. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [
    /cni plugin not initialized|cni config uninitialized/i,
    'no pod network yet: containerd finds no configuration in /etc/cni/net.d, which the CNI’s pod on this node writes. ' +
      'Either no CNI is installed (role cni), or its pod does not run, or it cannot write there',
  ],
  [
    /failed to find plugin "?([\w-]+)"? in path/i,
    'containerd looks for CNI programs in another folder than the one they are in: it has to know /opt/cni/bin and ' +
      'what the distribution uses (/usr/lib/cni); the role containerd sets both',
  ],
  [
    /PLEG is not healthy/i,
    'containerd answers slowly or not at all: systemctl status containerd, dmesg for disk errors',
  ],
  [/container runtime (is down|status check)/i, 'kubelet cannot talk to containerd: systemctl status containerd'],
  [/Kubelet stopped posting node status/i, 'the host is off, cut off, or its kubelet does not run'],
]

interface PodStatus {
  readonly phase?: string
  readonly containerStatuses?: readonly ContainerStatus[]
  readonly initContainerStatuses?: readonly ContainerStatus[]
}

interface ContainerStatus {
  readonly name: string
  readonly ready: boolean
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string }
    readonly terminated?: { readonly reason?: string; readonly exitCode?: number }
  }
}

/** Pods of the system on a node that do not run, with the reason: `kube-flannel/kube-flannel-ds-x: ImagePullBackOff (…)`. */
export async function brokenPods(api: KubernetesApi, node: string): Promise<string[]> {
  const pods = await api.list({ apiVersion: 'v1', kind: 'Pod', fieldSelector: `spec.nodeName=${node}` })
  return pods.flatMap((pod) => {
    const { initContainerStatuses = [], containerStatuses = [] } = (pod.status ?? {}) as PodStatus
    const reasons = [...initContainerStatuses, ...containerStatuses].flatMap(({ state }) => {
      const { waiting } = state ?? {}
      if (!waiting?.reason || ['ContainerCreating', 'PodInitializing'].includes(waiting.reason)) return []
      return [waiting.message ? `${waiting.reason} (${waiting.message.slice(0, 200)})` : waiting.reason]
    })
    return reasons.length > 0 ? [`${pod.metadata.namespace}/${pod.metadata.name}: ${reasons[0]}`] : []
  })
}
