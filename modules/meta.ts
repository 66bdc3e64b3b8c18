import { defineAction, z } from '#module'

const words = [
  'flush_handlers',
  'end_host',
  'end_batch',
  'end_play',
  'clear_facts',
  'reset_connection',
  'noop',
] as const

export default defineAction({
  summary: 'Steer the run: flush handlers, end a host or the play',
  freeForm: 'action',
  args: z.strictObject({
    action: z
      .enum(words)
      .describe(
        'flush_handlers: run what has been notified now; end_host: this host does no more in this play; ' +
          'end_batch, end_play: no host of the batch or the play does; clear_facts: forget the gathered facts; ' +
          'reset_connection: connect anew before the next task (after a change of groups, for one)',
      ),
  }),
  examples: [
    { name: 'Restart now rather than at the end', yaml: 'meta: flush_handlers' },
    { name: 'Nothing to do on this host', yaml: 'meta: end_host\nwhen: "!kubernetes.enabled"' },
  ],
  controllerOnly: true,
  run: async (_ctx, { action }) => ({ changed: false, flow: action }),
  preview: async (_ctx, { action }) => ({ changed: false, flow: action }),
})
