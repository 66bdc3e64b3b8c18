import { args, defineModule, fileResult, read, z } from '#module'

export default defineModule({
  summary: 'What is at a path: type, size, owner, permissions, times',
  description: 'Changes nothing and runs in check mode too.',
  readOnly: true,
  args: z.strictObject({
    path: args.path.describe('what to look at'),
    follow: args.boolean.default(false).describe('look at what a link points to'),
    get_checksum: args.boolean
      .default(false)
      .describe('SHA-256 of a regular file (Ansible’s default is true, and reads it all)'),
  }),
  returns: {
    stat: 'exists, path; when it exists: type, isdir, isreg, islnk, mode ("0644"), uid, gid, pw_name, gr_name, size, atime, mtime, ctime, nlink, inode, dev; lnk_target of a link; checksum when asked for',
  },
  examples: [{ name: 'Is there an admin.conf?', yaml: 'stat:\n  path: /etc/kubernetes/admin.conf\nregister: admin' }],
  probe: ({ path, follow, get_checksum }) => ({
    stat: read.stat(path, { follow }),
    link: follow ? undefined : read.link(path),
    content: get_checksum ? read.content(path, { limit: 0 }) : undefined,
  }),
  plan: () => [],
  result: ({ path }, { stat, link, content }) => {
    if (!stat) return { stat: { exists: false, path } }
    return {
      stat: {
        exists: true,
        ...fileResult(path, stat),
        ...(link === undefined ? {} : { lnk_target: link }),
        ...(content === undefined ? {} : { checksum: content.sha256 }),
      },
    }
  },
})
