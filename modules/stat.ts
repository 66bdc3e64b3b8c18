import { args, defineModule, fileResult, quote, read, z } from '#module'

/** The rights on one line, where the links end on the next. busybox takes the end of a broken link from where it stands. */
function accessScript(path: string): string {
  return `p=${quote(path)}; for t in r w x; do [ ! -$t "$p" ] || printf $t; done; echo; [ ! -h "$p" ] || { cd "\${p%/*}/" && readlink -f "$p"; }`
}

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
    stat: 'exists, path; when it exists: type, isdir, isreg, islnk, mode ("0644"), uid, gid, pw_name, gr_name, size, atime, mtime, ctime, nlink, inode, dev; readable, writeable, executable for the task’s user; lnk_target of a link, and lnk_source, the end of the chain; checksum when asked for',
  },
  examples: [{ name: 'Is there an admin.conf?', yaml: 'stat:\n  path: /etc/kubernetes/admin.conf\nregister: admin' }],
  probe: ({ path, follow, get_checksum }) => ({
    stat: read.stat(path, { follow }),
    access: read.script(accessScript(path), [`file:${path}`]),
    link: follow ? undefined : read.link(path),
    content: get_checksum ? read.content(path, { limit: 0 }) : undefined,
  }),
  plan: () => [],
  result: ({ path }, { stat, access, link, content }) => {
    const [rights = '', source = ''] = access.out.toString('utf8').split('\n')
    if (!stat) return { stat: { exists: false, path } }
    return {
      stat: {
        exists: true,
        ...fileResult(path, stat),
        readable: rights.includes('r'),
        writeable: rights.includes('w'),
        executable: rights.includes('x'),
        ...(link === undefined ? {} : { lnk_target: link, lnk_source: source }),
        ...(content === undefined ? {} : { checksum: content.sha256 }),
      },
    }
  },
})
