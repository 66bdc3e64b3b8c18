/** sources.list(5) in its one-line form, as Ansible's apt_repository reads and writes it (ansible-core: modules/apt_repository.py). */
import { type Change, run } from './change.ts'

/** One line of sources.list or a .list file. */
export interface SourceLine {
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly text: string
}

/** The repository that a line names, blanks made single, without its comment; undefined when it names none or is commented out. */
export function activeSource(text: string): string | undefined {
  const [before = ''] = text.trim().split('#')
  const words = before.trim().split(/\s+/)
  return words[0] === 'deb' || words[0] === 'deb-src' ? words.join(' ') : undefined
}

/** The same of a line that is commented out. */
export function inactiveSource(text: string): string | undefined {
  const trimmed = text.trim()
  return trimmed.startsWith('#') ? activeSource(trimmed.slice(1)) : undefined
}

/** The name, without `.list`, of the file that a line gets when nobody gives it one: its URI without scheme and password. */
export function suggestedName(source: string): string {
  const [uri = ''] = source
    .replace(/\[[^\]]+\]/g, '')
    .replace(/\w+:\/\//g, '')
    .split(/\s+/)
    .filter((word) => word !== '' && word !== 'deb' && word !== 'deb-src')
  const at = uri.indexOf('@')
  return uri
    .slice(at + 1)
    .split(/[^a-zA-Z0-9]+/)
    .filter(Boolean)
    .join('_')
}

/** What `grep -Hn ''` prints. */
export function parseLines(text: string): SourceLine[] {
  return text.split('\n').flatMap((one) => {
    const m = /^([^:]+):(\d+):(.*)$/.exec(one)
    return m ? [{ path: m[1]!, line: Number(m[2]), text: m[3]! }] : []
  })
}

/** The text of a list with the repository: a line of it that is commented out is taken in again, else it gets one at the end. */
export function addSource(text: string, repo: string): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const isAsleep = (line: string): boolean => inactiveSource(line) === repo
  const after = lines.some(isAsleep)
    ? lines.map((line) => (isAsleep(line) ? line.trim().replace(/^#\s*/, '') : line))
    : [...lines, repo]
  return `${after.join('\n')}\n`
}

/** Takes a repository out of a file, of which `lines` holds every line; one that has nothing else goes with it. */
export function dropSource(path: string, repo: string, lines: readonly SourceLine[]): Change {
  const mine = lines.filter((one) => one.path === path)
  const gone = mine.filter(({ text }) => activeSource(text) === repo)
  const isAll = mine.every((one) => gone.includes(one) || one.text.trim() === '')
  const argv = isAll
    ? ['rm', '-f', '--', path]
    : ['sed', '-i', ...gone.flatMap(({ line }) => ['-e', `${line}d`]), '--', path]
  return run(argv, {
    summary: isAll ? `remove ${path}` : `remove the repository from ${path}`,
    diff: { kind: 'value', from: repo, to: undefined },
    touches: [`file:${path}`, 'file:/etc/apt/sources.list.d/*', 'package-lists', 'package:*'],
  })
}
