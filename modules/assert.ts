import { args, defineModule, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Fail unless conditions hold',
  description: 'All conditions are looked at; the message names each one that does not hold.',
  readOnly: true,
  args: z.strictObject({
    that: args.list(args.condition).describe('conditions (CEL), one or a list'),
    fail_msg: z.string().optional().describe('why it matters and what to do'),
    msg: z.string().optional().describe('the same as `fail_msg`'),
    success_msg: z.string().default('All assertions passed').describe('what to say when all hold'),
    quiet: args.boolean.default(false).describe('say nothing when all hold'),
  }),
  returns: { msg: 'what was said', failed_assertions: 'the conditions that do not hold' },
  examples: [
    {
      name: 'Enough memory',
      yaml: 'assert:\n  that:\n    - facts.memory_mb >= 2048\n    - facts.cpus >= 2\n  fail_msg: a control plane needs 2 GB and 2 processors',
    },
  ],
  plan: ({ that, fail_msg, msg }) => {
    const failed = that.filter(({ value }) => !value).map(({ source }) => source)
    if (failed.length === 0) return []
    const why = fail_msg ?? msg
    throw new TaskFailure(`${why ? `${why}\n` : ''}does not hold: ${failed.join('; ')}`, { failed_assertions: failed })
  },
  result: ({ quiet, success_msg }) => (quiet ? {} : { msg: success_msg }),
})
