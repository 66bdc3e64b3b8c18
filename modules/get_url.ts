import { args, change, defineModule, map, read, TaskFailure, z } from '#module'

const ALGORITHMS = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const
type Algorithm = (typeof ALGORITHMS)[number]

/** Hex digits of each digest. */
const DIGITS: Readonly<Record<Algorithm, number>> = {
  md5: 32,
  sha1: 40,
  sha224: 56,
  sha256: 64,
  sha384: 96,
  sha512: 128,
}

const checksum = z.string().transform((text, ctx) => {
  const [, algorithm, value] = /^(\w+):(.+)$/.exec(text.trim()) ?? []
  const known = ALGORITHMS.find((a) => a === algorithm)
  const isUrl = /^(https?|ftp):\/\//.test(value ?? '')
  if (known && value && (isUrl || (/^[0-9a-f]+$/i.test(value) && value.length === DIGITS[known]))) {
    return isUrl ? { algorithm: known, url: value } : { algorithm: known, digest: value.toLowerCase() }
  }
  ctx.addIssue({
    code: 'custom',
    message: `must be ALGORITHM:DIGEST or ALGORITHM:URL (${ALGORITHMS.join(', ')})`,
    input: text,
  })
  return z.NEVER
})

export default defineModule({
  summary: 'Download a file to the host',
  description:
    'With a `checksum` the file is downloaded when the one that is there is another, and a wrong download never replaces ' +
    'it. Without one it is downloaded only when nothing is there. The host needs curl or wget, or say `via: controller`.',
  args: z
    .strictObject({
      url: args.url.describe('http, https or ftp'),
      dest: args.target.describe(
        'the file; with a slash at its end, or when it is a folder, the last part of the URL in it',
      ),
      checksum: checksum
        .optional()
        .describe('sha256:DIGEST, or sha256:URL of a file that holds it; md5, sha1, sha512 … too'),
      force: args.boolean.default(false).describe('without a checksum: download it every time'),
      headers: z.record(z.string(), z.string()).default({}).describe('request headers'),
      url_username: z.string().optional().describe('user for basic authentication'),
      url_password: z.string().optional().describe('password for basic authentication'),
      timeout: args.seconds.default(30).describe('seconds without an answer or a byte after which it fails'),
      validate_certs: args.boolean.default(true).describe('false accepts any certificate'),
      via: z
        .enum(['host', 'controller'])
        .default('host')
        .describe('controller: downloaded there and uploaded, for hosts without a way out'),
      ...args.attributes,
      backup: args.boolean.default(false).describe('keep the old file beside the new one'),
    })
    .refine(
      (a) => a.via === 'host' || !(a.checksum && 'url' in a.checksum),
      'with via: controller, `checksum` must be a digest',
    )
    .refine((a) => a.via === 'host' || a.validate_certs, 'with via: controller, certificates are always checked')
    .transform(({ url_username, url_password, headers, ...a }) => ({
      ...a,
      headers: {
        ...headers,
        ...(url_username === undefined
          ? {}
          : { Authorization: `Basic ${Buffer.from(`${url_username}:${url_password ?? ''}`).toString('base64')}` }),
      },
    })),
  returns: {
    dest: 'the file',
    url: 'the URL',
    checksum: 'ALGORITHM:DIGEST of the file, where the task names a checksum',
    backup_file: 'the old file, with `backup`',
  },
  examples: [
    {
      name: 'A binary, checked',
      yaml: "get_url:\n  url: https://dl.k8s.io/v1.33.1/bin/linux/amd64/kubectl\n  dest: /usr/local/bin/kubectl\n  checksum: sha256:https://dl.k8s.io/v1.33.1/bin/linux/amd64/kubectl.sha256\n  mode: '0755'",
    },
    {
      name: 'For a host without a way out',
      yaml: 'get_url:\n  url: https://mirror.example/tool\n  dest: /opt/tool\n  checksum: md5:0cc175b9c0f1b6a831c399e269772661\n  via: controller',
    },
  ],
  probe: (a) => {
    const within = `${a.dest.path === '/' ? '' : a.dest.path}/${fileName(a.url)}`
    const sum = a.checksum
    return {
      direct: read.stat(a.dest.path, { follow: true }),
      within: read.stat(within, { follow: true }),
      digests: sum
        ? map(read.digests([a.dest.path, within], sum.algorithm), ([d, w]) => ({ direct: d, within: w }))
        : undefined,
      // Where the digest itself has to be fetched, the host is asked: it may see another mirror than the controller.
      published: sum && 'url' in sum ? read.url({ ...source(a), url: sum.url! }) : undefined,
    }
  },
  plan: (a, { direct, within, digests, published }) => {
    const isFolder = direct?.type === 'directory' || a.dest.intoFolder
    const path = isFolder ? `${a.dest.path === '/' ? '' : a.dest.path}/${fileName(a.url)}` : a.dest.path
    const stat = isFolder ? within : direct
    if (stat && stat.type !== 'file') throw new TaskFailure(`${path} is a ${stat.type}, not a regular file`)
    const have = isFolder ? digests?.within : digests?.direct
    const digest = wantedDigest(a.checksum, a.url, published)
    const known = a.checksum && digest ? { algorithm: a.checksum.algorithm, digest } : undefined
    const missing = !stat || (known ? have !== known.digest : a.force)
    if (!missing) return change.attributes(path, a, stat)
    const beside = change.asidePath(path, change.sha256Of(a.url))
    return [change.download({ ...source(a), checksum: known }, beside, path, stat, a, stat !== undefined && !known)]
  },
  result: (a, { direct, digests, within }, outputs) => {
    const isFolder = direct?.type === 'directory'
    const backup = outputs.at(-1)?.stdout.toString('utf8').trim()
    const digest = isFolder ? digests?.within : digests?.direct
    return {
      url: a.url,
      dest: isFolder && within ? `${a.dest.path}/${fileName(a.url)}` : a.dest.path,
      ...(digest ? { checksum: `${a.checksum!.algorithm}:${digest}` } : {}),
      ...(a.backup && backup ? { backup_file: backup } : {}),
    }
  },
})

type Source = {
  url: string
  headers: Record<string, string>
  timeout: number
  validate_certs: boolean
  via: 'host' | 'controller'
}
const source = ({ url, headers, timeout, validate_certs, via }: Source): change.Download => ({
  url,
  headers,
  timeout,
  validateCerts: validate_certs,
  via,
})

function fileName(url: string): string {
  return decodeURIComponent(new URL(url).pathname.replace(/^.*\//, '')).replace(/[/\0\n\\]/g, '_') || 'index.html'
}

/** The digest from the task, or from a published file: `DIGEST`, or lines `DIGEST  NAME`. */
function wantedDigest(
  wanted: z.output<typeof checksum> | undefined,
  url: string,
  published: Buffer | undefined,
): string | undefined {
  if (!wanted || !('url' in wanted)) return wanted?.digest
  const sums = wanted.url
  const digits = DIGITS[wanted.algorithm]
  const lines = published!
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim())
  const named = lines.find((line) => line.split(/[ *\t]+/)[1]?.replace(/^.*\//, '') === fileName(url))
  const digest = (named ?? (lines.filter(Boolean).length === 1 ? lines.find(Boolean) : undefined))?.split(/\s/)[0]
  if (!digest || !new RegExp(`^[0-9a-f]{${digits}}$`, 'i').test(digest)) {
    throw new TaskFailure(`${sums} holds no ${wanted.algorithm} of ${fileName(url)}`)
  }
  return digest.toLowerCase()
}
