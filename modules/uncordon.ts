import { type ActionContext, type ActionResult, defineAction, kubeadm, z } from '#module'

const schema = z.strictObject({ ...kubeadm.clusterArgs, node: kubeadm.nodeNames })
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Let pods onto nodes again that runbook cordoned',
  description:
    'Only those that `cordon` or `drain` cordoned, and only if they took pods before: a node that somebody cordoned by hand stays so.',
  controllerOnly: true,
  args: schema,
  returns: { nodes: 'node, changed and message of each' },
  examples: [{ name: 'Back to work', yaml: 'uncordon:\n  control_planes: [cp1, cp2, cp3]' }],
  run: (ctx, a) => uncordon(ctx, a, false),
  preview: (ctx, a) => uncordon(ctx, a, true),
})

async function uncordon(ctx: ActionContext, a: Args, dryRun: boolean): Promise<ActionResult> {
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  const nodes = await api.uncordon(a.node ?? [ctx.host], { run: ctx.runId, dryRun, signal: ctx.signal })
  return {
    changed: nodes.some(({ changed }) => changed),
    msg: nodes.map(({ node, message }) => `node/${node} ${message}`).join('; '),
    data: { nodes: nodes.map((one) => ({ ...one })) },
  }
}
