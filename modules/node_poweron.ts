import { type ActionContext, args, defineAction, node, TaskFailure, z } from '#module'

export default defineAction({
  summary: 'Turn the host on, and wait until it has booted',
  description:
    'By its controller, by Wake-on-LAN (again and again), or by a person: then it waits. Done when somebody can log in to another boot ' +
    'than the one that ended; a host that answers so already is left alone, but for the services that a cycle which was given up has stopped: ' +
    'they are started.',
  args: z.strictObject({
    timeout: args.seconds.default(900).describe('seconds until it must answer'),
    by_hand_timeout: args.seconds.default(86_400).describe('the same where a person turns it on'),
  }),
  returns: { boot_id: 'of the boot that answers', elapsed: 'seconds' },
  examples: [{ name: 'Up again', yaml: 'node_poweron:\n  timeout: 1200' }],
  preview: async (ctx) => {
    await using power = await ctx.power()
    const how = power ? `by ${power.description}` : 'by hand: the host has no runbook_power'
    return { changed: true, msg: `would turn it on, ${how}`, changes: [{ summary: `power on ${how}` }] }
  },
  run: async (ctx, a) => {
    await using power = await ctx.power()
    const started = performance.now()
    const record = node.recordOf(ctx)
    // Only a boot that was told to end is an old one.
    const oldBoot = record && node.mayBeDown(record) ? record.bootId : undefined
    await ctx.disconnect()
    const answer = await node.answerOf(ctx, node.TRY_MS)
    const isUp = answer.kind === 'up' && answer.bootId !== oldBoot
    const timeoutMs = (power ? a.timeout : a.by_hand_timeout) * 1000
    const turned = isUp ? false : await node.turnOn(ctx, power, timeoutMs)
    const bootId = isUp ? answer.bootId : await node.waitBack(ctx, { power, oldBoot, timeoutMs })
    if (record && oldBoot !== undefined) node.advance(ctx, record, { phase: 'up', rests: false })
    // A cycle that was given up before the power off: what it has stopped runs again.
    if (record && oldBoot === undefined) await start(ctx, record)
    const elapsed = Math.round((performance.now() - started) / 1000)
    return {
      changed: turned || !isUp,
      msg: isUp ? 'is up' : `up after ${elapsed} s`,
      changes: isUp ? [] : [{ summary: `power on: booted after ${elapsed} s` }],
      data: { boot_id: bootId, elapsed },
    }
  },
})

async function start(ctx: ActionContext, { ran }: node.CycleRecord): Promise<void> {
  if (ran.length === 0) return
  const { rc, stderr } = await ctx.run(node.startScript(ran), { timeoutMs: 180_000 })
  if (rc !== 0) throw new TaskFailure(`what was stopped does not start again: ${stderr.toString('utf8').trim()}`)
}
