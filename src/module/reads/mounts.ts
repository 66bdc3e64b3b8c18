import { quote } from '../../shared/quote.ts'
import { type AskKind, ask, type Read } from '../read.ts'

/** A line of /proc/self/mountinfo, see proc_pid_mountinfo(5). */
export interface Mount {
  readonly path: string
  /** `major:minor` of the file system. */
  readonly device: string
  /** As it was given to mount(2): a device, `server:/export`, `tmpfs`. */
  readonly source: string
  readonly fstype: string
  /** Options of this mount and of its file system together. */
  readonly options: readonly string[]
}

const mountsKind: AskKind<'all', readonly Mount[]> = {
  name: 'mounts',
  reads: () => ['mount:*'],
  sections: () => 1,
  script: () => 'cat /proc/self/mountinfo; rb_mark\n',
  parse: ([section]) => [parseMountinfo(section!.out.toString('utf8'))],
}

/** The mounts in order; of several at one path the last is the one that is seen. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ')
    const [, , device, , path, options] = left?.split(' ') ?? []
    const [fstype, source, superOptions] = right?.split(' ') ?? []
    if (!device || !path || !fstype) return []
    const both = [...(options ?? '').split(','), ...(superOptions ?? '').split(',')]
    return [
      { path: unescapeOctal(path), device, source: unescapeOctal(source ?? ''), fstype, options: [...new Set(both)] },
    ]
  })
}

/** `\040` -> a space, as in /proc/mounts and fstab(5). */
export function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** All mounts. No file system is asked, so that one that hangs (stale NFS) does not hang the read. */
export function mounts(): Read<readonly Mount[]> {
  return ask(mountsKind, 'all')
}

const deviceKind: AskKind<string, string | undefined> = {
  name: 'device',
  reads: (source) => [`device:${source}`],
  sections: (keys) => keys.length,
  script: (keys) =>
    keys
      .map((source) => {
        const path = source.startsWith('/') ? quote(source) : `"$(findfs ${quote(source)} 2>/dev/null)"`
        return `stat -L -c '%t %T' -- ${path} 2>/dev/null; rb_mark\n`
      })
      .join(''),
  parse: (sections) =>
    sections.map(({ out, rc }) => {
      const [major, minor] = out.toString('latin1').trim().split(' ')
      if (rc !== 0 || major === undefined || minor === undefined) return undefined
      return `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`
    }),
}

/** `major:minor` of a block device, by path or as `UUID=…`, `LABEL=…`; undefined when there is none. */
export function device(source: string): Read<string | undefined> {
  return ask(deviceKind, source)
}
