import { args, defineAction, node, SessionError, TaskFailure, z } from '#module'

const schema = z.strictObject({
  cycle: z.string().default('maintain').describe('whose work this is; another one does not go on with it'),
  ignore_inhibitors: args.boolean.default(false).describe('go on although somebody holds a shutdown lock'),
  by_hand: args.boolean.default(false).describe('a person turns it on again: it is fine that nothing here can'),
  anew: args.boolean.default(false).describe('forget a cycle that an earlier run left'),
})

export default defineAction({
  summary: 'Look at a host before it is taken down, and remember how it was',
  description:
    'Refuses the machine that runbook runs on. Remembers boot_id, failed units, error counters of the disks and what runs, for ' +
    'the checks after the boot; and finds what an earlier run that died has done already.',
  args: schema,
  returns: {
    to_stop: 'whether it is to be drained, stopped and taken down yet; false: an earlier run has done so',
    kubernetes: 'whether it runs containers of Kubernetes',
    joined: 'whether it is a node of a cluster',
    bootId: 'of the boot that is to end',
    warnings: 'list of what may make the shutdown slow',
  },
  examples: [{ name: 'First of all', yaml: 'node_preflight: {}\nregister: node' }],
  run: preflight,
  preview: preflight,
})

async function preflight(ctx: Parameters<typeof node.lookAt>[0], a: z.output<typeof schema>) {
  const power = await ctx.power()
  await using _ = power
  if (a.anew && !ctx.check) node.keep(ctx, undefined)
  const earlier = a.anew ? undefined : node.recordOf(ctx)
  let look: node.NodeLook
  try {
    look = await node.lookAt(ctx)
  } catch (error) {
    if (!(error instanceof SessionError) || error.kind === 'host_key' || error.kind === 'locked') throw error
    if (!earlier || !node.mayBeDown(earlier)) throw await withAdvice(ctx, power, error)
    ctx.log(`it does not answer, and run ${earlier.run} has sent it down: going on`)
    return { changed: false, msg: 'is down, by an earlier run', data: { ...facts(earlier), to_stop: false } }
  }
  if (await node.isOwnMachine(look.bootId)) throw node.mustNotBeOwn(ctx.host)
  if ((await node.powerState(ctx, power)) === 'off')
    throw new TaskFailure(
      `it runs, and its controller says off (${power!.description}): is its runbook_power that of another machine? ` +
        'Nothing that this controller says or does could be relied on',
    )
  if (!look.root) throw new TaskFailure('only root may take a host down: become: true is missing')
  if (!a.ignore_inhibitors && look.inhibitors.length > 0)
    throw new TaskFailure(
      `somebody does not want a shutdown: ${look.inhibitors.join('; ')}. Wait, or go on all the same: ignore_inhibitors: true`,
    )
  const wrong = power && !a.by_hand ? wakeTrouble(power.wakes, look.cards) : []
  // Not only what a card says of itself: where it is armed now, and again before the power off, nothing else was touched.
  if (power && !a.by_hand && !ctx.check && wrong.length === 0) wrong.push(...(await node.armWake(ctx, power.wakes)))
  if (wrong.length > 0)
    throw new TaskFailure(
      `nothing could turn it on again: Wake-on-LAN is its only power, and ${wrong.join('; ')}. Where a person will: by_hand: true (--by-hand)`,
    )
  const next = node.continuation(earlier, a.cycle, look.bootId)
  const was = earlier && `run ${earlier.run} of ${new Date(earlier.begun).toISOString()}`
  if (next === 'is_back') {
    const record = ctx.check ? earlier! : node.advance(ctx, earlier!, { phase: 'up' })
    ctx.log(`going on with ${was}: it has been down, and is up again`)
    return { changed: false, msg: 'has been down already', data: { ...facts(record), to_stop: false } }
  }
  if (next === 'go_on' && earlier!.cycle === a.cycle) ctx.log(`going on with ${was}`)
  const record = next === 'go_on' ? earlier! : await node.beginRecord(ctx, a.cycle, look)
  const warnings = warningsOf(look)
  for (const warning of warnings) ctx.log(`warning: ${warning}`)
  return {
    changed: false,
    msg: warnings.join('; '),
    data: { ...facts(record), to_stop: true, warnings },
  }
}

/** The error, with what a person can do now: the same command would come to the same end. */
async function withAdvice(
  ctx: Parameters<typeof node.lookAt>[0],
  power: Awaited<ReturnType<typeof ctx.power>>,
  error: SessionError,
): Promise<SessionError> {
  const { host } = ctx
  const advice = {
    on: `its controller says on. If it hangs: its console, or runbook power off ${host} (a soft off by its controller)`,
    off: `its controller says off: runbook node poweron ${host} turns it on, checks it and uncordons it`,
    unknown: 'nothing else tells how it is: look at its console',
  }[await node.powerState(ctx, power)]
  const hint = [error.hint, advice].filter((text) => text !== undefined).join('; ')
  return new SessionError(error.kind, error.host, error.message, { cause: error, hint })
}

const facts = ({ kubernetes, joined, bootId, phase }: node.CycleRecord) => ({
  kubernetes,
  bootId,
  phase,
  joined,
  warnings: [] as string[],
})

function wakeTrouble(macs: readonly string[], cards: readonly node.Card[]): string[] {
  return macs.flatMap((mac) => {
    const card = cards.find((one) => one.mac === mac)
    if (!card) return [`it has no network card ${mac}`]
    return card.supports.includes('g') ? [] : [`${card.name} (${mac}) cannot wake it, or ethtool is missing`]
  })
}

function warningsOf(look: node.NodeLook): string[] {
  const warnings = node
    .networkMounts(look)
    .map(({ path, type, source }) => `${path} (${type} of ${source}) makes a shutdown hang when its server is gone`)
  if (node.hasOldShims(look.containerdVersion))
    warnings.push(`containerd ${look.containerdVersion} leaves shims that ignore SIGTERM; they are killed here`)
  if (look.scheduled) warnings.push('somebody has scheduled a shutdown of it already (shutdown --show)')
  return warnings
}
