import { basename, dirname } from 'node:path/posix'
import { args, type Change, change, defineModule, fileTree, map, quote, quoteAll, read, TaskFailure, z } from '#module'

const word = z.string().regex(/^[^\0\n]+$/, 'may not be empty or hold a line break')

export default defineModule({
  summary: 'Mount points, now and in fstab',
  description:
    'Whether something is mounted is read from the kernel, without touching the file system, so a stale NFS mount does not ' +
    'hang the run. A mount whose live options contradict `opts` (read-only after an error, noexec …) is mounted again. ' +
    'The folder of an absent mount stays.',
  args: z
    .strictObject({
      path: args.path.optional().describe('where it is mounted; none for swap'),
      name: args.path.optional().describe('the same as `path`'),
      src: word.optional().describe('device, UUID=…, LABEL=…, server:/export, or the folder of a bind mount'),
      fstype: word.optional().describe('ext4, xfs, nfs, tmpfs, none for a bind mount …'),
      opts: word.default('defaults').describe('options as in fstab(5)'),
      dump: z.union([z.string(), z.int()]).transform(String).default('0').describe('fifth field of fstab'),
      passno: z
        .union([z.string(), z.int()])
        .transform(String)
        .default('0')
        .describe('sixth field of fstab: order of fsck'),
      boot: args.boolean.default(true).describe('false adds noauto'),
      state: z
        .enum(['mounted', 'present', 'unmounted', 'absent', 'remounted', 'ephemeral'])
        .describe(
          'mounted: in fstab and mounted. present: in fstab. unmounted: not mounted, fstab as it is. absent: neither. ' +
            'remounted: mounted again now. ephemeral: mounted, fstab as it is',
        ),
      fstab: args.path.default('/etc/fstab').describe('another file for fstab'),
      backup: args.boolean.default(false).describe('keep the old fstab'),
    })
    .refine((a) => (a.path === undefined) !== (a.name === undefined), 'give `path`')
    .refine(
      (a) => !['mounted', 'present', 'ephemeral'].includes(a.state) || (a.src !== undefined && a.fstype !== undefined),
      'this state needs `src` and `fstype`',
    )
    .refine((a) => a.fstype !== 'swap', 'swap is no mount; use the module swap')
    .transform(({ path, name, boot, ...a }) => ({
      ...a,
      path: (path ?? name)!,
      opts: boot || a.opts.split(',').includes('noauto') ? a.opts : `${a.opts},noauto`,
    })),
  returns: { path: 'the mount point', opts: 'its options', mounted: 'whether it is mounted now' },
  examples: [
    {
      name: 'A data disk',
      yaml: 'mount:\n  path: /var/lib/longhorn\n  src: LABEL=data\n  fstype: ext4\n  opts: defaults,noatime,nofail\n  state: mounted',
    },
    { name: 'Take an export away', yaml: 'mount:\n  path: /mnt/old\n  state: absent' },
  ],
  probe: ({ path, src, opts, fstab, state }) => {
    const bind = isBind(opts)
    const device = src !== undefined && !bind && (src.startsWith('/') || /^(PART)?(UUID|LABEL)=/.test(src))
    return {
      fstab: read.text(fstab),
      mounts: read.mounts(),
      real: map(read.script(realScript(path, /^(absent|unmounted)$/.test(state)), [`file:${path}`]), ({ out, rc }) =>
        rc === 0 && out.length > 0 ? out.toString('utf8').replace(/\n$/, '') : path,
      ),
      device: device ? read.device(src) : undefined,
      from: bind && src !== undefined ? read.stat(src, { follow: true }) : undefined,
      at: bind ? read.stat(path, { follow: true }) : undefined,
    }
  },
  plan: (a, state) => {
    const live = state.mounts.filter((m) => m.path === (state.real ?? a.path))
    const top = live.at(-1)
    const keep = a.state === 'mounted' || a.state === 'present'
    const after = keep || a.state === 'absent' ? editFstab(a, state.fstab.text, keep) : state.fstab.text
    const saved = change.editText(a.fstab, state.fstab, after, { backup: a.backup }).map((c) => reload(a.fstab, c))
    switch (a.state) {
      case 'present':
        return saved
      case 'absent':
      case 'unmounted':
        return [...live.map(() => unmount(a.path)), ...saved]
      case 'remounted':
        if (!top) throw new TaskFailure(`${a.path} is not mounted`)
        return [remount(a.path, a.opts, top, true)]
      default: {
        if (!top) return [...saved, mount({ ...a, src: a.src!, fstype: a.fstype! })]
        if (!isRight(a, top, state)) {
          throw new TaskFailure(
            `${a.path} is in use by ${top.source} (${top.fstype}), not by ${a.src} (${a.fstype}); unmount it first`,
          )
        }
        const changed = saved.length > 0 && state.fstab.text !== '' && optionsBefore(a, state.fstab.text) !== undefined
        return [...saved, ...(changed || contradicts(a.opts, top) ? [remount(a.path, a.opts, top, false)] : [])]
      }
    }
  },
  result: ({ path, opts }, { mounts, real }) => ({
    path,
    opts,
    mounted: mounts.some((m) => m.path === (real ?? path)),
  }),
})

interface Args {
  readonly path: string
  readonly src?: string | undefined
  readonly fstype?: string | undefined
  readonly opts: string
  readonly dump: string
  readonly passno: string
}

interface Found {
  readonly device: string | undefined
  readonly from: read.FileStat | undefined
  readonly at: read.FileStat | undefined
}

/**
 * The path under which the kernel would list the mount: without links (/var/run, and /mnt, /home, /opt where the system is
 * an ostree). One that is listed as it stands is not looked at: it may be a stale NFS mount. What is to be unmounted may be a
 * link itself by now, and where that leads is another mount: only the links in front of it are followed.
 */
function realScript(path: string, unmounts: boolean): string {
  const real = unmounts
    ? `r=$(readlink -f -- ${quote(dirname(path))}) && printf '%s/%s' "\${r%/}" ${quote(basename(path))}`
    : ''
  return `while read -r _ _ _ _ m _; do [ "$m" != ${quote(escapeSpace(path))} ] || exit 0; done </proc/self/mountinfo
${real || `readlink -f -- ${quote(path)}`}`
}

const trim = (path: string): string => path.replace(/(.)\/+$/, '$1')

const isBind = (opts: string): boolean => /(^|,)r?bind(,|$)/.test(opts)

/** Whether what is mounted is what is wanted. Devices go by number: /dev/sdb1 has many names. */
function isRight(a: Args, live: read.Mount, { device, from, at }: Found): boolean {
  if (isBind(a.opts)) return from !== undefined && from.inode === at?.inode && from.device === at.device
  const fstype = a.fstype === 'auto' || live.fstype === a.fstype || (a.fstype === 'nfs' && live.fstype === 'nfs4')
  // The source of tmpfs and its like is a mere word.
  const nodev = device === undefined && !a.src!.includes(':') && !a.src!.startsWith('/')
  return fstype && (nodev || live.device === device || trim(live.source) === trim(a.src!))
}

/** Flags whose live value shows in mountinfo, and their opposites. */
const FLAGS: Readonly<Record<string, string>> = {
  nosuid: 'suid',
  nodev: 'dev',
  noexec: 'exec',
  noatime: 'relatime',
  nodiratime: 'diratime',
}

function contradicts(opts: string, { options }: read.Mount): boolean {
  const words = opts.split(',')
  const readOnly = words.findLast((w) => w === 'ro' || w === 'rw') === 'ro'
  return (
    readOnly !== options.includes('ro') || Object.keys(FLAGS).some((f) => words.includes(f) && !options.includes(f))
  )
}

/** Options that are for fstab's readers and that the kernel would refuse. */
const FSTAB_ONLY = /^(defaults|auto|noauto|nofail|_netdev|user|users|nouser|owner|group|x-.*|comment=.*)$/

function kernelOptions(opts: string): string {
  return opts
    .split(',')
    .filter((o) => !FSTAB_ONLY.test(o))
    .join(',')
}

function mount({ path, src, fstype, opts }: Args & { src: string; fstype: string }): Change {
  const options = kernelOptions(opts)
  const words = [
    'mount',
    ...(isBind(opts) ? [] : ['-t', fstype]),
    ...(options === '' ? [] : ['-o', options]),
    '--',
    src,
    path,
  ]
  return {
    summary: `mount ${src} on ${path}`,
    touches: [`mount:${path}`, ...fileTree(path)],
    script: `rb_trust ${quote(path)} && rb_mkdir ${quote(path)} '' '' && ${quoteAll(words)}`,
  }
}

function remount(path: string, opts: string, live: read.Mount, transient: boolean): Change {
  const words = opts.split(',')
  // Since mount_setattr(2), a flag that is not named stays as it is.
  const cleared = Object.entries({ ...FLAGS, ro: 'rw' }).flatMap(([flag, opposite]) =>
    live.options.includes(flag) && !words.includes(flag) ? [opposite] : [],
  )
  const kept = kernelOptions(words.filter((w) => w !== 'bind' && w !== 'rbind').join(','))
  const options = ['remount', ...(isBind(opts) ? ['bind'] : []), ...cleared, kept].filter(Boolean).join(',')
  return {
    summary: `remount ${path} with ${opts}`,
    diff: { kind: 'value', from: live.options.join(','), to: opts },
    touches: [`mount:${path}`],
    transient,
    script: quoteAll(['mount', '-o', options, '--', path]),
  }
}

function unmount(path: string): Change {
  return {
    summary: `unmount ${path}`,
    touches: [`mount:${path}`, ...fileTree(path)],
    // Not the path itself: a stale NFS mount would hang.
    script: `rb_trust ${quote(dirname(path))} && umount -- ${quote(path)}`,
  }
}

/** systemd makes its mount units from fstab and has to be told. */
function reload(fstab: string, write: Change): Change {
  if (fstab !== '/etc/fstab') return write
  return { ...write, script: `${write.script} || exit 1\n[ ! -d /run/systemd/system ] || systemctl daemon-reload` }
}

const escapeSpace = (text: string): string =>
  text.replace(/[ \t\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)

const fields = (line: string): string[] =>
  /^\s*(#|$)/.test(line) ? [] : line.trim().split(/\s+/).map(read.unescapeOctal)

const entryOf = (path: string, text: string): string[] | undefined =>
  text
    .split('\n')
    .map(fields)
    .findLast(([, at]) => at !== undefined && trim(at) === path)

/** The options in fstab when they are others than the wanted ones. */
function optionsBefore(a: Args, text: string): string | undefined {
  const opts = entryOf(a.path, text)?.[3]
  return opts === a.opts ? undefined : opts
}

/** Sets or removes the line of a mount point; other lines stay as they are. */
function editFstab(a: Args, text: string, present: boolean): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const mine = lines.flatMap((line, i) => (entryOf(a.path, line) ? [i] : []))
  if (!present) return mine.length === 0 ? text : joined(lines.filter((_, i) => !mine.includes(i)))
  const wanted = [a.src!, a.path, a.fstype!, a.opts, a.dump, a.passno]
  const last = mine.at(-1)
  const [src, at, fstype, opts = 'defaults', dump = '0', passno = '0'] = last === undefined ? [] : fields(lines[last]!)
  const same = [src, at, fstype, opts, dump, passno].every(
    (f, i) => f !== undefined && (i === 1 ? trim(f) : f) === wanted[i],
  )
  if (same && mine.length === 1) return text
  const line = wanted.map(escapeSpace).join(' ')
  if (last === undefined) lines.push(line)
  else lines[last] = line
  return joined(lines.filter((_, i) => i === last || !mine.includes(i)))
}

const joined = (lines: readonly string[]): string => (lines.length === 0 ? '' : `${lines.join('\n')}\n`)
