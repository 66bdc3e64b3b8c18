import type { PodRef } from '../../shared/drain.ts'
import { KubernetesError } from '../../shared/kubernetes.ts'
import type { Transport } from '../transport.ts'
import type { Budget, Node, Pod } from './objects.ts'

export interface RemoveOptions {
  readonly dryRun: boolean
  readonly gracePeriodSeconds: number | undefined
  readonly signal: AbortSignal
}

/** All that cordon and drain ask of a cluster. Everything throws KubernetesError, and the signal's reason when aborted. */
export interface NodesApi {
  nodes(signal?: AbortSignal): Promise<Node[]>
  /** Undefined when there is none. */
  node(name: string, signal?: AbortSignal): Promise<Node | undefined>
  /** JSON merge patch; with a resourceVersion it fails (409) when the node has changed. */
  patchNode(name: string, patch: object, options: { dryRun: boolean; signal: AbortSignal | undefined }): Promise<Node>
  podsOn(node: string, labelSelector: string | undefined, signal: AbortSignal): Promise<Pod[]>
  pod(ref: PodRef, signal: AbortSignal): Promise<Pod | undefined>
  budgets(signal: AbortSignal): Promise<Budget[]>
  hasDaemonSet(namespace: string, name: string, signal: AbortSignal): Promise<boolean>
  /** Asks for the eviction of the pod of exactly this UID. */
  evict(ref: PodRef, options: RemoveOptions): Promise<void>
  /** Deletes the pod of exactly this UID. */
  remove(ref: PodRef, options: RemoveOptions): Promise<void>
}

/** Objects a page; kubectl's. */
const PAGE = 500
/** Waiting is the drain's own business: it says what it waits for. */
const NO_PATIENCE = { patienceMs: 0 }
/** An API server that does not answer an eviction within this time is asked again. */
const TIMEOUT_MS = 10_000

/** These resources have stood where they are since Kubernetes 1.21; no discovery is needed. */
export function openNodesApi(transport: Transport): NodesApi {
  const all = async <T>(path: string, query: Record<string, string | undefined>, signal?: AbortSignal) => {
    const items: T[] = []
    let next: string | undefined
    do {
      const page = await transport.send<{ items: T[]; metadata: { continue?: string } }>({
        path,
        query: { ...query, limit: String(PAGE), continue: next },
        signal,
      })
      items.push(...page.items)
      next = page.metadata.continue || undefined
    } while (next !== undefined)
    return items
  }
  const one = <T>(path: string, signal?: AbortSignal, more: object = {}): Promise<T | undefined> =>
    transport.send<T>({ path, signal, ...more }).catch((error) => {
      if (error instanceof KubernetesError && error.status === 404) return undefined
      throw error
    })
  const podPath = ({ namespace, name }: PodRef): string =>
    `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
  const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`

  return {
    nodes: (signal) => all('/api/v1/nodes', {}, signal),
    node: (name, signal) => one(nodePath(name), signal),
    patchNode: (name, body, { dryRun, signal }) =>
      transport.send<Node>({
        method: 'PATCH',
        path: nodePath(name),
        query: { fieldManager: 'runbook', ...(dryRun ? { dryRun: 'All' } : {}) },
        contentType: 'application/merge-patch+json',
        body,
        signal,
      }),
    podsOn: (node, labelSelector, signal) =>
      all('/api/v1/pods', { fieldSelector: `spec.nodeName=${node}`, labelSelector }, signal),
    pod: (ref, signal) => one(podPath(ref), signal, { ...NO_PATIENCE, timeoutMs: TIMEOUT_MS }),
    budgets: (signal) => all('/apis/policy/v1/poddisruptionbudgets', {}, signal),
    hasDaemonSet: async (namespace, name, signal) =>
      (await one(
        `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/daemonsets/${encodeURIComponent(name)}`,
        signal,
      )) !== undefined,
    evict: async (ref, { signal, ...options }) => {
      await transport.send({
        method: 'POST',
        path: `${podPath(ref)}/eviction`,
        body: {
          apiVersion: 'policy/v1',
          kind: 'Eviction',
          metadata: { name: ref.name, namespace: ref.namespace },
          deleteOptions: deleteOptions(ref, options),
        },
        signal,
        timeoutMs: TIMEOUT_MS,
      })
    },
    remove: async (ref, { signal, ...options }) => {
      await transport.send({
        method: 'DELETE',
        path: podPath(ref),
        body: { apiVersion: 'v1', kind: 'DeleteOptions', ...deleteOptions(ref, options) },
        signal,
        timeoutMs: TIMEOUT_MS,
        ...NO_PATIENCE,
      })
    },
  }
}

/** meta/v1 DeleteOptions. The UID keeps a pod of the same name that was made anew on another node (k/k#138229). */
function deleteOptions({ uid }: PodRef, { dryRun, gracePeriodSeconds }: Omit<RemoveOptions, 'signal'>): object {
  return {
    preconditions: { uid },
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(dryRun ? { dryRun: ['All'] } : {}),
  }
}
