import { readFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { included } from './included.ts'
import { sshOptions } from './openssh-command.ts'
import type { Target } from './session.ts'

const SYSTEM = '/etc/ssh/ssh_config'

/** As OpenSSH's READCONF_MAX_DEPTH. */
const DEEPEST = 16

/** What `Match` may ask for that the same files and arguments always answer alike (ssh_config(5)). */
const PLAIN_CRITERIA = /^!?(all|host|originalhost|user|localuser)$/

/**
 * All that decides what `ssh -G` says of a host: the texts of its configuration and the arguments. The same inputs give the
 * same answer, so that it need not be asked for again, which takes longer than everything else on a connection that stands.
 * Undefined where more decides: the word of a program or of a name server, the network, or a login name that only ssh
 * itself reads.
 */
export function configurationInputs(target: Target): string | undefined {
  const { homedir, username } = userInfo()
  const own = target.sshConfigFile
  const files = own === undefined ? [join(homedir, '.ssh/config'), SYSTEM] : own === 'none' ? [] : [own]
  const texts: string[] = []
  const isPlainOption = (name: string, value = ''): boolean =>
    name === 'user' ? target.user !== undefined : name !== 'canonicalizehostname' || value.toLowerCase() === 'no'
  const read = (path: string, depth: number): boolean => {
    const text = textOf(expand(path, homedir))
    texts.push(path, text)
    return depth <= DEEPEST && text.split('\n').every((line) => isPlain(line, path, depth))
  }
  const isPlain = (line: string, path: string, depth: number): boolean => {
    const [keyword = '', ...words] = wordsOf(line)
    switch (keyword.toLowerCase()) {
      case 'include':
        return words.every((word) => {
          if (/%|\$|^~[^/]/.test(word)) return false
          const folder = path.startsWith('/etc/ssh/') ? '/etc/ssh' : join(homedir, '.ssh')
          const pattern = expand(word, homedir)
          return included(isAbsolute(pattern) ? pattern : join(folder, pattern)).every((file) => read(file, depth + 1))
        })
      case 'match':
        return criteriaOf(words).every((one) => PLAIN_CRITERIA.test(one.toLowerCase()))
      default:
        return isPlainOption(keyword.toLowerCase(), words[0])
    }
  }
  if (!(target.sshOptions ?? []).every(([name, value]) => isPlainOption(name, value))) return undefined
  if (!files.every((file) => read(file, 0))) return undefined
  // How long we wait makes no other connection.
  const options = sshOptions({ ...target, connectTimeoutMs: undefined })
  const variables = texts.flatMap((text) => [...text.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => process.env[name!]))
  return JSON.stringify([hostname(), username, target.address, options, texts, variables])
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // ssh itself goes on without it, or says what is wrong.
    return ''
  }
}

const expand = (path: string, home: string): string => (path.startsWith('~/') ? join(home, path.slice(2)) : path)

/** A line is a keyword and words, with spaces or one `=` between them; words may stand in quotes. */
function wordsOf(line: string): string[] {
  const [, keyword, rest = ''] = /^\s*"?([A-Za-z0-9]+)"?\s*=?\s*(.*)$/.exec(line) ?? []
  if (keyword === undefined) return []
  return [keyword, ...[...rest.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare!)]
}

/** `all` and `final` stand alone, the others have a value behind them, or behind a `=`. */
function criteriaOf(words: readonly string[]): string[] {
  const criteria: string[] = []
  for (let i = 0; i < words.length; i++) {
    const [name = '', value] = words[i]!.split('=', 2)
    criteria.push(name)
    if (value === undefined && !/^!?(all|final|canonical)$/i.test(name)) i++
  }
  return criteria
}
