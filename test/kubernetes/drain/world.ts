/**
 * A cluster as far as a drain sees it: what the API server, the disruption controller, workload controllers and kubelets
 * do with nodes, pods and budgets. The eviction follows pkg/registry/core/pod/storage/eviction.go.
 */
import { selects } from '../../../src/kubernetes/drain/budgets.ts'
import type { Clock } from '../../../src/kubernetes/drain/clock.ts'
import type { Budget, Node, Pod } from '../../../src/kubernetes/drain/objects.ts'
import type { ApiRequest, Transport } from '../../../src/kubernetes/transport.ts'
import { answerError, connectionError } from '../../../src/kubernetes/trouble.ts'

export interface PodSpec {
  readonly name: string
  readonly namespace?: string
  readonly node?: string
  readonly labels?: Record<string, string>
  /** Kind of its controller; null for none. */
  readonly owner?: string | null
  readonly ready?: boolean
  readonly phase?: string
  readonly emptyDir?: boolean
  readonly mirror?: boolean
  /** Milliseconds that it takes to end; Infinity: it never does. */
  readonly endsIn?: number
  /** The node where its controller makes it anew, under its own name as a StatefulSet does. */
  readonly anewOn?: string
}

export interface BudgetSpec {
  readonly name: string
  readonly namespace?: string
  readonly selector: Record<string, string>
  readonly minAvailable?: number
  readonly maxUnavailable?: number
  readonly unhealthyPodEvictionPolicy?: string
}

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string | undefined>>
  readonly body: unknown
  readonly contentType: string | undefined
}

export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly retryAfter?: number
}

interface Living {
  readonly pod: Pod
  readonly spec: PodSpec
  endsAt?: number
  readyAt: number
}

/** One eviction or deletion that had an effect. */
export interface Removal {
  readonly uid: string
  readonly node: string
  readonly name: string
}

const READY_AFTER_MS = 3000

export class World {
  readonly nodes = new Map<string, Node>()
  readonly pods = new Map<string, Living>()
  readonly budgets: Budget[] = []
  readonly daemonSets = new Set<string>()
  readonly asked: Asked[] = []
  readonly removals: Removal[] = []
  readonly now: () => number
  /** Answers in the place of the world. */
  script: (asked: Asked, n: number) => Reply | 'cut' | 'hang' | undefined = () => undefined
  #uids = 0
  #version = 1

  constructor(now: () => number = Date.now) {
    this.now = now
  }

  node(
    name: string,
    { unschedulable = false, ready = true, annotations = {}, taints = [] as Node['spec']['taints'] } = {},
  ) {
    this.nodes.set(name, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, uid: `node-${name}`, resourceVersion: String(this.#version++), annotations },
      spec: { ...(unschedulable ? { unschedulable } : {}), ...(taints ? { taints } : {}) },
      status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
    })
    return this
  }

  pod(spec: PodSpec) {
    this.#start(spec, spec.node ?? 'n1', 0)
    return this
  }

  budget({ name, namespace = 'default', selector, ...rules }: BudgetSpec) {
    this.budgets.push({
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name, namespace, uid: `pdb-${namespace}-${name}`, generation: 1 },
      spec: { selector: { matchLabels: selector }, ...rules },
    })
    return this
  }

  #start(spec: PodSpec, node: string, readyAfter: number): void {
    const { name, namespace = 'default', labels = {}, owner = 'ReplicaSet', phase = 'Running' } = spec
    const { ready = true, emptyDir = false, mirror = false } = spec
    if (owner === 'DaemonSet') this.daemonSets.add(`${namespace}/of-${name}`)
    const metadata = {
      name,
      namespace,
      uid: `uid-${this.#uids++}`,
      labels,
      annotations: mirror ? { 'kubernetes.io/config.mirror': 'x' } : {},
      ...(owner === null
        ? {}
        : {
            ownerReferences: [
              { apiVersion: 'apps/v1', kind: owner, name: `of-${name}`, uid: `of-${name}`, controller: true },
            ],
          }),
    }
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { nodeName: node, ...(emptyDir ? { volumes: [{ name: 'tmp', emptyDir: {} }] } : {}) },
      status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
    }
    this.pods.set(`${namespace}/${name}`, { pod, spec, readyAt: this.now() + readyAfter })
  }

  /** What kubelets and controllers have done up to now. */
  tick(): void {
    for (const [key, living] of this.pods) {
      if (living.endsAt === undefined || living.endsAt > this.now()) continue
      this.pods.delete(key)
      this.#anew(living)
    }
  }

  #anew({ spec, pod }: Living): void {
    if (spec.anewOn === undefined) return
    this.#start(spec, spec.anewOn, pod.status.phase === 'Running' ? READY_AFTER_MS : 0)
  }

  /** Somebody else replaces a pod by one of the same name. */
  swap(key: string): void {
    const living = this.pods.get(key)
    if (!living) return
    this.pods.delete(key)
    this.#anew(living)
  }

  #shown({ pod, endsAt, readyAt }: Living): Pod {
    const deletionTimestamp = endsAt === undefined ? undefined : new Date(this.now()).toISOString()
    const ready = pod.status.conditions![0]!.status === 'True' && readyAt <= this.now()
    return {
      ...pod,
      metadata: { ...pod.metadata, ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) },
      status: { ...pod.status, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
    }
  }

  /** With the status that the disruption controller would have given it. */
  #judged(budget: Budget): Budget {
    const mine = [...this.pods.values()]
      .map((living) => this.#shown(living))
      .filter(
        ({ metadata, status }) =>
          metadata.namespace === budget.metadata.namespace &&
          selects(budget.spec.selector, metadata.labels ?? {}) &&
          status.phase !== 'Succeeded' &&
          status.phase !== 'Failed',
      )
    const expectedPods = mine.length
    const currentHealthy = mine.filter(
      ({ metadata, status }) => metadata.deletionTimestamp === undefined && status.conditions![0]!.status === 'True',
    ).length
    const { minAvailable, maxUnavailable } = budget.spec as { minAvailable?: number; maxUnavailable?: number }
    const desiredHealthy = minAvailable ?? Math.max(0, expectedPods - (maxUnavailable ?? 0))
    const disruptionsAllowed = Math.max(0, expectedPods > 0 ? currentHealthy - desiredHealthy : 0)
    return {
      ...budget,
      status: { observedGeneration: 1, expectedPods, currentHealthy, desiredHealthy, disruptionsAllowed },
    }
  }

  /** The answer to a request. */
  handle(asked: Asked): Reply | 'cut' | 'hang' {
    this.asked.push(asked)
    this.tick()
    const scripted = this.script(asked, this.asked.length)
    if (scripted !== undefined) return scripted
    const { method, path, query, body } = asked
    const [, nodeName] = /^\/api\/v1\/nodes\/([^/]+)$/.exec(path) ?? []
    if (nodeName !== undefined) {
      const node = this.nodes.get(nodeName)
      if (!node) return missing
      return method === 'PATCH' ? this.#patch(node, body as Patch, query.dryRun === 'All') : { status: 200, body: node }
    }
    if (path === '/api/v1/nodes') return list('NodeList', [...this.nodes.values()])
    if (path === '/api/v1/pods') {
      const node = /^spec\.nodeName=(.+)$/.exec(query.fieldSelector ?? '')?.[1]
      const here = [...this.pods.values()].filter(({ pod }) => node === undefined || pod.spec.nodeName === node)
      return list(
        'PodList',
        here.map((living) => this.#shown(living)),
      )
    }
    if (path === '/apis/policy/v1/poddisruptionbudgets')
      return list(
        'PodDisruptionBudgetList',
        this.budgets.map((b) => this.#judged(b)),
      )
    const [, ofSet, set] = /^\/apis\/apps\/v1\/namespaces\/([^/]+)\/daemonsets\/([^/]+)$/.exec(path) ?? []
    if (ofSet !== undefined) {
      if (!this.daemonSets.has(`${ofSet}/${set}`)) return missing
      return {
        status: 200,
        body: { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { namespace: ofSet, name: set } },
      }
    }
    const [, namespace, name, eviction] =
      /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+?)(\/eviction)?$/.exec(path) ?? []
    if (namespace === undefined) return missing
    const living = this.pods.get(`${namespace}/${name}`)
    if (!living) return missing
    if (method === 'GET') return { status: 200, body: this.#shown(living) }
    const options = (eviction ? (body as { deleteOptions?: Options })?.deleteOptions : (body as Options)) ?? {}
    return this.#remove(living, options, eviction !== undefined, query)
  }

  #patch(node: Node, patch: Patch, dryRun: boolean): Reply {
    const { resourceVersion, annotations = {} } = patch.metadata ?? {}
    if (resourceVersion !== undefined && resourceVersion !== node.metadata.resourceVersion)
      return failure(409, 'Conflict', 'the object has been modified')
    const kept = Object.entries({ ...node.metadata.annotations, ...annotations }).filter(([, value]) => value !== null)
    const { unschedulable, ...spec } = { ...node.spec, ...patch.spec } as Record<string, unknown>
    const after = {
      ...node,
      metadata: {
        ...node.metadata,
        resourceVersion: String(this.#version++),
        annotations: Object.fromEntries(kept) as Record<string, string>,
      },
      spec: unschedulable ? { ...spec, unschedulable: true } : spec,
    }
    if (!dryRun) this.nodes.set(node.metadata.name, after)
    return { status: 200, body: after }
  }

  #remove(living: Living, options: Options, byEviction: boolean, query: Asked['query']): Reply {
    const { pod } = living
    const dryRun = options.dryRun?.includes('All') || query.dryRun === 'All'
    const wanted = options.preconditions?.uid
    if (wanted !== undefined && wanted !== pod.metadata.uid)
      return failure(
        409,
        'Conflict',
        `Precondition failed: UID in precondition: ${wanted}, UID in object meta: ${pod.metadata.uid}`,
      )
    const refusal = byEviction ? this.#refusal(this.#shown(living)) : undefined
    if (refusal) return refusal
    if (!dryRun) {
      this.removals.push({ uid: pod.metadata.uid, node: pod.spec.nodeName!, name: pod.metadata.name })
      living.endsAt ??= this.now() + (living.spec.endsIn ?? 1000)
    }
    return { status: byEviction ? 201 : 200, body: { kind: 'Status', apiVersion: 'v1', status: 'Success' } }
  }

  #refusal(pod: Pod): Reply | undefined {
    const { phase, conditions } = pod.status
    if (phase !== 'Running' || pod.metadata.deletionTimestamp !== undefined) return undefined
    const mine = this.budgets.filter(
      ({ metadata, spec }) =>
        metadata.namespace === pod.metadata.namespace && selects(spec.selector, pod.metadata.labels ?? {}),
    )
    if (mine.length > 1)
      return failure(
        500,
        'InternalError',
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
      )
    if (mine.length === 0) return undefined
    const { metadata, spec, status } = this.#judged(mine[0]!)
    const { currentHealthy = 0, desiredHealthy = 0, disruptionsAllowed = 0 } = status!
    const unready = conditions![0]!.status !== 'True'
    const always = spec.unhealthyPodEvictionPolicy === 'AlwaysAllow'
    if (unready && (always || (currentHealthy >= desiredHealthy && desiredHealthy > 0))) return undefined
    if (disruptionsAllowed > 0) return undefined
    const words = `The disruption budget ${metadata.name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`
    return failure(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", [
      { reason: 'DisruptionBudget', message: words },
    ])
  }

  /** Talks to it without a network; `latency` in milliseconds of the clock. */
  transport(clock: Clock, latency: () => number = () => 0): Transport {
    const server = 'https://world'
    return {
      server,
      close: () => {},
      send: async <T>(request: ApiRequest): Promise<T> => {
        const { method = 'GET', path, query = {}, body, contentType, timeoutMs = 30_000 } = request
        const signal = request.signal ?? new AbortController().signal
        signal.throwIfAborted()
        await clock.sleep(latency(), signal)
        const reply = this.handle({ method, path, query, body, contentType })
        if (reply === 'hang') await clock.sleep(timeoutMs, signal)
        if (reply === 'hang') throw connectionError(server, new Error('timeout'), timeoutMs)
        if (reply === 'cut')
          throw connectionError(server, Object.assign(new Error(), { code: 'ECONNRESET' }), undefined)
        if (reply.status > 299) throw answerError(server, { method, path }, reply.status, reply.body, reply.retryAfter)
        return structuredClone(reply.body) as T
      },
    }
  }
}

interface Patch {
  readonly metadata?: { readonly resourceVersion?: string; readonly annotations?: Record<string, string | null> }
  readonly spec?: object
}

interface Options {
  readonly dryRun?: readonly string[]
  readonly preconditions?: { readonly uid?: string }
}

export function failure(status: number, reason: string, message: string, causes: object[] = []): Reply {
  return {
    status,
    body: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      reason,
      message,
      code: status,
      details: { causes },
    },
  }
}

const missing = failure(404, 'NotFound', 'not found')

function list(kind: string, items: readonly object[]): Reply {
  return { status: 200, body: { apiVersion: 'v1', kind, metadata: { resourceVersion: '1' }, items } }
}

/** Time that passes only when everybody waits for it. */
export class VirtualClock implements Clock {
  #now = Date.parse('2026-11-20T03:00:00Z')
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = []
  #turning = false

  readonly now = (): number => this.#now

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const sleeper = { at: this.#now + ms, wake: resolve }
      this.#sleepers.push(sleeper)
      signal.addEventListener('abort', () => {
        const at = this.#sleepers.indexOf(sleeper)
        if (at !== -1) this.#sleepers.splice(at, 1)
        reject(signal.reason)
      })
      if (!this.#turning) this.#turn()
    })
  }

  #turn(): void {
    this.#turning = true
    setImmediate(() => {
      this.#sleepers.sort((a, b) => a.at - b.at)
      const next = this.#sleepers.shift()
      if (next) {
        this.#now = Math.max(this.#now, next.at)
        next.wake()
        this.#turn()
      } else this.#turning = false
    })
  }
}
