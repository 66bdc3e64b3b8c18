import {
  args,
  type Change,
  change,
  defineModule,
  fileTree,
  type LoadedFile,
  quote,
  quoteAll,
  read,
  TaskFailure,
  z,
} from '#module'

export default defineModule({
  summary: 'Unpack an archive into a folder of the host',
  description:
    'tar (plain, gz, bz2, xz, zst) and zip. A list of what was unpacked stays on the host under /var/lib/runbook: the archive ' +
    'is unpacked again when it is another one, or when a file that came from it has changed or is gone (where the task says ' +
    'whose they are, also when it is another’s); else nothing is sent. Files belong to the task’s user, whatever numbers the archive holds. The folder is made when it is missing.',
  args: z
    .strictObject({
      src: z
        .string()
        .min(1)
        .describe('archive beside the playbook or in files/, a path on the host with `remote_src`, or a URL'),
      dest: args.path.describe('folder to unpack into'),
      remote_src: args.boolean.default(false).describe('`src` is on the host'),
      creates: args.path.optional().describe('do nothing when this path exists'),
      checksum: z
        .string()
        .regex(/^(md5|sha1|sha256|sha384|sha512):[0-9a-fA-F]+$/, 'must be ALGORITHM:DIGEST')
        .optional()
        .describe('of an archive that comes from a URL'),
      strip_components: z
        .int()
        .min(0)
        .max(20)
        .default(0)
        .describe('drop so many leading folders of the names (tar only)'),
      include: args.list(z.string().min(1)).default([]).describe('unpack these names only'),
      exclude: args.list(z.string().min(1)).default([]).describe('leave these names (patterns) out'),
      owner: args.attributes.owner,
      group: args.attributes.group,
      mode: args.attributes.mode.describe(
        'permissions of all that comes out, folders too; absent: as the archive says',
      ),
      same_owner: args.boolean.default(false).describe('keep the owners that the archive names'),
      timeout: args.seconds.default(30).describe('of a URL: seconds without a byte after which it fails'),
    })
    .check((ctx) => {
      const { src, remote_src, checksum, strip_components } = ctx.value
      const say = (message: string) => ctx.issues.push({ code: 'custom', message, input: ctx.value })
      if (remote_src && !isUrl(src) && !src.startsWith('/')) say('`src` on the host must be an absolute path')
      if (checksum !== undefined && !isUrl(src)) say('`checksum` goes with a URL')
      if (isUrl(src)) for (const issue of args.url.safeParse(src).error?.issues ?? []) say(issue.message)
      if (format(src) === undefined) say('`src` must end in .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .tar.zst or .zip')
      if (format(src) === 'zip' && strip_components > 0) say('`strip_components` is for tar')
    })
    .transform((a) => ({ ...a, files: [] as readonly LoadedFile[] })),
  returns: { dest: 'the folder', src: 'the archive' },
  examples: [
    {
      name: 'CNI plugins',
      yaml: 'unarchive:\n  src: cni-plugins-linux-amd64-v1.7.1.tgz\n  dest: /opt/cni/bin\n  owner: root',
    },
    {
      name: 'A release, from its site',
      yaml: `unarchive:\n  src: https://example.org/tool-1.2.tar.gz\n  dest: /usr/local\n  checksum: sha256:${'0'.repeat(64)}\n  strip_components: 1`,
    },
  ],
  files: ({ src, remote_src }) => (remote_src || isUrl(src) ? [] : [{ path: src, kind: 'file' }]),
  withFiles: (a, files) => ({ ...a, files }),
  probe: (a) => ({
    creates: a.creates === undefined ? undefined : read.stat(a.creates),
    dest: read.stat(a.dest, { follow: true }),
    archive: a.remote_src && !isUrl(a.src) ? read.content(a.src, { limit: 0 }) : undefined,
    unpacked: read.unpacked(manifestName(a), a.dest, isOwned(a)),
  }),
  plan: (a, { creates, dest, archive, unpacked }) => {
    if (a.creates !== undefined && creates) return []
    if (dest && dest.type !== 'directory') throw new TaskFailure(`${a.dest} is a ${dest.type}, not a directory`)
    if (a.remote_src && !isUrl(a.src) && !archive) throw new TaskFailure(`${a.src} does not exist on the host`)
    const key = manifestKey(a, archive?.sha256)
    if (unpacked?.key === key && unpacked.differing.length === 0) return []
    const before = dest ? [] : [change.makeFolder(a.dest)]
    return [...before, unpack(a, key, unpacked?.key === key ? unpacked.differing : [])]
  },
  result: ({ dest, src }) => ({ dest, src }),
})

interface Args {
  readonly src: string
  readonly dest: string
  readonly remote_src: boolean
  readonly checksum?: string | undefined
  readonly strip_components: number
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly owner?: string | undefined
  readonly group?: string | undefined
  readonly mode?: string | undefined
  readonly same_owner: boolean
  readonly timeout: number
  readonly files: readonly LoadedFile[]
}

/** Somebody has said whose the files are: those of another are put right. */
const isOwned = (a: Pick<Args, 'owner' | 'group' | 'same_owner'>): boolean =>
  a.owner !== undefined || a.group !== undefined || a.same_owner

const isUrl = (src: string): boolean => /^[a-z]+:\/\//.test(src)
const baseName = (src: string): string => src.replace(/[?#].*$/, '').replace(/^.*\//, '')

/** The option of tar for the compression, from the archive's name: GNU tar guesses, busybox need not. */
function format(src: string): string | undefined {
  const name = baseName(src)
  if (/\.zip$/i.test(name)) return 'zip'
  const [, suffix] = /\.(tar|tgz|tar\.gz|tbz2?|tar\.bz2|txz|tar\.xz|tar\.zst)$/i.exec(name) ?? []
  if (suffix === undefined) return undefined
  if (/gz$/i.test(suffix)) return '-z'
  if (/bz2?$/i.test(suffix)) return '-j'
  if (/xz$/i.test(suffix)) return '-J'
  return /zst$/i.test(suffix) ? '--zstd' : ''
}

/** One manifest for each pair of archive name and folder; versions in the name make a new one, and the old one stays. */
const manifestName = (a: Args): string => change.sha256Of(`${a.dest}\n${baseName(a.src)}`).slice(0, 32)

/** All that decides what comes out. */
function manifestKey(a: Args, remoteSha256: string | undefined): string {
  const archive = a.files[0]?.sha256 ?? remoteSha256 ?? `${a.src} ${a.checksum ?? ''}`
  const mode = a.mode === undefined ? [] : [a.mode]
  return change.sha256Of(
    JSON.stringify([archive, a.strip_components, a.include, a.exclude, a.owner, a.group, a.same_owner, ...mode]),
  )
}

function unpack(a: Args, key: string, differing: readonly string[]): Change {
  const file = a.files[0]
  const onHost = a.remote_src && !isUrl(a.src)
  const archive = onHost ? a.src : `${a.dest}/.rb-${key.slice(0, 18)}-${baseName(a.src)}`
  const fetch = isUrl(a.src) ? `${fetchScript(a, archive)} || exit 1` : ''
  const steps = [
    `a=${quote(archive)}`,
    onHost ? '' : `trap 'rm -f -- "$a"' EXIT`,
    `rb_trust ${quote(a.dest)} || exit 1`,
    fetch,
    `rb_manifest ${manifestName(a)}`,
    // What an interrupted run has half unpacked must not look done.
    'mkdir -p "${rb_m%/*}" && rm -f -- "$rb_m" || exit 1',
    `cd -- ${quote(a.dest)} || exit 1`,
    format(a.src) === 'zip' ? unzip(a) : untar(a),
    INSIDE,
    ownerScript(a),
    modeScript(a),
    `{ echo ${key}; printf '%s\\n' "$names" | rb_statall '${read.ownerFormat(isOwned(a))}'; } > "$rb_m.new" && mv -f -- "$rb_m.new" "$rb_m"`,
  ]
  const why =
    differing.length === 0 ? '' : ` (differs: ${differing.slice(0, 3).join(', ')}${differing.length > 3 ? ' …' : ''})`
  return {
    summary: `unpack ${baseName(a.src)} into ${a.dest}${why}`,
    diff:
      differing.length === 0
        ? undefined
        : { kind: 'value', from: `changed: ${differing.join(', ')}`, to: 'as unpacked' },
    touches: fileTree(a.dest),
    script: steps.filter(Boolean).join('\n'),
    ...(file
      ? {
          upload: {
            path: archive,
            source: file.content
              ? { content: file.content }
              : { file: file.path, sha256: file.sha256, size: file.size },
            mode: 0o600,
          },
        }
      : {}),
  }
}

function fetchScript(a: Args, archive: string): string {
  const from = { url: a.src, headers: {}, timeout: a.timeout, validateCerts: true, via: 'host' } as const
  const [algorithm, digest] = a.checksum?.split(':') ?? []
  const check = algorithm ? ` && rb_checksum ${algorithm} ${digest!.toLowerCase()} "$a" ${quote(a.src)}` : ''
  return `${change.aside(change.fetchTo(from, '-'), archive)}${check}`
}

/** tar and unzip take a slash in front of a name off, and unpack nothing above the folder: nor may `names` lead there. */
const INSIDE = `names=$(printf '%s\\n' "$names" | sed 's:^/*::')
if printf '%s\\n' "$names" | grep -qE '(^|/)[.][.](/|$)'; then echo 'the archive holds names with .. in them' >&2; exit 1; fi`

/** Unpacks and sets `names`. TAR_OPTIONS is GNU tar's alone: it keeps -t from escaping letters beyond ASCII. */
function untar(a: Args): string {
  const excludes = a.exclude.map((pattern) => `--exclude=${quote(pattern)}`).join(' ')
  const only = a.include.length === 0 ? '' : `-- ${quoteAll(a.include)}`
  const strip = a.strip_components
  // -o: the owner is who unpacks, in GNU tar and in busybox.
  const how = [a.same_owner ? '' : '-o', strip === 0 ? '' : `--strip-components=${strip}`, excludes, only]
  const stripNames = strip === 0 ? '' : ` | sed 's:^\\([^/]*/\\{1,\\}\\)\\{${strip}\\}::'`
  const able =
    excludes === ''
      ? ''
      : "tar --help 2>&1 | grep -q -e --exclude || { echo 'busybox tar cannot exclude: install GNU tar, or use include' >&2; exit 1; }\n"
  return (
    able +
    `tar -x ${format(a.src)} -f "$a" ${how.filter(Boolean).join(' ')} || exit 1\n` +
    `names=$(TAR_OPTIONS=--quoting-style=literal tar -t ${format(a.src)} -f "$a" ${excludes} ${only}${stripNames} | grep .)`
  )
}

/** unzip(1): status 1 is a warning. The names stand behind `length date time` in -l, in Info-ZIP and in busybox. */
function unzip(a: Args): string {
  const excludes = a.exclude.length === 0 ? '' : `-x ${quoteAll(a.exclude)}`
  const only = quoteAll(a.include)
  return (
    `command -v unzip >/dev/null || { echo 'unzip is not there: install it' >&2; exit 1; }\n` +
    `unzip -o -q "$a" ${only} ${excludes} </dev/null; [ $? -le 1 ] || exit 1\n` +
    `names=$(unzip -l "$a" ${only} ${excludes} | sed -n 's/^ *[0-9]\\{1,\\}  *[0-9-]\\{1,\\}  *[0-9]\\{1,2\\}:[0-9][0-9]   //p')`
  )
}

/** Links have no permissions of their own: chmod would change what they lead to. */
function modeScript({ mode }: Args): string {
  if (mode === undefined) return ''
  const each = `while IFS= read -r n; do [ -h "$n" ] || chmod ${quote(mode)} "./$n" || exit 1; done`
  return `printf '%s\\n' "$names" | ${each} || exit 1`
}

function ownerScript(a: Args): string {
  const owner = change.ownership(a)
  return owner && `printf '%s\\n' "$names" | tr '\\n' '\\0' | xargs -0 chown -h -- ${quote(owner)} || exit 1`
}
