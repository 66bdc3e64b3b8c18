import { setTimeout as sleep } from 'node:timers/promises'
import pLimit from 'p-limit'
import { UserError } from '../shared/errors.ts'
import {
  type AppliedObject,
  describeRef,
  type KubeObject,
  KubernetesError,
  type ManifestOptions,
  type ObjectRef,
  withoutBookkeeping,
} from '../shared/kubernetes.ts'
import type { Cluster } from './api.ts'
import { equalitySelector, inOrder, inStages } from './manifest.ts'

/** Who the fields that we set belong to. */
export const FIELD_MANAGER = 'runbook'
/** Requests at a time. */
const AT_ONCE = 8
/** A new CRD is served after a second or so. */
const CRD_TIMEOUT_MS = 30_000

/** Never deleted by pruning, for data or other objects go with them. */
const KEPT = ['Namespace', 'PersistentVolume', 'PersistentVolumeClaim', 'CustomResourceDefinition', 'Node']
/** Looked through when pruning, besides the kinds of the manifest. */
const PRUNED: readonly (readonly [apiVersion: string, kind: string])[] = [
  ['v1', 'ConfigMap'],
  ['v1', 'Secret'],
  ['v1', 'Service'],
  ['v1', 'ServiceAccount'],
  ['apps/v1', 'DaemonSet'],
  ['apps/v1', 'Deployment'],
  ['apps/v1', 'StatefulSet'],
  ['batch/v1', 'CronJob'],
  ['batch/v1', 'Job'],
  ['networking.k8s.io/v1', 'Ingress'],
  ['networking.k8s.io/v1', 'NetworkPolicy'],
  ['policy/v1', 'PodDisruptionBudget'],
  ['rbac.authorization.k8s.io/v1', 'ClusterRole'],
  ['rbac.authorization.k8s.io/v1', 'ClusterRoleBinding'],
  ['rbac.authorization.k8s.io/v1', 'Role'],
  ['rbac.authorization.k8s.io/v1', 'RoleBinding'],
]

/** Server-side apply of objects, stage by stage, then pruning. */
export async function applyObjects(
  cluster: Cluster,
  objects: readonly KubeObject[],
  options: ManifestOptions,
): Promise<AppliedObject[]> {
  const selector = options.prune === undefined ? undefined : labelsOf(options.prune)
  if (selector) mustCarry(objects, selector)
  const made = new Set<string>()
  const applied: AppliedObject[] = []
  const limit = pLimit(AT_ONCE)
  for (const stage of inStages(objects)) {
    const done = await Promise.allSettled(stage.map((object) => limit(applyOne, cluster, object, options, made)))
    for (const one of done) {
      if (one.status === 'rejected') throw one.reason
      applied.push(one.value)
      if (one.value.before === undefined) made.add(`${one.value.ref.kind} ${one.value.ref.name}`)
    }
  }
  if (options.prune !== undefined) applied.push(...(await prune(cluster, applied, options.prune, options.dryRun)))
  return applied
}

async function applyOne(
  cluster: Cluster,
  object: KubeObject,
  { dryRun, force = false, namespace: fallback }: ManifestOptions,
  made: ReadonlySet<string>,
): Promise<AppliedObject> {
  const type = await kindOf(cluster, object, dryRun, made)
  const namespace = type && !type.namespaced ? undefined : (object.metadata.namespace ?? fallback ?? 'default')
  const ref: ObjectRef = { apiVersion: object.apiVersion, kind: object.kind, name: object.metadata.name, namespace }
  const body = namespace === undefined ? object : { ...object, metadata: { ...object.metadata, namespace } }
  // In check mode what it stands on was not made either: its kind or its namespace.
  const pending = dryRun && namespace !== undefined && made.has(`Namespace ${namespace}`)
  if (!type || pending) return { ref, changed: true, before: undefined, after: body }
  const before = await cluster.get(ref)
  const after = await cluster.transport
    .send<KubeObject>({
      method: 'PATCH',
      path: await cluster.discovery.path(ref),
      query: { fieldManager: FIELD_MANAGER, force: String(force), ...(dryRun ? { dryRun: 'All' } : {}) },
      contentType: 'application/apply-patch+yaml',
      body,
    })
    .catch((error: unknown) => {
      throw conflict(ref, error) ?? error
    })
  // Not by its version: controllers count that on with each status, and a dry run does not at all.
  return { ref, changed: !sameObject(before, after), before, after }
}

async function kindOf(cluster: Cluster, object: KubeObject, dryRun: boolean, made: ReadonlySet<string>) {
  const ownCrd = [...made].some((one) => one.startsWith('CustomResourceDefinition '))
  const until = Date.now() + CRD_TIMEOUT_MS
  for (;;) {
    try {
      return await cluster.discovery.find(object.apiVersion, object.kind)
    } catch (error) {
      if (!(error instanceof KubernetesError) || error.status !== 404 || !ownCrd) throw error
      if (dryRun) return undefined
      if (Date.now() > until) throw error
      await sleep(250)
    }
  }
}

/** `Deployment default/web: .spec.replicas belongs to "kubectl"` */
function conflict(ref: ObjectRef, error: unknown): KubernetesError | undefined {
  if (!(error instanceof KubernetesError) || error.status !== 409 || error.conflicts.length === 0) return undefined
  const fields = error.conflicts.map(({ field, manager }) => `${field} belongs to "${manager}"`)
  return new KubernetesError(`${describeRef(ref)}: ${fields.join(', ')}`, {
    status: 409,
    reason: 'Conflict',
    hint: 'take the fields out of the manifest, or take them over with force_conflicts: true',
    cause: error,
  })
}

function sameObject(a: KubeObject | undefined, b: KubeObject): boolean {
  return a !== undefined && canonical(withoutBookkeeping(a)) === canonical(withoutBookkeeping(b))
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) =>
    v !== null && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([x], [y]) => (x < y ? -1 : 1)))
      : v,
  )
}

function labelsOf(prune: string): Record<string, string> {
  const labels = equalitySelector(prune)
  if (labels) return labels
  throw new UserError({
    message: `cannot prune by "${prune}"`,
    hint: 'write labels with their values: app=web,tier=front',
  })
}

/** An object without the labels would never be found again. */
function mustCarry(objects: readonly KubeObject[], labels: Readonly<Record<string, string>>): void {
  const bare = objects.filter(({ metadata }) =>
    Object.entries(labels).some(([name, value]) => metadata.labels?.[name] !== value),
  )
  if (bare.length === 0) return
  const words = Object.entries(labels).map(([name, value]) => `${name}=${value}`)
  throw new UserError({
    message: `pruning by ${words.join(',')}, but ${bare.map((o) => `${o.kind} ${o.metadata.name}`).join(', ')} without it`,
    hint: 'give every object of the manifest the label',
  })
}

async function prune(
  cluster: Cluster,
  applied: readonly AppliedObject[],
  labelSelector: string,
  dryRun: boolean,
): Promise<AppliedObject[]> {
  const kept = new Set(applied.map(({ ref }) => key(ref)))
  const kinds = new Map(
    [...PRUNED, ...applied.map(({ ref }) => [ref.apiVersion, ref.kind] as const)].map((pair) => [pair.join(' '), pair]),
  )
  const pruned: AppliedObject[] = []
  for (const [apiVersion, kind] of kinds.values()) {
    if (KEPT.includes(kind)) continue
    const found = await cluster.list({ apiVersion, kind, labelSelector }).catch((error: unknown) => {
      if (error instanceof KubernetesError && error.status === 404) return []
      throw error
    })
    for (const object of found) {
      const { name, namespace } = object.metadata
      const ref = { apiVersion, kind, name, namespace }
      if (kept.has(key(ref)) || !isOurs(object)) continue
      await cluster.delete(ref, { dryRun })
      pruned.push({ ref, changed: true, before: object, after: undefined })
    }
  }
  return pruned
}

function key({ apiVersion, kind, name, namespace }: ObjectRef): string {
  // A kind keeps its objects when its version goes on.
  return [apiVersion.split('/').slice(0, -1).join('/'), kind, namespace ?? '', name].join(' ')
}

function isOurs({ metadata }: KubeObject): boolean {
  const { managedFields, ownerReferences } = metadata as {
    managedFields?: { manager?: string; operation?: string }[]
    ownerReferences?: unknown[]
  }
  if (ownerReferences && ownerReferences.length > 0) return false
  return managedFields?.some((m) => m.manager === FIELD_MANAGER && m.operation === 'Apply') ?? false
}

/** Deletes objects, the last first; namespaces and definitions so go after what is in them. */
export async function deleteObjects(
  cluster: Cluster,
  objects: readonly KubeObject[],
  { dryRun, namespace: fallback }: ManifestOptions,
): Promise<AppliedObject[]> {
  const deleted: AppliedObject[] = []
  for (const { apiVersion, kind, metadata } of inOrder(objects).reverse()) {
    const type = await cluster.discovery.find(apiVersion, kind).catch((error: unknown) => {
      if (error instanceof KubernetesError && error.status === 404) return undefined
      throw error
    })
    const namespace = type?.namespaced ? (metadata.namespace ?? fallback ?? 'default') : undefined
    const ref = { apiVersion, kind, name: metadata.name, namespace }
    const before = type && (await cluster.get(ref))
    if (before) await cluster.delete(ref, { dryRun })
    deleted.push({ ref, changed: before !== undefined, before, after: undefined })
  }
  return deleted
}
