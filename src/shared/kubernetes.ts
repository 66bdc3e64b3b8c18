/** What runbook asks of a cluster; `src/kubernetes/` answers it. Actions get one from `ctx.kubernetes`. */
import type { CordonOptions, CordonResult, DrainEvent, DrainOptions } from './drain.ts'
import { UserError } from './errors.ts'

/** An object of the Kubernetes API, as JSON. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

/** Which object; `namespace` of a namespaced kind is `default` when absent. */
export interface ObjectRef {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string | undefined
}

export interface ListQuery {
  readonly apiVersion: string
  readonly kind: string
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export interface ManifestOptions {
  /** Nothing is stored; the answers are what would be. */
  readonly dryRun: boolean
  /** Take fields over that another manager holds, instead of failing. */
  readonly force?: boolean | undefined
  /** For namespaced objects that name none. */
  readonly namespace?: string | undefined
  /**
   * A label selector: objects with it that the manifests do not hold are deleted, of the kinds that the manifests hold and
   * of those that runbook applied before under this selector.
   */
  readonly prune?: string | undefined
}

/** What became of one object. Absent `before`: created; absent `after`: deleted. */
export interface AppliedObject {
  readonly ref: ObjectRef
  readonly changed: boolean
  readonly before: KubeObject | undefined
  readonly after: KubeObject | undefined
}

export interface KubernetesApi {
  /** URL of the API server. */
  readonly server: string
  /** PEM of the certificate authorities that the kubeconfig trusts; undefined when it names none. */
  readonly authorities: string | undefined
  /** Version of the API server: `v1.34.1`. */
  version(): Promise<string>
  /** Whether it says that it is ready to serve; undefined when it is, else why not, in words. Never throws. */
  notReady(): Promise<string | undefined>
  /** Undefined when there is none. */
  get(ref: ObjectRef): Promise<KubeObject | undefined>
  list(query: ListQuery): Promise<readonly KubeObject[]>
  create(object: KubeObject): Promise<KubeObject>
  /** JSON merge patch (RFC 7396). With `resourceVersion` in its metadata it fails (409) when the object has changed. */
  patch(ref: ObjectRef, patch: object, options?: { readonly dryRun?: boolean }): Promise<KubeObject>
  /** False when it was not there. */
  delete(ref: ObjectRef, options?: { readonly dryRun?: boolean }): Promise<boolean>
  /** Server-side apply of a multi-document YAML or JSON text; `name` is what it is called in errors. */
  applyManifest(text: string, name: string, options: ManifestOptions): Promise<readonly AppliedObject[]>
  /** Deletes the objects of a manifest, the last first. */
  deleteManifest(text: string, name: string, options: ManifestOptions): Promise<readonly AppliedObject[]>
  /** Keeps new pods off nodes, and remembers on them how they were before. Throws for a node that is not there. */
  cordon(nodes: readonly string[], options: CordonOptions): Promise<readonly CordonResult[]>
  /** Lets pods onto nodes that runbook cordoned, if they took pods before; others stay as they are. */
  uncordon(nodes: readonly string[], options: CordonOptions): Promise<readonly CordonResult[]>
  /**
   * Cordons nodes and empties them, one by one, when a preflight finds nothing in the way. What goes wrong is in the
   * events; it throws only when nothing was touched: an unknown node, an API that is not there. Breaking off the loop
   * stops it.
   */
  drain(nodes: readonly string[], options: DrainOptions): AsyncIterable<DrainEvent>
}

/** Where a kubeconfig comes from. */
export type KubeconfigSource =
  /** A file of the controller. */
  | { readonly file: string }
  /** `path` on the first of these hosts of the inventory that can be reached and has it; absent: the action's own host. */
  | { readonly hosts?: readonly string[] | undefined; readonly path: string }

/** What a meta/v1 Status says. */
export interface ApiWords {
  readonly message: string
  readonly causes: readonly { readonly reason?: string; readonly message?: string }[]
}

/**
 * A request that the API did not fulfil. `status` is HTTP's; undefined when there was no answer. `reason` is the API's
 * word: NotFound, Conflict, Forbidden …
 */
export class KubernetesError extends UserError {
  readonly status: number | undefined
  readonly reason: string | undefined
  /** Fields that belong to other managers: what server-side apply refuses to change. */
  readonly conflicts: readonly { readonly field: string; readonly manager: string }[]
  /** The API's own words, without ours around them: its message, and below it the details. */
  readonly answer: ApiWords
  /** Seconds after which the API wants to be asked again. */
  readonly retryAfter: number | undefined

  constructor(
    message: string,
    options: ErrorOptions & {
      status?: number | undefined
      reason?: string | undefined
      conflicts?: readonly { readonly field: string; readonly manager: string }[]
      hint?: string | undefined
      answer?: ApiWords | undefined
      retryAfter?: number | undefined
    } = {},
  ) {
    super({ message, hint: options.hint }, options)
    this.name = 'KubernetesError'
    this.status = options.status
    this.reason = options.reason
    this.conflicts = options.conflicts ?? []
    this.answer = options.answer ?? { message, causes: [] }
    this.retryAfter = options.retryAfter
  }
}

/** Whether an error says that the API cannot be reached at all, which may pass. */
export function isUnreachable(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === undefined
}

/** `Deployment default/web`, `Node n1` */
export function describeRef({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`
}

/** What the server adds to an object by itself, and what of it changes without anybody's doing. */
export function withoutBookkeeping(object: KubeObject): Record<string, unknown> {
  const { managedFields, resourceVersion, generation, creationTimestamp, uid, selfLink, ...metadata } = object.metadata
  const { status, ...rest } = object
  return { ...rest, metadata }
}
