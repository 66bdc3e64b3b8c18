import type { CordonOptions, CordonResult, DrainEvent, DrainOptions } from '../shared/drain.ts'
import {
  type KubeObject,
  type KubernetesApi,
  KubernetesError,
  type ListQuery,
  type ManifestOptions,
  type ObjectRef,
} from '../shared/kubernetes.ts'
import { applyObjects, deleteObjects } from './apply.ts'
import { Discovery } from './discovery.ts'
import { cordonNodes, uncordonNodes } from './drain/cordon.ts'
import { drainNodes } from './drain/drain.ts'
import { openNodesApi } from './drain/nodes-api.ts'
import type { LoadedKubeconfig } from './kubeconfig.ts'
import { parseManifest } from './manifest.ts'
import { openTransport, type Transport } from './transport.ts'

/** Objects a page; kubectl's. */
const PAGE = 500
const HEALTH_TIMEOUT_MS = 5000

/** One cluster, by its API. */
export class Cluster implements KubernetesApi, Disposable {
  readonly server: string
  readonly authorities: string | undefined
  readonly transport: Transport
  readonly discovery: Discovery

  constructor({ server, authorities }: Pick<LoadedKubeconfig, 'server' | 'authorities'>, transport: Transport) {
    this.server = server
    this.authorities = authorities
    this.transport = transport
    this.discovery = new Discovery(transport)
  }

  async version(): Promise<string> {
    const { gitVersion } = await this.transport.send<{ gitVersion: string }>({ path: '/version' })
    return gitVersion
  }

  async notReady(): Promise<string | undefined> {
    try {
      await this.transport.send({ path: '/readyz', timeoutMs: HEALTH_TIMEOUT_MS, patienceMs: 0 })
      return undefined
    } catch (error) {
      if (error instanceof KubernetesError) return error.problems[0]!.message
      throw error
    }
  }

  async get(ref: ObjectRef): Promise<KubeObject | undefined> {
    const path = await this.discovery.path(ref)
    return this.transport.send<KubeObject>({ path }).catch(missing(undefined))
  }

  async list({ apiVersion, kind, namespace, labelSelector, fieldSelector }: ListQuery): Promise<KubeObject[]> {
    const path = await this.discovery.collection(apiVersion, kind, namespace)
    const objects: KubeObject[] = []
    let next: string | undefined
    do {
      const query = { labelSelector, fieldSelector, limit: String(PAGE), continue: next }
      const page = await this.transport.send<KubeList>({ path, query })
      // Items of a list do not say what they are.
      objects.push(...page.items.map((item) => ({ ...item, apiVersion, kind }) as KubeObject))
      next = page.metadata.continue || undefined
    } while (next !== undefined)
    return objects
  }

  async create(object: KubeObject): Promise<KubeObject> {
    const { apiVersion, kind, metadata } = object
    const path = await this.discovery.collection(apiVersion, kind, metadata.namespace ?? 'default')
    return this.transport.send<KubeObject>({ method: 'POST', path, body: object })
  }

  async patch(ref: ObjectRef, patch: object, { dryRun = false } = {}): Promise<KubeObject> {
    return this.transport.send<KubeObject>({
      method: 'PATCH',
      path: await this.discovery.path(ref),
      query: { fieldManager: 'runbook', ...(dryRun ? { dryRun: 'All' } : {}) },
      contentType: 'application/merge-patch+json',
      body: patch,
    })
  }

  async delete(ref: ObjectRef, { dryRun = false } = {}): Promise<boolean> {
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' }
    const path = await this.discovery.path(ref)
    const query = dryRun ? { dryRun: 'All' } : {}
    return this.transport.send({ method: 'DELETE', path, query, body }).then(() => true, missing(false))
  }

  async applyManifest(text: string, name: string, options: ManifestOptions) {
    return applyObjects(this, parseManifest(text, name), options)
  }

  async deleteManifest(text: string, name: string, options: ManifestOptions) {
    return deleteObjects(this, parseManifest(text, name), options)
  }

  cordon(nodes: readonly string[], options: CordonOptions): Promise<CordonResult[]> {
    return cordonNodes(openNodesApi(this.transport), nodes, options)
  }

  uncordon(nodes: readonly string[], options: CordonOptions): Promise<CordonResult[]> {
    return uncordonNodes(openNodesApi(this.transport), nodes, options)
  }

  drain(nodes: readonly string[], options: DrainOptions): AsyncIterable<DrainEvent> {
    return drainNodes(openNodesApi(this.transport), nodes, options)
  }

  [Symbol.dispose](): void {
    this.transport.close()
  }
}

interface KubeList {
  readonly items: readonly object[]
  readonly metadata: { readonly continue?: string }
}

function missing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof KubernetesError && error.status === 404) return value
    throw error
  }
}

/** The cluster of a kubeconfig; nothing is asked yet. */
export function openCluster(kubeconfig: LoadedKubeconfig): Cluster {
  return new Cluster(kubeconfig, openTransport(kubeconfig))
}
