/** The parts of the API's objects that a drain reads. */
import type { KubeObject } from '../../shared/kubernetes.ts'

export interface Pod extends KubeObject {
  readonly metadata: KubeObject['metadata'] & {
    readonly namespace: string
    readonly uid: string
    readonly deletionTimestamp?: string
    readonly ownerReferences?: readonly OwnerReference[]
  }
  readonly spec: {
    readonly nodeName?: string
    readonly volumes?: readonly { readonly name: string; readonly emptyDir?: object | null }[]
  }
  readonly status: {
    readonly phase?: string
    readonly conditions?: readonly Condition[]
  }
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly controller?: boolean
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
}

export interface Node extends KubeObject {
  readonly spec: {
    readonly unschedulable?: boolean
    readonly taints?: readonly { readonly key: string; readonly effect: string }[]
  }
  readonly status?: { readonly conditions?: readonly Condition[] }
}

/** policy/v1 PodDisruptionBudget */
export interface Budget extends KubeObject {
  readonly metadata: KubeObject['metadata'] & { readonly namespace: string; readonly generation?: number }
  readonly spec: {
    readonly selector?: LabelSelector | null
    readonly minAvailable?: number | string
    readonly maxUnavailable?: number | string
    readonly unhealthyPodEvictionPolicy?: string
  }
  readonly status?: {
    readonly observedGeneration?: number
    readonly disruptionsAllowed?: number
    readonly currentHealthy?: number
    readonly desiredHealthy?: number
    readonly expectedPods?: number
    readonly conditions?: readonly Condition[]
  }
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

/** Succeeded or Failed: its containers have ended for good. */
export function isFinished(pod: Pod): boolean {
  return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed'
}

export function isReady(object: { readonly status?: { readonly conditions?: readonly Condition[] } }): boolean {
  return object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

/** meta/v1 GetControllerOf */
export function controllerOf(pod: Pod): OwnerReference | undefined {
  return pod.metadata.ownerReferences?.find(({ controller }) => controller === true)
}
