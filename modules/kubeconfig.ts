import { chmod, lstat, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseDocument } from 'yaml'
import { type ActionContext, args, defineAction, quote, TaskFailure, z } from '#module'

const schema = z.strictObject({
  dest: z.string().min(1).describe('file on the controller; relative to the playbook. Only its owner can read it'),
  src: args.path.default('/etc/kubernetes/admin.conf').describe('the kubeconfig on the host'),
  server: z
    .string()
    .regex(/^https:\/\/[^\s/]+$/, 'must be https://HOST:PORT')
    .optional()
    .describe('another address of the API, where the one in the file is of use inside only'),
  context: z.string().optional().describe('name for the context, to be told from those of other clusters'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Bring the administrator’s kubeconfig of a control plane to the controller',
  description: 'For kubectl, and for tasks that talk to the API. Written only when it is another one.',
  args: schema,
  returns: { dest: 'the file' },
  examples: [{ name: 'Beside the playbook', yaml: 'kubeconfig:\n  dest: admin.conf\nrun_once: true\nbecome: true' }],
  async run(ctx, a) {
    const { dest, text, same } = await compare(ctx, a)
    if (same) return { changed: false, data: { dest } }
    await mkdir(dirname(dest), { recursive: true })
    const whole = `${dest}.${process.pid}.new`
    await writeFile(whole, text, { mode: 0o600 })
    await chmod(whole, 0o600)
    await rename(whole, dest)
    return { changed: true, changes: [{ summary: `write ${dest} (0600) on the controller` }], data: { dest } }
  },
  async preview(ctx, a) {
    const { dest, same } = await compare(ctx, a)
    return same
      ? { changed: false }
      : { changed: true, changes: [{ summary: `write ${dest} (0600) on the controller` }] }
  },
})

async function compare(ctx: ActionContext, a: Args): Promise<{ dest: string; text: string; same: boolean }> {
  const { rc, stdout, stderr } = await ctx.run(`cat -- ${quote(a.src)}`)
  if (rc !== 0) throw new TaskFailure(stderr.toString('utf8').trim())
  const text = rewrite(stdout.toString('utf8'), a)
  for (const secret of text.matchAll(/(?:client-key-data|token|password): *(\S+)/g)) ctx.secret(secret[1]!)
  const dest = ctx.controllerPath(a.dest)
  const there = await lstat(dest).catch(() => undefined)
  if (there && !there.isFile() && !there.isSymbolicLink())
    throw new TaskFailure(`${dest} on the controller: it is no regular file`)
  const before = await readFile(dest, 'utf8').catch(() => undefined)
  return { dest, text, same: before === text }
}

/** With the wanted address and name of the context. */
function rewrite(text: string, { server, context }: Args): string {
  if (server === undefined && context === undefined) return text
  const document = parseDocument(text)
  const current = document.get('current-context')
  const at = (list: string, name: unknown): number =>
    (document.toJS() as Record<string, { name: string }[]>)[list]?.findIndex((one) => one.name === name) ?? -1
  const contextAt = at('contexts', current)
  if (contextAt === -1) throw new TaskFailure('the kubeconfig has no current context')
  if (server !== undefined) {
    const clusterAt = at('clusters', document.getIn(['contexts', contextAt, 'context', 'cluster']))
    document.setIn(['clusters', clusterAt, 'cluster', 'server'], server)
  }
  if (context !== undefined) {
    document.setIn(['contexts', contextAt, 'name'], context)
    document.set('current-context', context)
  }
  return document.toString({ lineWidth: 0 })
}
