import { args, type Change, change, defineModule, type LoadedFile, program, quote, quoteAll, z } from '#module'

export default defineModule({
  summary: 'Run a script of the controller on the host',
  once: true,
  description:
    'The script is sent to a file that only the task’s user can read, run by the interpreter of its first line (sh when ' +
    'there is none) and removed. Runs every time, unless `creates` is there or `removes` is gone.',
  freeForm: 'cmd',
  args: z
    .strictObject({
      cmd: args.words.describe('the script, beside the playbook or in files/, and its arguments'),
      ...program.place,
      executable: z.string().min(1).optional().describe('interpreter, instead of the one of the first line'),
    })
    .transform((a) => ({ ...a, files: [] as readonly LoadedFile[] })),
  returns: program.returns,
  examples: [
    { name: 'Prepare a disk once', yaml: 'script:\n  cmd: prepare-disk.sh /dev/sdb\n  creates: /srv/data/.formatted' },
  ],
  files: ({ cmd }) => [{ path: cmd[0]!, kind: 'file' }],
  withFiles: (a, files) => ({ ...a, files }),
  probe: program.probe,
  plan: (a, state) => {
    if (program.isDone(a, state)) return []
    return [run(a.cmd, a.files[0]!, a)]
  },
  result: (_a, _state, outputs) => change.commandResult(outputs[0]),
})

function run(
  cmd: readonly string[],
  file: LoadedFile,
  { chdir, executable }: { chdir?: string | undefined; executable?: string | undefined },
): Change {
  const { content } = file
  // The interpreter is called by name, for the folder may be mounted noexec.
  const interpreter = executable ?? (content && /^#! *([^\n]+)/.exec(content.toString('latin1', 0, 256))?.[1]?.trim())
  const isText = content !== undefined && change.isPlainText(content)
  const program = interpreter ?? (isText ? 'sh' : '')
  const call = `${program} "$rb_f" ${quoteAll(cmd.slice(1))}`
  const enter = chdir === undefined ? '' : `cd -- ${quote(chdir)} || exit 1\n`
  if (isText && content.length <= change.INLINE_LIMIT) {
    const line =
      'rb_d=$(umask 077; mktemp -d) || exit 1\ntrap \'rm -rf -- "$rb_d"\' EXIT\n' +
      `rb_f=$rb_d/${quote(file.relative)}\nprintf %s ${quote(content.toString('utf8'))} > "$rb_f" && chmod 700 "$rb_f" || exit 1\n` +
      `${enter}${call}`
    return change.command(line, { summary: `run script ${quoteAll(cmd)}` })
  }
  const path = `/tmp/.rb-${file.sha256.slice(0, 18)}`
  return {
    ...change.command(`rb_f=${path}\ntrap 'rm -f -- "$rb_f"' EXIT\n${enter}${call}`, {
      summary: `run script ${quoteAll(cmd)}`,
    }),
    upload: {
      path,
      source: content ? { content } : { file: file.path, sha256: file.sha256, size: file.size },
      mode: 0o700,
    },
  }
}
