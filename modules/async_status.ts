import { change, defineAction, jobs, TaskFailure, z } from '#module'

export default defineAction({
  summary: 'Look at a command that was begun with poll: 0',
  description:
    'Tells whether the command has ended, and what it came to; fails when it has failed. Its record stays on the host ' +
    'until `mode: cleanup`, or for a week. Run it as the same user as the command.',
  args: z.strictObject({
    jid: z.string().regex(jobs.JOB_ID, 'the ansible_job_id of a task with poll: 0').describe('which: `ansible_job_id`'),
    mode: z
      .enum(['status', 'cleanup'])
      .default('status')
      .describe('cleanup: end it if it still runs, and remove its record'),
  }),
  returns: {
    ansible_job_id: 'the job',
    started: 'whether the host knows of it',
    finished: 'whether it has ended',
    rc: 'exit status, when it has ended',
    stdout: 'what it printed so far, up to 1 MiB',
    stdout_lines: 'the same as a list',
    stderr: 'its error output',
    stderr_lines: 'the same as a list',
  },
  examples: [
    {
      name: 'Wait for it',
      yaml: 'async_status:\n  jid: "{{ job.ansible_job_id }}"\nregister: result\nuntil: result.finished\nretries: 60\ndelay: 10',
    },
    { name: 'Forget it', yaml: 'async_status:\n  jid: "{{ job.ansible_job_id }}"\n  mode: cleanup' },
  ],
  preview: async () => ({ changed: false, msg: 'not looked at in check mode' }),
  run: async (ctx, { jid, mode }) => {
    if (mode === 'cleanup') {
      await ctx.run(jobs.removeJob(jid))
      return { changed: false, data: { ansible_job_id: jid, erased: true } }
    }
    const look = jobs.parseLook((await ctx.run(jobs.lookAtJob(jid, 0, 0))).stdout)
    if (!look || look.state === 'absent') throw new TaskFailure(`the host knows no job ${jid} of this user`)
    const finished = look.state !== 'running' && look.state !== 'starting'
    const { rc, stdout, stderr } = look
    const said = change.commandResult({ rc, stdout, stderr, elapsedMs: look.seconds * 1000 })
    const data = { ...said, ansible_job_id: jid, started: true, finished }
    if (look.state === 'ended' && rc !== 0) throw new TaskFailure(`the command ended with exit status ${rc}`, data)
    if (finished && look.state !== 'ended')
      throw new TaskFailure(`how the command ended is not known: ${look.state}`, data)
    return { changed: look.state === 'ended', data }
  },
})
