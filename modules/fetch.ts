import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, posix } from 'node:path'
import { type ActionContext, args, defineAction, read, TaskFailure, z } from '#module'

export default defineAction({
  summary: 'Copy a file of the host to the controller',
  description:
    'To DEST/HOST/PATH, or with `flat` to DEST itself. Streamed, compared by SHA-256 and renamed into place.',
  args: z.strictObject({
    src: args.path.describe('the file on the host'),
    dest: z
      .string()
      .min(1)
      .describe(
        'folder on the controller, relative to the playbook; with `flat` the file, or a folder with a slash at its end',
      ),
    flat: args.boolean
      .default(false)
      .describe('no folders for host and path; hosts overwrite each other’s file unless its name holds theirs'),
    fail_on_missing: args.boolean.default(true).describe('false: a file that is not there is no failure'),
  }),
  returns: { dest: 'the file on the controller', checksum: 'its SHA-256' },
  examples: [
    {
      name: 'The kubeconfig',
      yaml: 'fetch:\n  src: /etc/kubernetes/admin.conf\n  dest: .kube/{{ inventory_hostname }}.conf\n  flat: true',
    },
  ],
  preview: async (ctx, a) => {
    const wanted = await compare(ctx, a)
    return outcome(wanted)
  },
  run: async (ctx, a) => {
    const wanted = await compare(ctx, a)
    if (wanted?.changed) await download(ctx, a.src, wanted)
    return outcome(wanted)
  },
})

interface Args {
  readonly src: string
  readonly dest: string
  readonly flat: boolean
  readonly fail_on_missing: boolean
}

interface Wanted {
  readonly dest: string
  readonly sha256: string
  readonly changed: boolean
}

function outcome(wanted: Wanted | undefined) {
  if (!wanted) return { changed: false, msg: 'the file does not exist' }
  const { dest, sha256, changed } = wanted
  return { changed, changes: changed ? [{ summary: `write ${dest} here` }] : [], data: { dest, checksum: sha256 } }
}

async function compare(ctx: ActionContext, a: Args): Promise<Wanted | undefined> {
  const { stat, content } = await ctx.read(read.file(a.src, { limit: 0 }))
  if (!stat) {
    if (!a.fail_on_missing) return undefined
    throw new TaskFailure(`${a.src} does not exist on the host`)
  }
  if (stat.type !== 'file') throw new TaskFailure(`${a.src} is a ${stat.type}, not a regular file`)
  const path = ctx.controllerPath(destination(a, ctx.host))
  const sha256 = content?.sha256 ?? ''
  return { dest: path, sha256, changed: (await localSha256(path)) !== sha256 }
}

/**
 * The path below DEST/HOST is made absolute first: names often come from what a host printed, and `..` in them must not
 * lead out of that folder.
 */
function destination({ dest, flat, src }: Args, host: string): string {
  if (flat) return dest.endsWith('/') ? join(dest, basename(src)) : dest
  if (/(^|\/)\.\.?(\/|$)/.test(host))
    throw new TaskFailure(`the host "${host}" cannot have a folder of its name: use \`flat\``)
  return join(dest, host, posix.normalize(src))
}

async function localSha256(path: string): Promise<string | undefined> {
  const hash = createHash('sha256')
  try {
    const there = await lstat(path)
    // The rename would put a file in the place of, say, /dev/null.
    if (!there.isFile() && !there.isSymbolicLink()) throw new Error('it is no regular file')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new TaskFailure(`${path} on the controller: ${(error as Error).message}`)
  }
  return hash.digest('hex')
}

async function download(ctx: ActionContext, src: string, { dest, sha256 }: Wanted): Promise<void> {
  await mkdir(dirname(dest), { recursive: true })
  const beside = join(dirname(dest), `.rb-${ctx.host.replaceAll('/', '_')}-${sha256.slice(0, 18)}`)
  try {
    const hash = createHash('sha256')
    await using file = await open(beside, 'w', 0o600)
    const shell = await ctx.shell()
    for await (const chunk of shell.download(src, { signal: ctx.signal })) {
      hash.update(chunk)
      await file.write(chunk)
    }
    await file.sync()
    if (hash.digest('hex') !== sha256)
      throw new TaskFailure(`${src} changed while it was fetched, or did not arrive whole`)
    await rename(beside, dest)
  } finally {
    await rm(beside, { force: true })
  }
}
