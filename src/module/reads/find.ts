import { quote, quoteAll } from '../../shared/quote.ts'
import { type AskKind, ask, map, type Read, ReadError } from '../read.ts'
import { fileTree } from '../resources.ts'
import { type FileStat, STAT_FORMAT, statLines } from './files.ts'

export interface Search {
  readonly paths: readonly string[]
  /** Tests of find(1) that POSIX, coreutils and busybox know, as words. */
  readonly tests: readonly string[]
  /** 1: only what is in the folders themselves; undefined: all below. */
  readonly depth?: number | undefined
}

export interface FoundFile extends FileStat {
  readonly path: string
}

const findKind: AskKind<Search, readonly FoundFile[] | ReadError> = {
  name: 'find',
  reads: ({ paths }) => paths.flatMap(fileTree),
  sections: (keys) => keys.length,
  script: (keys) =>
    keys
      .map(({ paths, tests, depth }) => {
        const limit = depth === undefined ? '' : `-maxdepth ${depth}`
        const all = `-mindepth 1 ${limit} ! -path ${quote('*\n*')} ${quoteAll(tests)} -exec stat -c ${quote(STAT_FORMAT)} {} +`
        return paths.map((p) => `[ ! -d ${quote(p)} ] || LC_ALL=C find ${quote(`${p}/`)} ${all} 2>&1`).join('\n')
      })
      .map((script) => `{ ${script}\n}; rb_mark\n`)
      .join(''),
  parse: (sections) =>
    sections.map(({ out }) => {
      const { found, complaints } = statLines(out.toString('utf8'))
      if (complaints.length > 0) return new ReadError(complaints[0]!)
      return [...found].map(([path, stat]) => ({ path: path.replace(/\/{2,}/g, '/'), ...stat }))
    }),
}

/**
 * Files below folders. A folder that is not there holds none. Paths with a line break are left out: anybody who may write
 * to /tmp can make one that reads like two files, and nothing takes such a path anyway.
 */
export function find(search: Search): Read<readonly FoundFile[]> {
  return map(ask(findKind, search), (answer) => {
    if (answer instanceof ReadError) throw answer
    return answer
  })
}
