/** The `password` helper: secrets that are made once and kept in files of the controller. */
import { randomBytes, randomInt } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { HelperError, text } from './helper-parts.ts'

const LETTERS_AND_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const LONGEST = 1024

/** Those that were not kept, by path: all that ask for one in a dry run see the same. */
const madeUp = new Map<string, string>()

/**
 * The secret in a file; made, with its folder (0700), when it is not there. Processes that make it at the same time end up
 * with the same. `readOnly` makes one up that is not kept. Throws HelperError.
 */
export function passwordOf(path: string, length: number, characters: unknown, readOnly: boolean): string {
  if (length < 8 || length > LONGEST)
    throw new HelperError(`a password has from 8 to ${LONGEST} characters, not ${length}`)
  const alphabet = [...new Set(characters === undefined ? LETTERS_AND_DIGITS : text(characters))]
  if (alphabet.length < 2 || alphabet.some((one) => /[\s\p{C}]/u.test(one)))
    throw new HelperError('the characters of a password are at least two different ones, without white space')
  try {
    const kept = read(path)
    if (kept !== undefined) return kept
    const made = Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
    if (readOnly) {
      const earlier = madeUp.get(path) ?? made
      madeUp.set(path, earlier)
      return earlier
    }
    return keep(path, made)
  } catch (error) {
    if (error instanceof HelperError) throw error
    throw new HelperError(`cannot keep a password in ${path} (${(error as NodeJS.ErrnoException).code})`)
  }
}

function keep(path: string, secret: string): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`
  writeFileSync(temporary, `${secret}\n`, { mode: 0o600, flag: 'wx', flush: true })
  try {
    // Unlike a rename it does not take the place of one that another process has put there meanwhile.
    linkSync(temporary, path)
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return read(path)!
  } finally {
    rmSync(temporary)
  }
}

/** Undefined when there is no such file. One of ours that others can read is closed to them. */
function read(path: string): string | undefined {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const { mode, uid } = statSync(path)
  if ((mode & 0o077) !== 0 && uid === process.getuid?.()) chmodSync(path, 0o600)
  // Ansible writes the salt of a hash behind it.
  const secret = content.replace(/\r?\n$/, '').replace(/ salt=\S+$/, '')
  if (secret === '' || secret.includes('\n')) throw new HelperError(`${path} does not hold one line with a password`)
  return secret
}
