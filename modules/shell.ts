import { args, change, defineModule, program, quote, z } from '#module'

export default defineModule({
  summary: 'Run a piece of shell',
  once: true,
  description:
    'Runs every time, unless `creates` is there or `removes` is gone; not in check mode, except with `check_mode: false`. ' +
    'The shell is the host’s POSIX sh, which reads the text itself, so that other users do not see it in the process ' +
    'list; with `executable` it stands on that program’s command line. A pipe has the status of its last command.',
  freeForm: 'cmd',
  args: z.strictObject({
    cmd: args.text.describe('what to run'),
    ...program.place,
    executable: args.path.optional().describe('another shell, such as /bin/bash; called with -c'),
    ...program.streams,
  }),
  returns: {
    ...program.returns,
    cmd: 'what ran',
  },
  examples: [
    {
      name: 'Count',
      yaml: 'shell: crictl ps -q | wc -l\nregister: containers\nchanged_when: false',
    },
    {
      name: 'Bash, once only',
      yaml: 'shell:\n  cmd: set -o pipefail; ./setup | tee /var/log/setup.log\n  executable: /bin/bash\n  creates: /var/log/setup.log',
    },
  ],
  probe: program.probe,
  plan: (a, state) => {
    if (program.isDone(a, state)) return []
    // Quoted for eval or -c: a syntax error in the text is then this task's alone and not the whole request's.
    const line = a.executable === undefined ? `eval ${quote(a.cmd)}` : `${quote(a.executable)} -c ${quote(a.cmd)}`
    return [change.command(line, { ...a, summary: `run ${a.cmd.trim()}` })]
  },
  result: ({ cmd, strip_empty_ends }, _state, outputs) => ({
    cmd,
    ...change.commandResult(outputs[0], strip_empty_ends),
  }),
})
