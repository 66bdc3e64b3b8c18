import { type ActionContext, type ActionResult, defineAction, kubeadm, z } from '#module'

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  node: kubeadm.nodeNames,
  reason: z.string().optional().describe('kept in the node’s annotation'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Keep new pods off nodes',
  description:
    'An annotation remembers the run, and whether the node was cordoned before: `uncordon` gives back what was there.',
  controllerOnly: true,
  args: schema,
  returns: { nodes: 'node, changed and message of each' },
  examples: [{ name: 'No new pods', yaml: 'cordon:\n  control_planes: [cp1, cp2, cp3]\n  reason: memory is replaced' }],
  run: (ctx, a) => cordon(ctx, a, false),
  preview: (ctx, a) => cordon(ctx, a, true),
})

async function cordon(ctx: ActionContext, a: Args, dryRun: boolean): Promise<ActionResult> {
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  const nodes = await api.cordon(a.node ?? [ctx.host], {
    run: ctx.runId,
    reason: a.reason,
    dryRun,
    signal: ctx.signal,
  })
  return {
    changed: nodes.some(({ changed }) => changed),
    msg: nodes.map(({ node, message }) => `node/${node} ${message}`).join('; '),
    data: { nodes: nodes.map((one) => ({ ...one })) },
  }
}
