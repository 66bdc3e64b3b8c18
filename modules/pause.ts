import { args, defineAction, z } from '#module'

export default defineAction({
  summary: 'Wait for a while, or for a person',
  description: 'With `seconds` or `minutes` it waits; else it asks at the terminal, and fails where there is none.',
  controllerOnly: true,
  args: z
    .strictObject({
      seconds: args.seconds.optional().describe('how long'),
      minutes: args.seconds.optional().describe('how long'),
      prompt: z.string().optional().describe('what to say or ask'),
      echo: args.boolean.default(true).describe('false hides the answer'),
    })
    .refine((a) => a.seconds === undefined || a.minutes === undefined, 'give `seconds` or `minutes`, not both'),
  returns: { user_input: 'the answer', delta: 'seconds that it took' },
  examples: [
    { name: 'Let a leader be elected', yaml: 'pause:\n  seconds: 10' },
    { name: 'Hands are needed', yaml: 'pause:\n  prompt: Swap the disk of {{ inventory_hostname }}, then press Enter' },
  ],
  preview: async () => ({ changed: false, msg: 'would wait' }),
  run: async (ctx, { seconds, minutes, prompt, echo }) => {
    const started = performance.now()
    const time = seconds ?? (minutes === undefined ? undefined : minutes * 60)
    let answer = ''
    if (time === undefined) answer = await ctx.ask(prompt ?? 'Press Enter to go on', { secret: !echo })
    else {
      ctx.log(prompt ?? `waiting for ${time} s`)
      await ctx.sleep(time * 1000)
    }
    const delta = Math.round((performance.now() - started) / 1000)
    return { changed: false, data: { user_input: answer, delta } }
  },
})
