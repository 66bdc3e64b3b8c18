import { z } from 'zod'
import type { KubeconfigSource } from '../../shared/kubernetes.ts'
import { FILES } from './host.ts'

/** Arguments that say which cluster a task is about. */
export const clusterArgs = {
  kubeconfig: z.string().min(1).optional().describe('a kubeconfig file on the controller'),
  control_planes: z
    .union([z.string().transform((name) => [name]), z.array(z.string()).min(1)])
    .optional()
    .describe(
      'instead of `kubeconfig`: hosts of the inventory; the administrator’s of the first that has one is read over SSH. Without both: that of the task’s own host',
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
  return a.kubeconfig === undefined ? { hosts: a.control_planes, path: FILES.admin } : { file: a.kubeconfig }
}
