import {
  type ActionContext,
  type ActionResult,
  args,
  DRAIN_TIMEOUT_MS,
  type DrainEvent,
  defineAction,
  drainLine,
  kubeadm,
  reportLine,
  TaskFailure,
  z,
} from '#module'

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  node: kubeadm.nodeNames,
  reason: z.string().optional().describe('kept in the node’s annotation'),
  timeout: args.seconds
    .refine((seconds) => seconds > 0, 'must be above 0')
    .default(DRAIN_TIMEOUT_MS / 1000)
    .describe('seconds for all of it, waiting for budgets included'),
  grace_period: z.int().nonnegative().optional().describe('seconds for pods to end in; absent: each pod’s own'),
  pod_selector: z.string().optional().describe('a label selector: other pods stay'),
  delete_emptydir_data: args.boolean.default(false).describe('pods with emptyDir volumes too; what is in them is lost'),
  ignore_daemonsets: args.boolean
    .default(true)
    .describe('leave pods of DaemonSets; false refuses nodes that have some'),
  force: args.boolean
    .default(false)
    .describe('pods without a controller too, which nothing makes anew; and the last node that can take pods'),
  disable_eviction: args.boolean.default(false).describe('delete instead of evict: no PodDisruptionBudget is asked'),
  skip_wait_for_delete_timeout: args.seconds
    .default(0)
    .describe('do not wait for pods that should have ended so many seconds ago; 0 waits for all'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Cordon nodes and evict their pods',
  description:
    'As `kubectl drain` does, with its filters. Before anything is touched the server is asked about every eviction, and all are summed per PodDisruptionBudget: what can never be evicted ends the task, a budget that lets nothing go at the moment is waited for. Evicts by UID. Several nodes are drained one by one.',
  controllerOnly: true,
  args: schema,
  returns: { nodes: 'node, state (drained, cordoned, blocked, untouched), gone and left of each' },
  examples: [
    {
      name: 'Empty the node',
      yaml: 'drain:\n  control_planes: [cp1, cp2, cp3]\n  delete_emptydir_data: true\n  timeout: 1800',
    },
  ],
  run: (ctx, a) => drain(ctx, a, false),
  preview: (ctx, a) => drain(ctx, a, true),
})

async function drain(ctx: ActionContext, a: Args, dryRun: boolean): Promise<ActionResult> {
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  const names = a.node ?? [ctx.host]
  const blocked: string[] = []
  let end: Extract<DrainEvent, { type: 'end' }> | undefined
  let changed = false
  let pods = 0
  const events = api.drain(names, {
    run: ctx.runId,
    reason: a.reason,
    dryRun,
    timeoutMs: a.timeout * 1000,
    gracePeriodSeconds: a.grace_period,
    podSelector: a.pod_selector,
    deleteEmptydirData: a.delete_emptydir_data,
    ignoreDaemonsets: a.ignore_daemonsets,
    force: a.force,
    disableEviction: a.disable_eviction,
    skipWaitForDeleteSeconds: a.skip_wait_for_delete_timeout,
    signal: ctx.signal,
  })
  for await (const event of events) {
    const line = drainLine(event)
    if (line !== undefined) ctx.log(line)
    if (event.type === 'blocked') blocked.push(event.message)
    if (event.type === 'cordoned') changed ||= event.changed
    if (event.type === 'planned') pods += event.evict.length
    if (event.type === 'end') end = event
  }
  const nodes = end!.nodes
  if (blocked.length > 0) throw new TaskFailure(`${end!.message}: ${blocked.join('\n  ')}`)
  if (dryRun) {
    const cordoned = await api.cordon(names, { run: ctx.runId, dryRun, signal: ctx.signal })
    return { changed: pods > 0 || cordoned.some((node) => node.changed), msg: `would evict ${pods} pods` }
  }
  if (nodes.some(({ state }) => state !== 'drained'))
    throw new TaskFailure(`${end!.message}\n  ${nodes.map((one) => reportLine(one)).join('\n  ')}`)
  const gone = nodes.reduce((sum, node) => sum + node.gone, 0)
  return {
    changed: changed || gone > 0,
    msg: `${gone} pods gone`,
    data: { nodes: nodes.map((one) => ({ ...one, left: [...one.left] })) },
  }
}
