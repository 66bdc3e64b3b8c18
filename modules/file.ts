import { basename, dirname } from 'node:path/posix'
import { args, type Change, change, defineModule, fileTree, quote, read, TaskFailure, z } from '#module'

const time = z.enum(['now', 'preserve'])

export default defineModule({
  summary: 'Files, folders and links: whether they are there, whose they are and what is allowed',
  description:
    'Content is not looked at; see copy, template and lineinfile. Links in the path are followed, except by the states ' +
    'link and absent. A link may point to something that does not exist yet.',
  args: z
    .strictObject({
      path: args.path.optional().describe('what it is about'),
      dest: args.path.optional().describe('the same as `path`'),
      state: z
        .enum(['file', 'directory', 'link', 'hard', 'touch', 'absent'])
        .optional()
        .describe(
          'file: it must be there already. directory: with all folders above it. link: a symbolic link to `src`. ' +
            'hard: another name of `src`. touch: an empty file where there is none. absent: gone, with all below it. ' +
            'Default: directory with `recurse`, link with `src`, else file',
        ),
      src: z
        .string()
        .regex(/^[^\0\n]+$/, 'may not be empty or hold a line break')
        .optional()
        .describe('what a link points to, absolute or relative to the link’s folder'),
      ...args.attributes,
      recurse: args.boolean
        .default(false)
        .describe('owner, group and mode for all below a directory too; mode best as u=rwX,go=rX'),
      force: args.boolean.default(false).describe('a link may replace a file or an empty folder'),
      access_time: time.default('now').describe('for touch'),
      modification_time: time.default('now').describe('for touch; with both preserve a second run changes nothing'),
    })
    .refine((a) => (a.path === undefined) !== (a.dest === undefined), 'give `path`')
    .transform(({ path, dest, ...a }) => ({
      ...a,
      path: (path ?? dest)!,
      state: a.state ?? (a.recurse ? 'directory' : a.src === undefined ? 'file' : 'link'),
    }))
    .check((ctx) => {
      const { state, src, recurse, path, mode } = ctx.value
      const say = (message: string) => ctx.issues.push({ code: 'custom', message, input: ctx.value })
      const linking = state === 'link' || state === 'hard'
      if (linking && src === undefined) say(`state ${state} needs \`src\``)
      if (!linking && src !== undefined) say(`\`src\` goes with state link or hard, not with ${state}`)
      if (state === 'hard' && src !== undefined && !src.startsWith('/')) say('`src` of a hard link must be absolute')
      if (state === 'link' && mode !== undefined) say('a symbolic link has no mode of its own')
      if (recurse && state !== 'directory') say('`recurse` goes with state directory')
      if (recurse && mode !== undefined && /^[0-7]+$/.test(mode) && (args.applyMode(mode, 0, true) & 0o100) === 0) {
        say(`recurse with mode ${mode} would make folders that nobody can enter; write u=rwX,go=rX`)
      }
      if (state === 'absent' && path === '/') say('`/` cannot be absent')
    }),
  returns: { path: 'the path', state: 'file, directory, link, hard or absent, as it is now' },
  examples: [
    { name: 'A folder', yaml: "file:\n  path: /etc/kubernetes/pki\n  state: directory\n  owner: root\n  mode: '0750'" },
    { name: 'A link', yaml: 'file:\n  path: /usr/local/bin/k\n  src: /usr/bin/kubectl\n  state: link' },
    { name: 'Remove a folder', yaml: 'file:\n  path: /etc/cni/net.d\n  state: absent' },
  ],
  probe: ({ path, state, src, recurse }) => ({
    own: read.stat(path),
    followed: state === 'link' || state === 'absent' ? undefined : read.stat(path, { follow: true }),
    link: state === 'link' ? read.link(path) : undefined,
    source: state === 'hard' ? read.stat(src!) : undefined,
    tree: recurse ? read.tree(path) : undefined,
    mounts: state === 'absent' ? read.mounts() : undefined,
  }),
  plan: (a, state) => {
    const { path } = a
    const there = state.followed
    switch (a.state) {
      case 'absent': {
        // Where a link is on the way, the kernel has another path: then the host itself refuses.
        const mount = state.own && state.mounts?.find((m) => `${m.path}/`.startsWith(`${path}/`))
        if (mount) throw new TaskFailure(`${mount.path} is a mount point: unmount it first`)
        return state.own ? [remove(path, state.own.type === 'directory')] : []
      }
      case 'directory':
        if (!there) {
          if (state.own) throw new TaskFailure(`${path} is a link to something that does not exist`)
          return [change.makeFolder(path, a)]
        }
        if (there.type !== 'directory') throw new TaskFailure(`${path} is a ${there.type}, not a directory`)
        return a.recurse ? recursive(path, a, state.tree ?? []) : change.attributes(path, a, there)
      case 'file':
        if (!there) {
          throw new TaskFailure(
            `${path} does not exist; state touch makes an empty file, copy or template one with content`,
          )
        }
        return change.attributes(path, a, there)
      case 'touch':
        return touch(path, a, there)
      case 'link':
        if (state.own?.type === 'link' && state.link === a.src) return change.attributes(path, a, state.own)
        return link(path, a.src!, a.force, a, state.own)
      case 'hard':
        return hard(path, a, state)
    }
  },
  result: ({ path, state }, { own, followed }) => ({
    path,
    state: state === 'hard' && own ? 'hard' : ((followed ?? own)?.type ?? 'absent'),
  }),
})

type Wanted = change.Attributes

/**
 * Refuses to reach through a mount point: `rm -r` would empty the file system that is mounted there. The kernel lists
 * mounts by their real paths (a blank is `\040`, proc_pid_mountinfo(5)), so links on the way are followed first. As elsewhere
 * here, root follows no planted link to where the name is (rb_trust); what the name itself leads to is left alone.
 */
function remove(path: string, folder: boolean): Change {
  const q = quote(path)
  const above = quote(dirname(path))
  const name = quote(basename(path))
  const guard = folder
    ? `r=$(cd -P -- ${above} && pwd -P) || exit 1
r=$(printf %s "\${r%/}/"${name} | sed 's/\\\\/\\\\134/g; s/ /\\\\040/g')
while read -r _ _ _ _ m _; do case $m in "$r"|"$r"/*) echo "$m is a mount point: unmount it first" >&2; exit 1 ;; esac; done </proc/self/mountinfo || exit 1
`
    : ''
  return {
    summary: `remove ${folder ? 'folder ' : ''}${path}`,
    touches: fileTree(path),
    script: `rb_trust ${above} || exit 1\n${guard}rm -rf -- ${q}`,
  }
}

function touch(
  path: string,
  a: Wanted & { access_time: string; modification_time: string },
  there: read.FileStat | undefined,
): Change[] {
  const q = quote(path)
  const touches = [`file:${path}`]
  if (!there) {
    const mode = a.mode === undefined ? undefined : args.applyMode(a.mode, 0o644, false)
    const owner = change.ownership(a)
    const steps = [
      `rb_trust ${q}`,
      `(set -C; : > ${q})`,
      owner && `chown -- ${quote(owner)} ${q}`,
      mode !== undefined && `chmod ${change.chmodWord(mode)} ${q}`,
    ]
    return [{ summary: `create ${path}`, touches, script: steps.filter(Boolean).join(' && ') }]
  }
  const flags = `${a.access_time === 'now' ? 'a' : ''}${a.modification_time === 'now' ? 'm' : ''}`
  const event: Change[] =
    flags === '' ? [] : [{ summary: `touch ${path}`, touches, transient: true, script: `touch -${flags} -- ${q}` }]
  return [...event, ...change.attributes(path, a, there)]
}

function link(path: string, src: string, force: boolean, a: Wanted, own: read.FileStat | undefined): Change[] {
  const owner = change.ownership(a)
  if (own && own.type !== 'link' && !force) {
    throw new TaskFailure(`${path} is a ${own.type}, not a link; force: true replaces a file or an empty folder by one`)
  }
  const q = quote(path)
  const steps = [
    `rb_trust ${quote(dirname(path))}`,
    own?.type === 'directory' && `rmdir -- ${q}`,
    `ln -sfn -- ${quote(src)} ${q}`,
    owner && `chown -h -- ${quote(owner)} ${q}`,
  ]
  // What lies below it by name is something else now.
  const touches = fileTree(path)
  return [{ summary: `link ${path} -> ${src}`, touches, script: steps.filter(Boolean).join(' && ') }]
}

function hard(
  path: string,
  a: Wanted & { src?: string | undefined; force: boolean },
  { own, source }: { own: read.FileStat | undefined; source: read.FileStat | undefined },
): Change[] {
  const src = a.src!
  if (!source) throw new TaskFailure(`${src} does not exist, so it cannot get another name`)
  if (own && own.inode === source.inode && own.device === source.device) return change.attributes(path, a, own)
  if (own && (own.type !== 'file' || !a.force)) {
    throw new TaskFailure(
      `${path} is a ${own.type} of its own${own.type === 'file' ? '; force: true replaces it' : ''}`,
    )
  }
  const made: Change = {
    summary: `hard link ${path} = ${src}`,
    diff: { kind: 'value', from: own?.inode, to: source.inode },
    touches: [`file:${path}`, `file:${src}`],
    script: `rb_trust ${quote(dirname(path))} && ln -f -- ${quote(src)} ${quote(path)}`,
  }
  return [made, ...change.attributes(path, a, source)]
}

/**
 * Changes of a whole tree, for each combination of type and mode that is wrong: exact, where `chmod -R` with symbolic
 * modes differs between coreutils and busybox.
 */
function recursive(path: string, a: Wanted, tree: readonly read.TreeEntry[]): Change[] {
  const q = quote(path)
  const touches = fileTree(path)
  const changes: Change[] = []
  const foreign = tree.filter((e) => change.ownership(change.differing(a, e)) !== '')
  const owner = change.ownership(a)
  if (foreign.length > 0) {
    changes.push({
      summary: `chown ${owner} ${path} and below (${files(foreign)})`,
      diff: { kind: 'value', from: [...new Set(foreign.map((e) => `${e.owner}:${e.group}`))].join(', '), to: owner },
      touches,
      script: `rb_trust ${q} && chown -hR -- ${quote(owner)} ${q}`,
    })
  }
  if (a.mode === undefined) return changes
  const commands = new Set<string>()
  const wrong: read.TreeEntry[] = []
  for (const entry of tree) {
    if (entry.type === 'link') continue
    const folder = entry.type === 'directory'
    // chown(2) takes the set-user-ID and set-group-ID bits off files.
    const modes = foreign.length > 0 && !folder ? [entry.mode, entry.mode & ~0o6000] : [entry.mode]
    for (const mode of modes) {
      const to = args.applyMode(a.mode, mode, folder)
      if (to === mode) continue
      const type = folder ? '-type d' : '! -type d ! -type l'
      commands.add(`find ${q} -depth ${type} -perm ${change.chmodWord(mode)} -exec chmod ${change.chmodWord(to)} {} +`)
      if (mode === entry.mode) wrong.push(entry)
    }
  }
  if (commands.size > 0) {
    changes.push({
      summary: `chmod ${a.mode} ${path} and below (${files(wrong)})`,
      diff: { kind: 'value', from: [...new Set(wrong.map((e) => change.octal(e.mode)))].join(', '), to: a.mode },
      touches,
      script: [`rb_trust ${q}`, ...commands].join(' && '),
    })
  }
  return changes
}

function files(entries: readonly read.TreeEntry[]): string {
  const count = entries.reduce((sum, e) => sum + e.count, 0)
  return `${count} ${count === 1 ? 'entry' : 'entries'}`
}
