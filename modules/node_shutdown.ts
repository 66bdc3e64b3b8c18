import { args, defineAction, node, z } from '#module'

export default defineAction({
  summary: 'Power the host off, and prove that it is off',
  description:
    'Arms Wake-on-LAN where that is the host’s power. Proof is its controller’s word (`runbook_power`); without one nothing may be ' +
    'heard of it: ssh, ping, ARP, and the result says `probably`. After the operating system’s time the controller is asked for ' +
    'a soft off; the power is cut only with `force_off`. What an earlier run has sent is looked for before it is sent again. ' +
    'Stops nothing: node_stop does.',
  args: z.strictObject({
    timeout: args.seconds.default(300).describe('seconds that the operating system gets'),
    controller_timeout: args.seconds.default(120).describe('seconds that a soft off by the controller gets after that'),
    force_off: args.boolean.default(false).describe('cut the power when all that did not help'),
    reason: args.text.default('maintenance').describe('shown to users who are logged in'),
    rests: args.boolean.default(false).describe('it stays off: whatever comes later is work of its own'),
    by_hand: args.boolean
      .default(false)
      .describe('a person turns it on again: it is powered off although Wake-on-LAN, its only power, cannot be armed'),
    cycle: z.string().default('maintain').describe('as for node_preflight'),
  }),
  returns: { off: 'proven or probably', words: 'how that is known', boot_id: 'of the boot that ended' },
  examples: [{ name: 'Down', yaml: 'node_shutdown:\n  timeout: 600' }],
  preview: async (ctx, a) => {
    await using power = await ctx.power()
    const proof = power?.seesPower
      ? `its controller tells when it is off (${power.description})`
      : `nobody can tell for sure that it is off: ssh, ping and ARP are listened to${power ? `; it is woken by ${power.description}` : '; it has no runbook_power, and is turned on by hand'}`
    const force = a.force_off ? 'then its power is cut' : 'its power is never cut (force_off)'
    const changes = [
      { summary: `power off, at most ${a.timeout} s; ${proof}` },
      ...(power?.seesPower
        ? [{ summary: `if that does not help: a soft off, at most ${a.controller_timeout} s; ${force}` }]
        : []),
    ]
    return { changed: true, msg: 'would power off', changes }
  },
  run: async (ctx, a) => {
    await using power = await ctx.power()
    const down = await node.shutDown(ctx, power, {
      cycle: a.cycle,
      timeoutMs: a.timeout * 1000,
      controllerMs: a.controller_timeout * 1000,
      forceOff: a.force_off,
      byHand: a.by_hand,
      message: `power off by runbook: ${a.reason}`,
    })
    const record = node.recordOf(ctx)
    if (a.rests && record) node.advance(ctx, record, { rests: true })
    const msg = `${down.off === 'proven' ? 'off' : 'probably off'}: ${down.words}`
    return {
      changed: down.changed,
      msg,
      changes: down.changed ? [{ summary: msg }] : [],
      data: { off: down.off, words: down.words, boot_id: down.bootId },
    }
  },
})
