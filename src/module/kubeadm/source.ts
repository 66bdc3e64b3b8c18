import { z } from 'zod'
import type { KubeconfigSource } from '../../shared/kubernetes.ts'
import type { ActionContext, ActionResult } from '../action.ts'
import { TaskFailure } from '../define.ts'
import { FILES } from './host.ts'

/** Arguments that say which cluster a task is about. */
export const clusterArgs = {
  kubeconfig: z.string().optional().describe('a kubeconfig file on the controller; empty: as absent'),
  control_planes: z
    .union([z.string().transform((name) => [name]), z.array(z.string())])
    .optional()
    .describe(
      'instead of `kubeconfig`: hosts of the inventory; the administrator’s of the first that has one is read over SSH. Without both, or empty: that of the task’s own host',
    ),
}

/** Which nodes a task is about. */
export const nodeNames = z
  .union([z.string().transform((name) => [name]), z.array(z.string()).min(1)])
  .optional()
  .describe('names of nodes; default: the inventory’s name of the host')

/** Where the kubeconfig of a task comes from. */
export function clusterSource(a: {
  readonly kubeconfig?: string | undefined
  readonly control_planes?: readonly string[] | undefined
}): KubeconfigSource {
  if (a.kubeconfig) return { file: a.kubeconfig }
  return { hosts: a.control_planes?.length ? a.control_planes : undefined, path: FILES.admin }
}

/** No host that was asked has a kubeconfig: there is no cluster, or not yet. */
export class NoCluster extends TaskFailure {
  override name = 'NoCluster'
}

/** A `preview` that can do without a cluster: in check mode an earlier task may be about to make it. */
export function foreseen<A>(
  preview: (ctx: ActionContext, args: A) => Promise<ActionResult>,
  { changed }: { readonly changed: boolean },
): (ctx: ActionContext, args: A) => Promise<ActionResult> {
  return async (ctx, args) => {
    try {
      return await preview(ctx, args)
    } catch (error) {
      if (!(error instanceof NoCluster)) throw error
      const summary = 'check mode cannot tell: there is no cluster yet'
      return changed ? { changed, changes: [{ summary }] } : { changed, msg: summary }
    }
  }
}
