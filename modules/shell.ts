import { args, change, defineModule, quote, read, z } from '#module'

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
    chdir: args.path.optional().describe('folder to run it in'),
    creates: args.path.optional().describe('do nothing when this path exists'),
    removes: args.path.optional().describe('do nothing when this path does not exist'),
    executable: args.path.optional().describe('another shell, such as /bin/bash; called with -c'),
    stdin: args.text.optional().describe('text for its standard input'),
    stdin_add_newline: args.boolean.default(true).describe('end `stdin` with a newline'),
    strip_empty_ends: args.boolean
      .default(true)
      .describe('drop empty lines at the end of stdout and stderr in the result'),
  }),
  returns: {
    rc: 'exit status',
    stdout: 'what it printed',
    stdout_lines: 'the same as a list',
    stderr: 'its error output',
    stderr_lines: 'the same as a list',
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
  probe: ({ creates, removes }) => ({
    creates: creates === undefined ? undefined : read.stat(creates),
    removes: removes === undefined ? undefined : read.stat(removes),
  }),
  plan: (a, state) => {
    if (a.creates !== undefined && state.creates) return []
    if (a.removes !== undefined && !state.removes) return []
    // Quoted for eval or -c: a syntax error in the text is then this task's alone and not the whole request's.
    const line = a.executable === undefined ? `eval ${quote(a.cmd)}` : `${quote(a.executable)} -c ${quote(a.cmd)}`
    return [change.command(line, { ...a, summary: `run ${a.cmd.trim()}` })]
  },
  result: ({ cmd, strip_empty_ends }, _state, outputs) => ({
    cmd,
    ...change.commandResult(outputs[0], strip_empty_ends),
  }),
})
