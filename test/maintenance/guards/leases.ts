/**
 * Leases beside the nodes of a World, with the API server's optimistic concurrency; `lease-api.kubernetes.test.ts` puts
 * the same requests to a real one.
 */
import { type Asked, failure, type Reply, type World } from '../../kubernetes/drain/world.ts'

interface Lease {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly resourceVersion: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec?: Readonly<Record<string, unknown>>
}

/** meta/v1 MicroTime: six digits after the point, nothing else. */
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/

export class Leases {
  readonly all = new Map<string, Lease>()
  /** Every request for leases, and what was answered. */
  readonly log: { readonly method: string; readonly name: string; readonly status: number }[] = []
  /** Requests are not answered: the connection is cut before (`before`) or after (`after`) they had their effect. */
  cut: (asked: Asked) => 'before' | 'after' | undefined = () => undefined
  #version = 1000

  /** Makes a world answer for its leases too. */
  constructor(world: World) {
    const others = world.script
    world.script = (asked, n) => {
      const fault = this.cut(asked)
      if (fault === 'before') return 'cut'
      const reply = this.#handle(asked)
      if (reply === undefined) return others(asked, n)
      this.log.push({ method: asked.method, name: asked.path.split('/')[7] ?? '', status: reply.status })
      return fault === 'after' ? 'cut' : reply
    }
  }

  #handle({ method, path, query, body }: Asked): Reply | undefined {
    const [, namespace, name] =
      /^\/apis\/coordination\.k8s\.io\/v1\/namespaces\/([^/]+)\/leases(?:\/([^/]+))?$/.exec(path) ?? []
    if (namespace === undefined) return undefined
    if (namespace !== 'kube-system') {
      if (method === 'POST') return failure(404, 'NotFound', `namespaces "${namespace}" not found`)
    }
    const sent = body as Partial<Lease> & { preconditions?: { resourceVersion?: string } }
    for (const field of ['renewTime', 'acquireTime']) {
      const time = sent?.spec?.[field]
      if (time !== undefined && !MICRO_TIME.test(String(time)))
        return failure(400, 'BadRequest', `Lease in version "v1" cannot be handled as a Lease: parsing time "${time}"`)
    }
    if (name === undefined) {
      if (method === 'GET') return this.#list(query.labelSelector)
      const key = sent.metadata!.name
      if (this.all.has(key)) return failure(409, 'AlreadyExists', `leases.coordination.k8s.io "${key}" already exists`)
      return { status: 201, body: this.#keep(sent) }
    }
    const there = this.all.get(name)
    if (!there) return failure(404, 'NotFound', `leases.coordination.k8s.io "${name}" not found`)
    if (method === 'GET') return { status: 200, body: there }
    if (method === 'DELETE') {
      const wanted = sent?.preconditions?.resourceVersion
      if (wanted !== undefined && wanted !== there.metadata.resourceVersion)
        return failure(409, 'Conflict', 'the ResourceVersion in the precondition does not match')
      this.all.delete(name)
      return { status: 200, body: { kind: 'Status', apiVersion: 'v1', status: 'Success' } }
    }
    const version = sent.metadata?.resourceVersion
    if (version !== undefined && version !== there.metadata.resourceVersion)
      return failure(409, 'Conflict', 'the object has been modified; please apply your changes to the latest version')
    if (method !== 'PATCH') return failure(405, 'MethodNotAllowed', `${method} is not faked`)
    const { metadata, spec } = sent
    const annotations = { ...there.metadata.annotations, ...metadata?.annotations }
    const labels = { ...there.metadata.labels, ...metadata?.labels }
    const merged = { metadata: { ...there.metadata, labels, annotations }, spec: { ...there.spec, ...spec } }
    return { status: 200, body: this.#keep(merged) }
  }

  #keep({ metadata, spec }: Partial<Lease>): Lease {
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { ...metadata!, resourceVersion: String(this.#version++) },
      spec: spec ?? {},
    }
    this.all.set(lease.metadata.name, lease)
    return lease
  }

  #list(selector: string | undefined): Reply {
    const [key, value] = selector?.split('=') ?? []
    const items = [...this.all.values()].filter(({ metadata }) => key === undefined || metadata.labels?.[key] === value)
    return { status: 200, body: { kind: 'LeaseList', metadata: { resourceVersion: String(this.#version) }, items } }
  }
}
