import { args, defineAction, SessionError, TaskFailure, z } from '#module'

export default defineAction({
  summary: 'Wait until the host can be reached and runs a command',
  args: z.strictObject({
    delay: args.seconds.default(0).describe('seconds before the first try'),
    sleep: args.seconds.default(1).describe('seconds between tries'),
    connect_timeout: args.seconds.default(5).describe('seconds of one try'),
    timeout: args.seconds.default(600).describe('seconds after which it fails'),
  }),
  returns: { elapsed: 'seconds that it took' },
  examples: [{ name: 'A machine that is being installed', yaml: 'wait_for_connection:\n  delay: 30\n  timeout: 1800' }],
  // What an earlier task would start is not there in check mode.
  preview: async () => ({ changed: false, msg: 'would wait' }),
  run: async (ctx, a) => {
    const started = performance.now()
    const elapsed = (): number => Math.round((performance.now() - started) / 1000)
    if (a.delay > 0) await ctx.sleep(a.delay * 1000)
    for (;;) {
      ctx.signal.throwIfAborted()
      let last: string
      try {
        await using connection = await ctx.tryConnect(a.connect_timeout * 1000)
        const shell = await connection.shell()
        const { rc } = await shell.run(':', { timeoutMs: a.connect_timeout * 1000, signal: ctx.signal })
        if (rc === 0) return { changed: false, data: { elapsed: elapsed() } }
        last = `its shell ends with ${rc}`
      } catch (error) {
        if (!(error instanceof SessionError) || error.kind === 'host_key') throw error
        last = error.message
      }
      if (performance.now() - started + a.sleep * 1000 >= a.timeout * 1000) {
        throw new TaskFailure(`no connection within ${a.timeout} s: ${last}`, { elapsed: elapsed() })
      }
      await ctx.sleep(a.sleep * 1000)
    }
  },
})
