import { createHash } from 'node:crypto'
import { quote, quoteAll } from '../../shared/quote.ts'
import { type AskKind, all, ask, each, map, type Read, ReadError, type Section } from '../read.ts'
import { fileTree } from '../resources.ts'

export type FileType = 'file' | 'directory' | 'link' | 'socket' | 'fifo' | 'char' | 'block'

/** What `stat` says of a path; a link is not followed. */
export interface FileStat {
  readonly type: FileType
  /** Permission bits, 0o0000 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly owner: string
  readonly group: string
  readonly size: number
  /** Seconds since the epoch. */
  readonly atime: number
  readonly mtime: number
  readonly ctime: number
  readonly links: number
  readonly inode: number
  readonly device: number
}

/** The file types of st_mode, from sys/stat.h. */
const TYPES: Readonly<Record<number, FileType>> = {
  12: 'socket',
  10: 'link',
  8: 'file',
  6: 'block',
  4: 'directory',
  2: 'char',
  1: 'fifo',
}

// Names of users and groups can hold spaces (winbind), but no slash; a path begins with one.
export const STAT_FORMAT = '%f %u %g %s %X %Y %Z %h %i %d %U/%G/%n'

/**
 * Paths that one process is asked about: a command line holds 2 MiB (execve(2): a quarter of the stack), and sh looks for
 * each path in what the process printed of all.
 */
const CHUNK = 100

function inChunks<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / CHUNK) }, (_, i) => items.slice(i * CHUNK, (i + 1) * CHUNK))
}

/** An answer may be the complaint about one path: the others of the same process have theirs nevertheless. */
const statKind: AskKind<{ path: string; follow: boolean }, FileStat | ReadError | undefined> = {
  name: 'stat',
  id: ({ path, follow }) => `${follow ? 'L ' : ''}${path}`,
  reads: ({ path }) => [`file:${path}`],
  sections: (keys) => (keys.some((k) => k.follow) ? 1 : 0) + (keys.some((k) => !k.follow) ? 1 : 0),
  script: (keys) =>
    [false, true]
      .map((follow) => keys.filter((k) => k.follow === follow).map((k) => k.path))
      .map((paths, i) =>
        paths.length === 0
          ? ''
          : `${inChunks(paths)
              .map((chunk) => `LC_ALL=C stat ${i === 1 ? '-L ' : ''}-c '${STAT_FORMAT}' -- ${quoteAll(chunk)} 2>&1; `)
              .join('')}rb_mark\n`,
      )
      .join(''),
  parse: (sections, keys) => {
    const rest = [...sections]
    const answers = new Map<unknown, FileStat | ReadError | undefined>()
    for (const follow of [false, true]) {
      const group = keys.filter((k) => k.follow === follow)
      if (group.length === 0) continue
      parseStat(
        rest.shift()!,
        group.map((k) => k.path),
      ).forEach((stat, i) => {
        answers.set(group[i], stat)
      })
    }
    return keys.map((k) => answers.get(k))
  },
}

/** What `stat -c STAT_FORMAT` printed: paths that are there, and complaints about others than missing ones. */
export function statLines(text: string): { found: Map<string, FileStat>; complaints: string[] } {
  const found = new Map<string, FileStat>()
  const complaints: string[] = []
  for (const line of text.split('\n')) {
    const m = /^([0-9a-f]+) (\d+) (\d+) (\d+) (-?\d+) (-?\d+) (-?\d+) (\d+) (\d+) (\d+) ([^/]*)\/([^/]*)\/(.*)$/.exec(
      line,
    )
    if (m) {
      const bits = Number.parseInt(m[1]!, 16)
      found.set(m[13]!, {
        type: TYPES[bits >> 12] ?? 'file',
        mode: bits & 0o7777,
        uid: Number(m[2]),
        gid: Number(m[3]),
        size: Number(m[4]),
        atime: Number(m[5]),
        mtime: Number(m[6]),
        ctime: Number(m[7]),
        links: Number(m[8]),
        inode: Number(m[9]),
        device: Number(m[10]),
        owner: m[11]!,
        group: m[12]!,
      })
    } else if (line !== '' && !/: (No such file or directory|Not a directory)$/.test(line)) {
      complaints.push(line)
    }
  }
  return { found, complaints }
}

/** `stat` leaves out what is not there and says so on its error stream; the rest comes in order, each with its name. */
function parseStat(section: Section, paths: readonly string[]): (FileStat | ReadError | undefined)[] {
  const { found, complaints } = statLines(section.out.toString('utf8'))
  return paths.map((path) => {
    const stat = found.get(path)
    if (stat) return stat
    const complaint = complaints.find((line) => line.includes(path)) ?? (found.size === 0 ? complaints[0] : undefined)
    return complaint === undefined ? undefined : new ReadError(complaint)
  })
}

/** Files of a tree that have the same type, permissions and owner. */
export interface TreeEntry extends Pick<FileStat, 'type' | 'mode' | 'uid' | 'gid' | 'owner' | 'group'> {
  readonly count: number
}

/** Which combinations of type, mode and owner there are, not which file has which: short however large the tree is. */
const treeKind: AskKind<string, readonly TreeEntry[]> = {
  name: 'tree',
  reads: fileTree,
  sections: (keys) => keys.length,
  script: (keys) =>
    keys
      .map(
        (path) =>
          `if [ -e ${quote(path)} ]; then find ${quote(path)} -exec stat -c '%f %u %g %U/%G' {} + | sort | uniq -c; fi; rb_mark\n`,
      )
      .join(''),
  parse: (sections) =>
    sections.map(({ out }) =>
      [...out.toString('utf8').matchAll(/^ *(\d+) ([0-9a-f]+) (\d+) (\d+) ([^/\n]*)\/(.*)$/gm)].map((m) => {
        const bits = Number.parseInt(m[2]!, 16)
        return {
          count: Number(m[1]),
          type: TYPES[bits >> 12] ?? 'file',
          mode: bits & 0o7777,
          uid: Number(m[3]),
          gid: Number(m[4]),
          owner: m[5]!,
          group: m[6]!,
        }
      }),
    ),
}

const digestKind: AskKind<{ path: string; algorithm: string }, string | undefined> = {
  name: 'digest',
  reads: ({ path }) => [`file:${path}`],
  sections: (keys) => keys.length,
  script: (keys) =>
    keys
      .map(({ path, algorithm }) => `if [ -f ${quote(path)} ]; then ${algorithm}sum < ${quote(path)}; fi; rb_mark\n`)
      .join(''),
  parse: (sections, keys) =>
    sections.map(({ out, rc }, i) => {
      if (rc !== 0) throw new ReadError(`cannot make the ${keys[i]!.algorithm} of ${keys[i]!.path}`)
      return out.length === 0 ? undefined : out.toString('latin1').split(' ')[0]
    }),
}

const linkKind: AskKind<string, string | undefined> = {
  name: 'link',
  reads: (path) => [`file:${path}`],
  sections: (keys) => keys.length,
  script: (keys) => keys.map((path) => `[ -h ${quote(path)} ] && readlink -- ${quote(path)}; rb_mark\n`).join(''),
  parse: (sections) => sections.map(({ out, rc }) => (rc === 0 ? out.toString('utf8').replace(/\n$/, '') : undefined)),
}

export interface ContentKey {
  readonly path: string
  /** Bytes of content to bring at the most; 0 brings the checksum alone. */
  readonly limit: number
  /** No content is brought when the file's SHA-256 is this one. */
  readonly expect?: string | undefined
}

/** Checksum and, where wanted, content of a regular file (links are followed). */
export interface FileContent {
  readonly sha256: string
  /** Absent where the checksum was the expected one, or `limit` is 0, or the file is larger than the limit. */
  readonly content?: Buffer | undefined
}

/** Content is what a diff is made of; larger files than this are compared by checksum and shown without a diff. */
export const CONTENT_LIMIT = 1024 * 1024

/**
 * One `sha256sum` for many files (but those whose line in its answer would be another one: it escapes backslashes, which names of
 * units hold, and two blanks part the sum from the name), then `head` for each whose content is wanted and not the expected one.
 */
const contentKind: AskKind<ContentKey, FileContent | undefined> = {
  name: 'content',
  id: ({ path }) => path,
  merge: (a, b) => ({
    path: a.path,
    limit: Math.max(a.limit, b.limit),
    expect: a.expect === b.expect ? a.expect : undefined,
  }),
  reads: ({ path }) => [`file:${path}`],
  prelude: `
rb_nl='
'
rb_sums() {
  for rb_p; do
    shift
    case $rb_p in *\\\\*|*"  "*) continue ;; esac
    if [ -f "$rb_p" ] && [ -r "$rb_p" ]; then set -- "$@" "$rb_p"; fi
  done
  rb_s=
  [ $# = 0 ] || rb_s=$rb_nl$(sha256sum -- "$@")$rb_nl
}
rb_content() {
  rb_h=
  case $1 in
    *\\\\*|*"  "*)
      if [ -f "$1" ] && [ -r "$1" ]; then rb_h=$(sha256sum < "$1"); rb_h=\${rb_h%% *}; fi ;;
    *) case $rb_s in
      *"  $1$rb_nl"*)
        rb_h=\${rb_s%%"  $1$rb_nl"*}
        rb_h=\${rb_h##*"$rb_nl"} ;;
    esac ;;
  esac
  if [ -n "$rb_h" ]; then
    printf '%s\\n' "$rb_h"
    if [ "$3" != 0 ] && [ "$rb_h" != "$2" ]; then head -c "$3" -- "$1"; fi
  elif [ -f "$1" ]; then
    echo '!'
  fi
}
`,
  sections: (keys) => keys.length,
  script: (keys) =>
    inChunks(keys)
      .map(
        (chunk) =>
          `rb_sums ${quoteAll(chunk.map((k) => k.path))}\n${chunk
            .map((k) => `rb_content ${quote(k.path)} ${k.expect ?? '-'} ${k.limit > 0 ? k.limit + 1 : 0}; rb_mark\n`)
            .join('')}`,
      )
      .join(''),
  parse: (sections, keys) =>
    keys.map((key, i) => {
      const { out } = sections[i]!
      const newline = out.indexOf(10)
      if (newline === -1) return undefined
      const sha256 = out.subarray(0, newline).toString('latin1')
      if (sha256 === '!') throw new ReadError(`cannot read ${key.path}: permission denied`)
      if (key.limit === 0 || sha256 === key.expect) return { sha256 }
      const content = out.subarray(newline + 1)
      if (content.length > key.limit) return { sha256 }
      // What is edited and written back must be the file's: a process left behind by a command prints into any answer.
      if (createHash('sha256').update(content).digest('hex') !== sha256) {
        throw new ReadError(
          `${key.path} changed while it was read, or something in the background prints: redirect the output of what a command leaves running`,
        )
      }
      return { sha256, content }
    }),
}

/** `stat` of a path; undefined when nothing is there. */
export function stat(path: string, options: { follow?: boolean } = {}): Read<FileStat | undefined> {
  return map(ask(statKind, { path, follow: options.follow ?? false }), (answer) => {
    if (answer instanceof ReadError) throw answer
    return answer
  })
}

/** Digests of files by one of the `…sum` programs; undefined where there is no regular file. */
export function digests(paths: readonly string[], algorithm: string): Read<(string | undefined)[]> {
  return each(paths.map((path) => ask(digestKind, { path, algorithm })))
}

/** The combinations of type, permissions and owner in a folder and all below it; [] when nothing is there. */
export function tree(path: string): Read<readonly TreeEntry[]> {
  return ask(treeKind, path)
}

/** Where a symbolic link points to; undefined when it is no link. */
export function link(path: string): Read<string | undefined> {
  return ask(linkKind, path)
}

/** SHA-256 and content of a regular file; undefined when there is none. See ContentKey. */
export function content(
  path: string,
  options: { expect?: string | undefined; limit?: number } = {},
): Read<FileContent | undefined> {
  return ask(contentKind, { path, limit: options.limit ?? CONTENT_LIMIT, expect: options.expect })
}

export interface FileState {
  readonly path: string
  /** The file itself; a link is followed. Undefined when nothing is there. */
  readonly stat: FileStat | undefined
  readonly content: FileContent | undefined
}

/** A file that is to be written or edited: links are followed. */
export function file(path: string, options: { expect?: string | undefined; limit?: number } = {}): Read<FileState> {
  return map(all({ stat: stat(path, { follow: true }), content: content(path, options) }), (state) => ({
    path,
    ...state,
  }))
}

/** The text of a file that an edit needs whole: '' when there is none; ReadError when it is too large or not text. */
export function text(path: string): Read<{ exists: boolean; text: string; stat: FileStat | undefined }> {
  return map(file(path), ({ stat, content }) => {
    if (stat && stat.type !== 'file') throw new ReadError(`${path} is a ${stat.type}, not a regular file`)
    if (!content) return { exists: false, text: '', stat }
    if (!content.content) throw new ReadError(`${path} is larger than ${CONTENT_LIMIT} bytes`)
    const decoded = content.content.toString('utf8')
    if (!Buffer.from(decoded).equals(content.content)) throw new ReadError(`${path} is not UTF-8 text`)
    return { exists: true, text: decoded, stat }
  })
}
