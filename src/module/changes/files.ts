import { createHash } from 'node:crypto'
import { quote } from '../../shared/quote.ts'
import { applyMode } from '../args.ts'
import type { Change, Diff } from '../change.ts'
import { type LoadedFile, TaskFailure } from '../define.ts'
import type { FileStat, FileState } from '../reads/files.ts'

/** Text up to this many bytes rides inside the script; what is larger goes over a channel of its own. */
export const INLINE_LIMIT = 64 * 1024
/** The same for other bytes, of which most take four characters there. */
export const INLINE_BINARY_LIMIT = 16 * 1024

/** Who owns a file and what its permissions are; what is undefined stays as it is. */
export interface Attributes {
  readonly owner?: string | undefined
  readonly group?: string | undefined
  /** Octal or symbolic, see args.mode. */
  readonly mode?: string | undefined
}

export interface WriteOptions {
  /** Permission bits; absent: those of the file that is there, else 0o666 less the umask. */
  mode?: number | undefined
  owner?: string | undefined
  group?: string | undefined
  summary?: string
  diff?: Diff | undefined
  /** A command that must accept the new content before it replaces the old; `%s` stands for its path. */
  validate?: string | undefined
  /** Keep a copy `PATH.YYYY-MM-DD@HH:MM:SS~` of what is replaced; its path is printed. */
  backup?: boolean | undefined
  /**
   * SHA-256 of the file that `content` was made from, `-` for none: when another one is there by now, nothing is written
   * and the status is STALE. For edits, which would otherwise undo what someone else wrote meanwhile, also through
   * another name of the same file (/etc/sysctl.d/99-sysctl.conf is a link to /etc/sysctl.conf).
   */
  expect?: string | undefined
  touches?: readonly string[]
}

/**
 * Writes a whole file: aside, then renamed into place, so that no reader ever sees half of it. A folder that is missing is
 * found out by the host, not by `plan`: in check mode an earlier task may be about to make it.
 */
export function write(path: string, content: string | Buffer | LoadedFile, options: WriteOptions = {}): Change {
  const base = {
    summary: options.summary ?? `write ${path}`,
    diff: options.diff,
    touches: options.touches ?? [`file:${path}`],
  }
  const bytes = bytesOf(content)
  const inline = bytes && inlineWords(bytes)
  if (inline) return { ...base, script: `rb_write ${quote(path)} ${placeWords(options)} ${inline}` }
  const source = bytes
    ? { content: bytes }
    : { file: (content as LoadedFile).path, sha256: sha256Of(content), size: (content as LoadedFile).size }
  const beside = asidePath(path, sha256Of(content))
  return {
    ...base,
    upload: { path: beside, source, mode: 0o600 },
    script: place(beside, path, options),
  }
}

/** The content as the last words of `rb_write`: a text as it is, or a format of printf(1); undefined when it is too long. */
function inlineWords(bytes: Buffer): string | undefined {
  if (bytes.length > INLINE_LIMIT) return undefined
  if (isPlainText(bytes)) return quote(bytes.toString('utf8'))
  if (bytes.length > INLINE_BINARY_LIMIT) return undefined
  const octal = (byte: string): string => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`
  return `'' ${quote(bytes.toString('latin1').replace(/[^ -~]|[%'\\]|^-/g, octal))}`
}

/** Where an upload waits beside its target; the same for the same content, so that an interrupted one is overwritten. */
export function asidePath(path: string, key: string): string {
  const slash = path.lastIndexOf('/')
  return `${path.slice(0, slash + 1)}.rb-${key.slice(0, 18)}-${path.slice(slash + 1)}`
}

/**
 * sh that has a command write the file `beside`. Its name can be guessed and the folder may be another user's, so what
 * stands there is removed and the file opened with noclobber (O_EXCL): a planted link is never written through.
 */
export function aside(command: string, beside: string): string {
  const q = quote(beside)
  return `rm -f -- ${q} && ( umask 077; set -C; exec 3>${q} || exit 1; set +C; ${command} >&3 3>&- )`
}

/** sh that puts the file `beside`, on the same file system, in the place of `path`; see rb_place. */
export function place(beside: string, path: string, options: WriteOptions = {}): string {
  return `rb_place ${quote(beside)} ${quote(path)} ${placeWords(options)}`
}

function placeWords({ mode, owner, group, backup, validate, expect }: WriteOptions): string {
  // Quotes around %s are taken off, for the path is passed as a word of its own.
  const check = validate?.replace(/(['"])%s\1/g, '%s') ?? ''
  return [mode === undefined ? '' : mode.toString(8), owner ?? '', group ?? '', backup ? 'b' : '', check, expect ?? '']
    .map(quote)
    .join(' ')
}

/** True for bytes that survive a shell word: valid UTF-8 without NUL. */
export function isPlainText(bytes: Buffer): boolean {
  return !bytes.includes(0) && Buffer.from(bytes.toString('utf8')).equals(bytes)
}

function bytesOf(content: string | Buffer | LoadedFile): Buffer | undefined {
  if (typeof content === 'string') return Buffer.from(content)
  return Buffer.isBuffer(content) ? content : content.content
}

/** SHA-256 in hex. */
export function sha256Of(content: string | Buffer | LoadedFile): string {
  if (typeof content === 'string' || Buffer.isBuffer(content)) return createHash('sha256').update(content).digest('hex')
  return content.sha256
}

/**
 * What makes a regular file hold `content` with `wanted` attributes: nothing, a write, or a chown and chmod.
 * `state` is what `read.file` gave, best with `expect`.
 */
export function put(
  content: string | Buffer | LoadedFile,
  state: FileState,
  wanted: Attributes & Pick<WriteOptions, 'validate' | 'backup' | 'expect'> = {},
): Change[] {
  const { path, stat } = state
  if (stat && stat.type !== 'file') throw new TaskFailure(`${path} is a ${stat.type}, not a regular file`)
  if (stat && state.content?.sha256 === sha256Of(content)) return attributes(path, wanted, stat)
  const mode = wanted.mode === undefined ? undefined : applyMode(wanted.mode, stat?.mode ?? 0o644, false)
  const after = bytesOf(content)
  const before = stat ? state.content?.content : Buffer.alloc(0)
  const diff = after && before ? textDiff(path, before, after) : undefined
  const detail = [mode === undefined ? '' : octal(mode), ownership(wanted)].filter(Boolean).join(' ')
  const summary = `${stat ? 'write' : 'create'} ${path}${detail && ` (${detail})`}`
  return [write(path, content, { ...wanted, mode, summary, diff })]
}

/** What makes a text file, as `read.text` gave it, hold `after` with `wanted` attributes. */
export function editText(
  path: string,
  before: { readonly exists: boolean; readonly text: string; readonly stat: FileStat | undefined },
  after: string,
  wanted: Attributes & Pick<WriteOptions, 'validate' | 'backup'>,
): Change[] {
  const content = Buffer.from(before.text)
  const state = before.exists ? { sha256: sha256Of(content), content } : undefined
  return put(after, { path, stat: before.stat, content: state }, { ...wanted, expect: state?.sha256 ?? '-' })
}

function textDiff(path: string, before: Buffer, after: Buffer): Diff | undefined {
  if (!isPlainText(before) || !isPlainText(after)) return undefined
  return { kind: 'text', path, before: before.toString('utf8'), after: after.toString('utf8') }
}

/** The chown and chmod that something which exists needs; `stat` is that of the path itself, link or not. */
export function attributes(path: string, wanted: Attributes, stat: FileStat): Change[] {
  const changes: Change[] = []
  const touches = [`file:${path}`]
  const { owner, group } = differing(wanted, stat)
  const chown = owner !== undefined || group !== undefined
  const trust = stat.type === 'link' ? '' : `rb_trust ${quote(path)} && `
  if (chown) {
    const flag = stat.type === 'link' ? '-h ' : ''
    changes.push({
      summary: `chown ${ownership({ owner, group })} ${path}`,
      diff: {
        kind: 'value',
        from: `${stat.owner}:${stat.group}`,
        to: `${owner ?? stat.owner}:${group ?? stat.group}`,
      },
      touches,
      script: `${trust}chown ${flag}-- ${quote(ownership({ owner, group }))} ${quote(path)}`,
    })
  }
  if (wanted.mode === undefined || stat.type === 'link') return changes
  const mode = applyMode(wanted.mode, stat.mode, stat.type === 'directory')
  // chown(2) takes the set-user-ID and set-group-ID bits off, so they are set again behind it.
  if (mode !== stat.mode || (chown && (mode & 0o6000) !== 0)) {
    changes.push({
      summary: `chmod ${octal(mode)} ${path}`,
      diff: { kind: 'value', from: octal(stat.mode), to: octal(mode) },
      touches,
      script: `${trust}chmod ${chmodWord(mode)} ${quote(path)}`,
    })
  }
  return changes
}

/** The wanted owner and group where they are not those of `stat`; both may be a name or an id. */
export function differing(
  wanted: Attributes,
  stat: Pick<FileStat, 'uid' | 'gid' | 'owner' | 'group'>,
): Pick<Attributes, 'owner' | 'group'> {
  const { owner, group } = wanted
  return {
    owner: owner === stat.owner || owner === String(stat.uid) ? undefined : owner,
    group: group === stat.group || group === String(stat.gid) ? undefined : group,
  }
}

/** `owner:group` as chown takes it; '' when neither is given. */
export function ownership({ owner, group }: Attributes): string {
  return `${owner ?? ''}${group === undefined ? '' : `:${group}`}`
}

/** `0644` */
export function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

/** Five digits: with four or fewer GNU chmod leaves a folder's set-group-ID bit as it is (coreutils, "Numeric Modes"). */
export function chmodWord(mode: number): string {
  return mode.toString(8).padStart(5, '0')
}

/** Makes a folder and the folders above it; those that are made get the attributes. */
export function makeFolder(path: string, wanted: Attributes = {}): Change {
  const mode = wanted.mode === undefined ? undefined : applyMode(wanted.mode, 0o755, true)
  const detail = [mode === undefined ? '' : octal(mode), ownership(wanted)].filter(Boolean).join(' ')
  const words = [path, mode === undefined ? '' : chmodWord(mode), ownership(wanted)]
  return {
    summary: `create folder ${path}${detail && ` (${detail})`}`,
    touches: ancestors(path).map((p) => `file:${p}`),
    script: `rb_trust ${quote(path)} && rb_mkdir ${words.map(quote).join(' ')}`,
  }
}

/** The path and the folders above it, without the root. */
function ancestors(path: string): string[] {
  const parts = path.split('/').filter(Boolean)
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`).reverse()
}
