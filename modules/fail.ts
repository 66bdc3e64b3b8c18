import { defineModule, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Fail, with a message',
  readOnly: true,
  args: z.strictObject({ msg: z.string().default('Failed as requested from task').describe('why') }),
  examples: [
    {
      name: 'Stop on an old kernel',
      yaml: 'fail:\n  msg: kernel {{ facts.kernel }} is too old\nwhen: facts.kernel_major < 5',
    },
  ],
  plan: ({ msg }) => {
    throw new TaskFailure(msg)
  },
})
