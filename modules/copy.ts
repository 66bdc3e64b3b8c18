import { args, type Change, change, defineModule, each, type LoadedFile, quote, read, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Copy a file, a folder or a text to the host',
  description:
    'Compared by SHA-256: content goes over the wire only when it differs. A file is written aside and renamed into ' +
    'place. A folder that `dest` needs must be there (file: state=directory), except where a folder is copied.',
  args: z
    .strictObject({
      dest: args.target.describe(
        'where to; with a slash at its end, or when it is a folder, the file keeps its name in it',
      ),
      src: z
        .string()
        .min(1)
        .optional()
        .describe('file or folder beside the playbook or in files/; `dir/` with a slash means what is in it'),
      content: z.union([z.string(), z.number(), z.boolean()]).transform(String).optional().describe('the text itself'),
      remote_src: args.boolean.default(false).describe('`src` is a file on the host'),
      ...args.attributes,
      mode: z
        .union([z.literal('preserve'), args.mode])
        .optional()
        .describe("permissions as '0644' or 'u=rw,go=r'; preserve: those of `src`; absent: as they are"),
      directory_mode: args.mode.optional().describe('permissions of folders that are copied'),
      ...args.replacing,
      force: args.boolean.default(true).describe('false: leave a file that is there as it is'),
    })
    .refine((a) => (a.src === undefined) !== (a.content === undefined), 'give either `src` or `content`')
    .refine((a) => a.content === undefined || !a.dest.intoFolder, '`content` needs the name of a file as `dest`')
    .refine((a) => !a.remote_src || a.src?.startsWith('/'), '`src` on the host must be an absolute path')
    .transform((a) => ({ ...a, files: [] as readonly LoadedFile[] })),
  returns: {
    dest: 'the path that was written',
    checksum: 'SHA-256 of the file',
    backup_file: 'the old file, with `backup`',
  },
  examples: [
    {
      name: 'A file, checked before use',
      yaml: "copy:\n  src: sudoers.d/ops\n  dest: /etc/sudoers.d/ops\n  mode: '0440'\n  validate: visudo -cf %s",
    },
    {
      name: 'A text',
      yaml: 'copy:\n  content: |\n    overlay\n    br_netfilter\n  dest: /etc/modules-load.d/k8s.conf',
    },
    { name: 'What is in a folder', yaml: 'copy:\n  src: certs/\n  dest: /etc/ssl/site/\n  directory_mode: "0755"' },
  ],
  files: ({ src, remote_src }) => (src === undefined || remote_src ? [] : [{ path: src, kind: 'file', folder: true }]),
  withFiles: (a, files) => ({ ...a, files }),
  probe: (a) => {
    const expect = (file: LoadedFile | undefined) =>
      a.content !== undefined ? change.sha256Of(a.content) : file?.sha256
    if (a.files[0]?.directory) {
      const below = folderTargets(a)
      return {
        items: each(
          below.map(({ path, file }) => read.file(path, file.directory ? { limit: 0 } : { expect: file.sha256 })),
        ),
      }
    }
    const source = a.remote_src ? read.file(a.src!, { limit: 0 }) : undefined
    const options = a.remote_src ? { limit: 0 } : { expect: expect(a.files[0]) }
    return {
      direct: read.file(a.dest.path, options),
      within: a.src === undefined ? undefined : read.file(join(a.dest.path, baseName(a.src)), options),
      source,
    }
  },
  plan: (a, { direct, within, source, items }) => {
    if (items) return folderChanges(a, items)
    const { target, missingFolder } = choose(a, direct!, within)
    const before = missingFolder === undefined ? [] : [change.makeFolder(missingFolder, { mode: a.directory_mode })]
    if (target.stat && !a.force) return []
    if (a.remote_src) return [...before, ...copyOnHost(a, target, source!)]
    const content = a.content ?? a.files[0]!
    return [...before, ...change.put(content, target, { ...a, mode: fileMode(a.mode, a.files[0]) })]
  },
  result: (a, { direct, within, items }, outputs) => {
    if (items) return { dest: a.dest.path }
    const { target } = choose(a, direct!, within)
    const backup = outputs.at(-1)?.stdout.toString('utf8').trim()
    return {
      dest: target.path,
      checksum: target.content?.sha256,
      ...(a.backup && backup ? { backup_file: backup } : {}),
    }
  },
})

interface Args {
  readonly src?: string | undefined
  readonly dest: { readonly path: string; readonly intoFolder: boolean }
  readonly files: readonly LoadedFile[]
  readonly owner?: string | undefined
  readonly group?: string | undefined
  readonly mode?: string | undefined
  readonly directory_mode?: string | undefined
  readonly validate?: string | undefined
  readonly backup: boolean
  readonly force: boolean
}

const join = (folder: string, name: string): string => `${folder === '/' ? '' : folder}/${name}`
const baseName = (path: string): string => path.replace(/\/+$/, '').replace(/^.*\//, '')

/** `preserve` in the form that the host gets. */
function fileMode(mode: string | undefined, file: LoadedFile | undefined): string | undefined {
  return mode === 'preserve' ? (file ? change.octal(file.mode) : undefined) : mode
}

/** The file that `dest` means: itself, or the file of the same name in it when it is a folder. */
function choose(a: Args, direct: read.FileState, within: read.FileState | undefined) {
  const isFolder = direct.stat?.type === 'directory'
  if (!within || !(isFolder || a.dest.intoFolder)) return { target: direct }
  if (direct.stat && !isFolder) throw new TaskFailure(`${a.dest.path} is a ${direct.stat.type}, not a directory`)
  return { target: within, missingFolder: isFolder ? undefined : a.dest.path }
}

/** Where each file of a folder goes: below `dest` with `dir/`, below `dest/dir` without the slash. */
function folderTargets({ src, dest, files }: Args) {
  const top = src!.endsWith('/') ? dest.path : join(dest.path, baseName(src!))
  return files.map((file) => ({ path: file.relative === '' ? top : join(top, file.relative), file }))
}

function folderChanges(a: Args, items: readonly read.FileState[]): Change[] {
  const top = folderTargets(a)[0]!.path
  return folderTargets(a).flatMap(({ path, file }, i) => {
    const state = items[i]!
    if (!file.directory) {
      if (state.stat && !a.force) return []
      return change.put(file, state, { ...a, mode: fileMode(a.mode, file) })
    }
    const wanted = { owner: a.owner, group: a.group, mode: a.directory_mode }
    if (!state.stat) return [change.makeFolder(path, wanted)]
    if (state.stat.type !== 'directory') throw new TaskFailure(`${path} is a ${state.stat.type}, not a directory`)
    // The folder at the top may be one of the system's own, such as /etc.
    return path === top && a.src!.endsWith('/') ? [] : change.attributes(path, wanted, state.stat)
  })
}

function copyOnHost(a: Args, target: read.FileState, source: read.FileState): Change[] {
  const { stat } = source
  if (!stat) throw new TaskFailure(`${source.path} does not exist on the host`)
  if (stat.type !== 'file') {
    throw new TaskFailure(
      `${source.path} is a ${stat.type}; on the host only files are copied, use command: cp -a for more`,
    )
  }
  const wanted = { ...a, mode: a.mode === 'preserve' ? change.octal(stat.mode) : a.mode }
  if (target.stat && target.stat.type !== 'file') {
    throw new TaskFailure(`${target.path} is a ${target.stat.type}, not a regular file`)
  }
  if (target.stat && target.content?.sha256 === source.content?.sha256) {
    return change.attributes(target.path, wanted, target.stat)
  }
  const mode = wanted.mode === undefined ? undefined : args.applyMode(wanted.mode, target.stat?.mode ?? 0o644, false)
  const beside = change.asidePath(target.path, source.content?.sha256 ?? '')
  return [
    {
      summary: `copy ${source.path} to ${target.path}`,
      touches: [`file:${target.path}`],
      script:
        `rb_target ${quote(target.path)} && ${change.aside(`cat -- ${quote(source.path)}`, beside)} || exit 1\n` +
        change.place(beside, target.path, { ...wanted, mode }),
    },
  ]
}
