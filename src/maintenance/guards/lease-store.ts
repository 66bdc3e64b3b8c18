/** Locks in the cluster: Leases of coordination.k8s.io/v1. */
import type { Transport } from '../../kubernetes/index.ts'
import { UserError } from '../../shared/errors.ts'
import { type KubeObject, KubernetesError } from '../../shared/kubernetes.ts'
import { EMPTY, type GuardStore, type Ledger, type Pulse, parseLedger } from './store.ts'

/** The Lease that is the ledger. `leaseTransitions` is the newest token. */
export const LEDGER_LEASE = 'runbook-guards'
export const LEDGER_ANNOTATION = 'runbook/locks'
/** A node's pulse; also what `kubectl get leases` shows to people. */
export const NODE_LEASE = 'runbook-node-'
const LABEL = { 'app.kubernetes.io/managed-by': 'runbook' }
const SELECTOR = 'app.kubernetes.io/managed-by=runbook'
const API_VERSION = 'coordination.k8s.io/v1'

interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

/** A renewal that hangs must not use up the time in which another one could succeed. */
const TIMEOUT_MS = 8000

export function openLeaseStore(transport: Transport, namespace: string): GuardStore {
  const collection = `/apis/${API_VERSION}/namespaces/${encodeURIComponent(namespace)}/leases`
  const path = (name: string): string => `${collection}/${encodeURIComponent(name)}`

  const all = async (signal: AbortSignal | undefined): Promise<Lease[]> => {
    const leases: Lease[] = []
    let next: string | undefined
    do {
      const page = await transport.send<{ items: Lease[]; metadata: { continue?: string } }>({
        path: collection,
        query: { labelSelector: SELECTOR, limit: '500', continue: next },
        signal,
        timeoutMs: TIMEOUT_MS,
      })
      leases.push(...page.items)
      next = page.metadata.continue || undefined
    } while (next !== undefined)
    return leases
  }

  /** Creates, or changes the version that is given; undefined when that is not what stands there. */
  const put = async (
    name: string,
    resourceVersion: string | undefined,
    spec: Lease['spec'],
    annotations: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<Lease | undefined> => {
    const metadata = { name, namespace, labels: LABEL, annotations }
    const body = { apiVersion: API_VERSION, kind: 'Lease', metadata, spec }
    try {
      if (resourceVersion === undefined)
        return await transport.send<Lease>({ method: 'POST', path: collection, body, signal, timeoutMs: TIMEOUT_MS })
      // Not PUT: for Leases that creates what is not there (pkg/registry/coordination/lease/strategy.go,
      // AllowCreateOnUpdate), and a holder whose lock was broken would bring it back.
      return await transport.send<Lease>({
        method: 'PATCH',
        path: path(name),
        contentType: 'application/merge-patch+json',
        query: { fieldManager: 'runbook' },
        body: { ...body, metadata: { ...metadata, resourceVersion } },
        signal,
        timeoutMs: TIMEOUT_MS,
      })
    } catch (error) {
      // 409: created or changed by somebody else. 404: deleted meanwhile. (404 to POST: there is no such namespace.)
      if (!(error instanceof KubernetesError)) throw error
      if (error.status === 409 || (error.status === 404 && resourceVersion !== undefined)) return undefined
      throw error
    }
  }

  return {
    place: `Leases in ${namespace} of ${transport.server}`,
    [Symbol.dispose]: () => {},

    async read(signal) {
      const leases = await all(signal)
      const ledger = leases.find(({ metadata }) => metadata.name === LEDGER_LEASE)
      const pulses = leases.flatMap((lease) => pulseOf(lease) ?? [])
      return {
        version: ledger?.metadata.resourceVersion,
        ledger: ledger ? ledgerOf(ledger, namespace) : EMPTY,
        pulses: new Map(pulses.map((pulse) => [pulse.node, pulse])),
      }
    },

    async swap(version, ledger, signal) {
      const newest = ledger.entries.findLast(({ token }) => token === ledger.last)
      const spec = {
        ...(newest ? { holderIdentity: newest.id } : {}),
        renewTime: microTime(Date.now()),
        leaseTransitions: ledger.last,
      }
      return (
        (await put(LEDGER_LEASE, version, spec, { [LEDGER_ANNOTATION]: JSON.stringify(ledger) }, signal)) !== undefined
      )
    },

    async beat(before, { node, id, validMs }, signal) {
      const now = microTime(Date.now())
      const spec = {
        holderIdentity: id,
        leaseDurationSeconds: Math.max(1, Math.ceil(validMs / 1000)),
        renewTime: now,
        acquireTime: now,
      }
      const lease = await put(NODE_LEASE + node, before?.version, spec, { [VALID_ANNOTATION]: String(validMs) }, signal)
      return lease && pulseOf(lease)
    },

    async drop({ node, version }) {
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion: version } }
      try {
        await transport.send({ method: 'DELETE', path: path(NODE_LEASE + node), body, timeoutMs: TIMEOUT_MS })
        return true
      } catch (error) {
        if (!(error instanceof KubernetesError && (error.status === 404 || error.status === 409))) throw error
        return error.status === 404
      }
    },
  }
}

/** `leaseDurationSeconds` is whole. */
const VALID_ANNOTATION = 'runbook/valid-ms'

function pulseOf({ metadata, spec = {} }: Lease): Pulse | undefined {
  if (!metadata.name.startsWith(NODE_LEASE)) return undefined
  const exact = Number(metadata.annotations?.[VALID_ANNOTATION])
  return {
    node: metadata.name.slice(NODE_LEASE.length),
    id: spec.holderIdentity ?? '',
    version: metadata.resourceVersion ?? '',
    validMs: exact > 0 ? exact : (spec.leaseDurationSeconds ?? 0) * 1000,
    at: Date.parse(spec.renewTime ?? '') || 0,
  }
}

function ledgerOf({ metadata }: Lease, namespace: string): Ledger {
  const ledger = parseLedger(metadata.annotations?.[LEDGER_ANNOTATION] ?? '')
  if (ledger) return ledger
  throw new UserError({
    message: `the Lease ${namespace}/${LEDGER_LEASE} is not one that runbook wrote: ${LEDGER_ANNOTATION} cannot be read`,
    hint: `when no runbook is at work: kubectl -n ${namespace} delete lease ${LEDGER_LEASE}`,
  })
}

/** meta/v1 MicroTime: the API refuses a time with three digits after the point, which is what a Date prints. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z')
}
