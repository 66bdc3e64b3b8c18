import { args, defineModule, read, TaskFailure, z } from '#module'

/** Larger files belong to fetch: this one goes into a variable. */
const LIMIT = 8 * 1024 * 1024

export default defineModule({
  summary: 'Read a file of the host into a variable, as base64',
  description: 'Up to 8 MiB; use fetch for larger files. Changes nothing and runs in check mode too.',
  readOnly: true,
  args: z
    .strictObject({
      src: args.path.optional().describe('the file'),
      path: args.path.optional().describe('the same as `src`'),
    })
    .refine((a) => (a.src === undefined) !== (a.path === undefined), 'give `src`')
    .transform(({ src, path }) => ({ src: (src ?? path)! })),
  returns: { content: 'base64 of the bytes', encoding: 'base64', source: 'the path' },
  examples: [
    {
      name: 'Read a join command',
      yaml: 'slurp:\n  src: /etc/kubernetes/admin.conf\nregister: admin_conf\nno_log: true',
    },
  ],
  probe: ({ src }) => ({ file: read.file(src, { limit: LIMIT }) }),
  plan: ({ src }, { file: { stat, content } }) => {
    if (!stat) throw new TaskFailure(`${src} does not exist`)
    if (stat.type !== 'file') throw new TaskFailure(`${src} is a ${stat.type}, not a regular file`)
    if (!content?.content) throw new TaskFailure(`${src} has ${stat.size} bytes, more than ${LIMIT}; use fetch`)
    return []
  },
  result: ({ src }, { file }) => ({
    source: src,
    encoding: 'base64',
    content: file.content?.content?.toString('base64') ?? '',
  }),
})
