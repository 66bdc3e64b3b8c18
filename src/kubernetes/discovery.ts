import { didYouMean } from '../shared/errors.ts'
import { KubernetesError, type ObjectRef } from '../shared/kubernetes.ts'
import type { Transport } from './transport.ts'

/** A kind as the API serves it: meta/v1 APIResource. */
export interface ResourceType {
  /** Plural, as it stands in paths. */
  readonly name: string
  readonly kind: string
  readonly namespaced: boolean
}

/** Which resources the API serves; asked once a group and version, and again for a kind that is new (a CRD). */
export class Discovery {
  readonly #transport: Transport
  readonly #groups = new Map<string, Promise<readonly ResourceType[]>>()

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Throws KubernetesError (status 404) for a kind that is not served. */
  async find(apiVersion: string, kind: string): Promise<ResourceType> {
    const known = await this.#kinds(apiVersion)
    const found = known.find((type) => type.kind === kind)
    if (found) return found
    this.#groups.delete(apiVersion)
    const again = await this.#kinds(apiVersion)
    const type = again.find((one) => one.kind === kind)
    if (type) return type
    const kinds = [...new Set(again.map((one) => one.kind))]
    throw new KubernetesError(`the API at ${this.#transport.server} has no kind ${kind} in ${apiVersion}`, {
      status: 404,
      hint: didYouMean(kind, kinds) ?? 'its CustomResourceDefinition may not be there yet',
    })
  }

  /** The path of an object's collection; of all namespaces when none is given. */
  async collection(apiVersion: string, kind: string, namespace?: string): Promise<string> {
    const type = await this.find(apiVersion, kind)
    const within = type.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : ''
    return `${groupPath(apiVersion)}${within}/${type.name}`
  }

  /** The path of an object. */
  async path({ apiVersion, kind, name, namespace = 'default' }: ObjectRef): Promise<string> {
    return `${await this.collection(apiVersion, kind, namespace)}/${encodeURIComponent(name)}`
  }

  #kinds(apiVersion: string): Promise<readonly ResourceType[]> {
    let kinds = this.#groups.get(apiVersion)
    if (!kinds) {
      kinds = this.#ask(apiVersion)
      this.#groups.set(apiVersion, kinds)
      kinds.catch(() => this.#groups.delete(apiVersion))
    }
    return kinds
  }

  async #ask(apiVersion: string): Promise<readonly ResourceType[]> {
    try {
      const { resources } = await this.#transport.send<{ resources: ResourceType[] }>({ path: groupPath(apiVersion) })
      return resources.filter(({ name }) => !name.includes('/'))
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return []
      throw error
    }
  }
}

function groupPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
}
