import { args, defineModule, z } from '#module'

export default defineModule({
  summary: 'Show a message or a value',
  readOnly: true,
  args: z
    .strictObject({
      msg: z.unknown().optional().describe('what to show: a text, or any value'),
      var: args.expression
        .optional()
        .describe('an expression (CEL) whose value is shown, such as the name of a variable'),
      verbosity: z.int().min(0).max(4).default(0).describe('show only with this many -v'),
    })
    .refine((a) => a.msg === undefined || a.var === undefined, 'give `msg` or `var`, not both'),
  returns: { msg: 'what was shown', value: 'the value of `var`' },
  examples: [
    { name: 'A message', yaml: 'debug:\n  msg: kubelet is {{ kubelet.stdout }}' },
    { name: 'A value', yaml: 'debug:\n  var: facts.mounts' },
  ],
  plan: () => [],
  result: ({ msg, var: shown }) => {
    if (shown) return { msg: `${shown.source} = ${text(shown.value)}`, value: shown.value }
    return { msg: msg === undefined ? 'Hello world!' : text(msg) }
  },
})

/** Text as it is, other values as JSON; CEL integers are bigint. */
function text(value: unknown): string {
  if (typeof value === 'string') return value
  return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? Number(v) : v), 2) ?? 'undefined'
}
