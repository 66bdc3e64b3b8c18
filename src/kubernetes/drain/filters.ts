/**
 * Which pods a drain takes: kubectl's filters, in its order and with its words (kubectl 1.32, pkg/drain/filters.go).
 */
import type { DrainOptions } from '../../shared/drain.ts'
import { podName } from '../../shared/drain.ts'
import { controllerOf, isFinished, type Pod } from './objects.ts'

/** `warning` comes with pods that go or stay all the same. */
export type Verdict =
  | { readonly do: 'evict'; readonly warning?: string }
  | { readonly do: 'keep'; readonly why: string; readonly warning?: string }
  | { readonly do: 'refuse'; readonly why: string }

export type FilterOptions = Pick<
  DrainOptions,
  'force' | 'ignoreDaemonsets' | 'deleteEmptydirData' | 'skipWaitForDeleteSeconds'
>

export interface FilterWorld {
  /** `namespace/name` of the DaemonSets that exist. */
  readonly daemonSets: ReadonlySet<string>
  /** Milliseconds since the epoch, by the server's clock as far as is known. */
  readonly now: number
}

const MIRROR = 'kubernetes.io/config.mirror'

type Filter = (pod: Pod, options: FilterOptions, world: FilterWorld) => Verdict

const OKAY: Verdict = { do: 'evict' }

const FILTERS: readonly Filter[] = [
  (pod, { skipWaitForDeleteSeconds = 0 }, { now }) => {
    const { deletionTimestamp } = pod.metadata
    if (deletionTimestamp === undefined || skipWaitForDeleteSeconds <= 0) return OKAY
    const seconds = (now - Date.parse(deletionTimestamp)) / 1000
    if (seconds <= skipWaitForDeleteSeconds) return OKAY
    return { do: 'keep', why: `should have ended ${Math.floor(seconds)} s ago; not waited for` }
  },
  (pod, { force, ignoreDaemonsets }, { daemonSets }) => {
    const owner = controllerOf(pod)
    if (owner?.kind !== 'DaemonSet' || !owner.apiVersion.startsWith('apps/') || isFinished(pod)) return OKAY
    if (!daemonSets.has(podName({ namespace: pod.metadata.namespace, name: owner.name }))) {
      const gone = `daemonsets.apps "${owner.name}" not found`
      return force ? { do: 'evict', warning: gone } : { do: 'refuse', why: gone }
    }
    if (!ignoreDaemonsets)
      return { do: 'refuse', why: 'cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)' }
    return { do: 'keep', why: 'DaemonSet-managed', warning: 'ignoring DaemonSet-managed Pods' }
  },
  (pod) => (pod.metadata.annotations?.[MIRROR] === undefined ? OKAY : { do: 'keep', why: 'static pod of kubelet' }),
  (pod, { deleteEmptydirData }) => {
    if (!pod.spec.volumes?.some(({ emptyDir }) => emptyDir != null) || isFinished(pod)) return OKAY
    if (!deleteEmptydirData)
      return { do: 'refuse', why: 'cannot delete Pods with local storage (use --delete-emptydir-data to override)' }
    return { do: 'evict', warning: 'deleting Pods with local storage' }
  },
  (pod, { force }) => {
    if (controllerOf(pod) !== undefined || isFinished(pod)) return OKAY
    if (!force) return { do: 'refuse', why: 'cannot delete Pods that declare no controller (use --force to override)' }
    return { do: 'evict', warning: 'deleting Pods that declare no controller' }
  },
]

/** What becomes of a pod. All warnings are kept, not the last alone. */
export function judgePod(pod: Pod, options: FilterOptions, world: FilterWorld): Verdict {
  const warnings: string[] = []
  for (const filter of FILTERS) {
    const verdict = filter(pod, options, world)
    if (verdict.do !== 'evict') return verdict
    if (verdict.warning !== undefined) warnings.push(verdict.warning)
  }
  return warnings.length === 0 ? OKAY : { do: 'evict', warning: warnings.join('; ') }
}
