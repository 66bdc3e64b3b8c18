import { args, change, defineModule, quoteAll, read, z } from '#module'

export default defineModule({
  summary: 'Run a command, without a shell',
  once: true,
  description:
    'Runs every time, unless `creates` is there or `removes` is gone. In check mode it does not run, except with ' +
    '`check_mode: false`. Say `changed_when: false` for a command that changes nothing.',
  freeForm: 'cmd',
  args: z
    .strictObject({
      cmd: args.words
        .optional()
        .describe('the command as one line, split at white space as a shell would, without expansion'),
      argv: z
        .array(z.union([z.string(), z.number()]).transform(String))
        .min(1)
        .optional()
        .describe('the command as a list of words'),
      chdir: args.path.optional().describe('folder to run it in'),
      creates: args.path.optional().describe('do nothing when this path exists'),
      removes: args.path.optional().describe('do nothing when this path does not exist'),
      stdin: args.text.optional().describe('text for its standard input'),
      stdin_add_newline: args.boolean.default(true).describe('end `stdin` with a newline'),
      strip_empty_ends: args.boolean
        .default(true)
        .describe('drop empty lines at the end of stdout and stderr in the result'),
    })
    .refine((a) => (a.cmd === undefined) !== (a.argv === undefined), 'give either `cmd` or `argv`')
    .transform(({ cmd, ...a }) => ({ ...a, argv: a.argv ?? cmd! })),
  returns: {
    rc: 'exit status',
    stdout: 'what it printed',
    stdout_lines: 'the same as a list',
    stderr: 'its error output',
    stderr_lines: 'the same as a list',
    cmd: 'the words that ran',
  },
  examples: [
    { name: 'Read the version', yaml: 'command: kubeadm version -o short\nregister: kubeadm\nchanged_when: false' },
    { name: 'Once only', yaml: 'command:\n  argv: [mkfs.ext4, /dev/sdb1]\n  creates: /srv/data/.formatted' },
  ],
  probe: ({ creates, removes }) => ({
    creates: creates === undefined ? undefined : read.stat(creates),
    removes: removes === undefined ? undefined : read.stat(removes),
  }),
  plan: (a, state) => {
    if (a.creates !== undefined && state.creates) return []
    if (a.removes !== undefined && !state.removes) return []
    return [change.command(quoteAll(a.argv), a)]
  },
  result: ({ argv, strip_empty_ends }, _state, outputs) => ({
    cmd: argv,
    ...change.commandResult(outputs[0], strip_empty_ends),
  }),
})
