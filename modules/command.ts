import { args, change, defineModule, program, quoteAll, z } from '#module'

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
      ...program.place,
      ...program.streams,
    })
    .refine((a) => (a.cmd === undefined) !== (a.argv === undefined), 'give either `cmd` or `argv`')
    .transform(({ cmd, ...a }) => ({ ...a, argv: a.argv ?? cmd! })),
  returns: {
    ...program.returns,
    cmd: 'the words that ran',
  },
  examples: [
    { name: 'Read the version', yaml: 'command: kubeadm version -o short\nregister: kubeadm\nchanged_when: false' },
    { name: 'Once only', yaml: 'command:\n  argv: [mkfs.ext4, /dev/sdb1]\n  creates: /srv/data/.formatted' },
  ],
  probe: program.probe,
  plan: (a, state) => {
    if (program.isDone(a, state)) return []
    return [change.command(quoteAll(a.argv), a)]
  },
  result: ({ argv, strip_empty_ends }, _state, outputs) => ({
    cmd: argv,
    ...change.commandResult(outputs[0], strip_empty_ends),
  }),
})
