import { defineAction, node, z } from '#module'

export default defineAction({
  summary: 'End a host’s cycle: nothing of it is gone on with any more',
  args: z.strictObject({}),
  controllerOnly: true,
  examples: [{ name: 'After uncordon', yaml: 'node_finish: {}' }],
  preview: async () => ({ changed: false }),
  run: async (ctx) => {
    node.keep(ctx, undefined)
    return { changed: false }
  },
})
