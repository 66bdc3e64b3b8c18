import { all, args, change, defineModule, type LoadedFile, map, read, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Render a Handlebars template of the controller into a file on the host',
  description:
    'The template sees the host’s variables; one that is not defined is an error. Written aside, checked, renamed into place.',
  args: z
    .strictObject({
      src: z.string().min(1).describe('template beside the playbook or in templates/, such as containerd.toml.hbs'),
      dest: args.target.describe(
        'the file; with a slash at its end, or when it is a folder, the template’s name without .hbs in it',
      ),
      ...args.attributes,
      ...args.replacing,
      force: args.boolean.default(true).describe('false: leave a file that is there as it is'),
    })
    .transform((a) => ({ ...a, files: [] as readonly LoadedFile[] })),
  returns: {
    dest: 'the path that was written',
    checksum: 'SHA-256 of the file',
    backup_file: 'the old file, with `backup`',
  },
  examples: [
    {
      name: 'A configuration file',
      yaml: "template:\n  src: chrony.conf.hbs\n  dest: /etc/chrony/chrony.conf\n  owner: root\n  mode: '0644'\nnotify: restart chrony",
    },
  ],
  files: ({ src }) => [{ path: src, kind: 'template' }],
  withFiles: (a, files) => ({ ...a, files }),
  probe: (a) => {
    const options = { expect: a.files[0]?.sha256 }
    const name = a.src.replace(/^.*\//, '').replace(/\.hbs$/, '')
    return {
      target: map(
        all({
          direct: read.file(a.dest.path, options),
          within: read.file(`${a.dest.path === '/' ? '' : a.dest.path}/${name}`, options),
        }),
        ({ direct, within }) => {
          const isFolder = direct.stat?.type === 'directory'
          return isFolder || a.dest.intoFolder ? { file: within, folder: direct } : { file: direct, folder: undefined }
        },
      ),
    }
  },
  plan: (a, { target: { file, folder } }) => {
    if (folder?.stat && folder.stat.type !== 'directory') {
      throw new TaskFailure(`${folder.path} is a ${folder.stat.type}, not a directory`)
    }
    if (file.stat && !a.force) return []
    const before = folder && !folder.stat ? [change.makeFolder(folder.path)] : []
    return [...before, ...change.put(a.files[0]!, file, a)]
  },
  result: (a, { target: { file } }, outputs) => {
    const backup = outputs.at(-1)?.stdout.toString('utf8').trim()
    return { dest: file.path, checksum: file.content?.sha256, ...(a.backup && backup ? { backup_file: backup } : {}) }
  },
})
