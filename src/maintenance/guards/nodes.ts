import { markOf } from '../../kubernetes/drain/cordon.ts'
import { openNodesApi } from '../../kubernetes/drain/nodes-api.ts'
import type { Node } from '../../kubernetes/drain/objects.ts'
import type { Transport } from '../../kubernetes/index.ts'
import type { Labels } from './selector.ts'

/** A node as far as guards see it. */
export interface NodeView {
  readonly name: string
  readonly labels: Labels
  readonly controlPlane: boolean
  /** Why no pods run or can be put there, in words; undefined while it is in service. */
  readonly down: string | undefined
  /** False when the node does not run its pods: more than cordoned. */
  readonly ready: boolean
  /** IP addresses and names that it has. */
  readonly addresses: readonly string[]
  /** /etc/machine-id */
  readonly machineId: string | undefined
}

/** Reads all nodes of a cluster. Throws KubernetesError. */
export async function readNodes(transport: Transport, signal?: AbortSignal): Promise<NodeView[]> {
  return (await openNodesApi(transport).nodes(signal)).map(viewOf)
}

/** Labels that kubeadm gives, the newer first. */
const CONTROL_PLANE = ['node-role.kubernetes.io/control-plane', 'node-role.kubernetes.io/master']

interface Status {
  readonly addresses?: readonly { readonly address: string }[]
  readonly nodeInfo?: { readonly machineID?: string }
}

export function viewOf(node: Node): NodeView {
  const labels = node.metadata.labels ?? {}
  const status = (node.status ?? {}) as Status
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
  const words = ready?.status === 'True' ? undefined : `NotReady${ready?.message ? `: ${ready.message}` : ''}`
  return {
    name: node.metadata.name,
    labels,
    controlPlane: CONTROL_PLANE.some((label) => labels[label] !== undefined),
    down: words ?? cordonWords(node),
    ready: words === undefined,
    addresses: (status.addresses ?? []).map(({ address }) => address),
    machineId: status.nodeInfo?.machineID || undefined,
  }
}

/** Set by the node lifecycle controller when a node is cordoned; `timeAdded` is the only trace of when a person did it. */
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'

function cordonWords(node: Node): string | undefined {
  if (node.spec.unschedulable !== true) return undefined
  const mark = markOf(node)
  if (mark && !mark.before)
    return `cordoned by runbook (run ${mark.run}, ${mark.at}${mark.reason ? `: ${mark.reason}` : ''})`
  const taint = node.spec.taints?.find(({ key }) => key === UNSCHEDULABLE) as { timeAdded?: string } | undefined
  return `cordoned, not by runbook${taint?.timeAdded ? `, since ${taint.timeAdded}` : ''}`
}
