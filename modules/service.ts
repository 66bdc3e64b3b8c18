import { args, change, defineModule, each, read, z } from '#module'

export default defineModule({
  summary: 'Services and other units of systemd: running, at boot, masked',
  description:
    'systemd reads its unit files anew when they have changed. When a unit does not start, its last words are shown.',
  args: z
    .strictObject({
      name: args
        .list(z.string().regex(/^[A-Za-z0-9:_.@\\-]+$/, 'must be the name of a unit'))
        .describe('unit or list of units; `.service` is added where there is no suffix'),
      state: z
        .enum(['started', 'stopped', 'restarted', 'reloaded'])
        .optional()
        .describe('restarted and reloaded happen each time; use them in handlers. reloaded starts what does not run'),
      enabled: args.boolean.optional().describe('whether it starts at boot'),
      masked: args.boolean.optional().describe('true: nothing can start it, at boot or by hand'),
    })
    .refine((a) => a.state !== undefined || a.enabled !== undefined || a.masked !== undefined, {
      message: 'say what is wanted: `state`, `enabled` or `masked`',
    })
    .refine((a) => !a.masked || ((a.state === undefined || a.state === 'stopped') && !a.enabled), {
      message: 'what is masked can be neither running nor enabled',
      path: ['masked'],
    }),
  examples: [
    { name: 'Runs, now and after each boot', yaml: 'service:\n  name: containerd\n  state: started\n  enabled: true' },
    { name: 'A handler', yaml: 'service:\n  name: kubelet\n  state: restarted' },
    {
      name: 'Never',
      yaml: 'service:\n  name: [multipathd.service, multipathd.socket]\n  state: stopped\n  masked: true',
    },
  ],
  returns: { units: 'map of unit to {active, sub, file, pid}: as `systemctl show` has it' },
  probe: ({ name }) => ({ units: each(name.map(read.unit)) }),
  plan: (a, { units }) => {
    const changes = units.flatMap((unit) => change.unitChanges(unit, a))
    // One reload is enough for all.
    return changes.filter((c, i) => changes.findIndex((d) => d.script === c.script) === i)
  },
  result: (_args, { units }) => ({
    units: Object.fromEntries(
      units.map(({ name, active, sub, file, mainPid }) => [name, { active, sub, file, pid: mainPid }]),
    ),
  }),
})
