import { args, defineAction, node, TaskFailure, z } from '#module'

export default defineAction({
  summary: 'Reboot a host that node_stop has stopped, and wait until it has booted',
  description:
    'As `reboot`, for the node cycle: what an earlier run has sent is looked for before it is sent again, and when the host does not come ' +
    'back, its controller, ping and ssh tell what that means.',
  args: z.strictObject({
    timeout: args.seconds.default(900).describe('seconds until it must answer from another boot'),
    reason: args.text.default('maintenance').describe('shown to users who are logged in'),
    cycle: z.string().default('maintain').describe('as for node_preflight'),
  }),
  returns: { boot_id: 'of the new boot', elapsed: 'seconds' },
  examples: [{ name: 'A new kernel', yaml: 'node_reboot:\n  timeout: 1200' }],
  preview: async () => ({
    changed: true,
    msg: 'would reboot',
    changes: [{ summary: 'reboot, and wait for a new boot' }],
  }),
  run: async (ctx, a) => {
    await using power = await ctx.power()
    const started = performance.now()
    let record = node.recordOf(ctx)
    const answer = await node.answerOf(ctx, node.TRY_MS)
    if (answer.kind !== 'up' && !(record && node.mayBeDown(record))) throw node.notReached(ctx, answer)
    if (answer.kind === 'up') {
      const next = node.continuation(record, a.cycle, answer.bootId)
      if (next === 'is_back') {
        node.advance(ctx, record!, { phase: 'up' })
        return { changed: false, msg: 'has rebooted already', data: { boot_id: answer.bootId, elapsed: 0 } }
      }
      if (await node.isOwnMachine(answer.bootId)) throw node.mustNotBeOwn(ctx.host)
      if (next === 'begin') record = await node.beginRecord(ctx, a.cycle, await node.lookAt(ctx))
      if (!(await node.isUnderWay(ctx, record!))) {
        record = node.advance(ctx, record!, { phase: 'sent', sent: Date.now() })
        await node.sendDown(ctx, 'reboot', `reboot by runbook: ${a.reason}`)
        ctx.log(`reboot: sent, its time is ${a.timeout} s`)
      }
    }
    await ctx.disconnect()
    const { bootId } = record!
    const fresh = await node.waitBack(ctx, { power, oldBoot: bootId, timeoutMs: a.timeout * 1000 })
    if (fresh === bootId) throw new TaskFailure('it answers from the old boot')
    node.advance(ctx, record!, { phase: 'up' })
    const elapsed = Math.round((performance.now() - started) / 1000)
    return { changed: true, msg: `rebooted in ${elapsed} s`, data: { boot_id: fresh, elapsed } }
  },
})
