/** `runbook secrets …`: files that sops reads and writes too, for people who have no sops. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { decryptText, encryptText, readIdentities, rekeyText, resealText } from '../../secrets/index.ts'
import { UserError } from '../../shared/errors.ts'
import { readSource } from '../../shared/yaml.ts'
import { editPrivately } from '../edit-file.ts'
import { EXIT } from '../exit.ts'
import { terminalPrompt } from '../prompt.ts'

export interface EncryptFlags {
  readonly age: readonly string[]
  readonly encryptedRegex?: string
}

/** `runbook secrets encrypt FILE`: in its place. Throws UserError. */
export async function encrypt(path: string, { age, encryptedRegex }: EncryptFlags): Promise<number> {
  if (age.length === 0)
    throw new UserError({
      message: 'nobody could read the file again: no recipient is given',
      hint: '--age age1…; age-keygen -y KEYFILE shows yours',
    })
  const rule = encryptedRegex === undefined ? undefined : { encrypted_regex: encryptedRegex }
  replace(path, await encryptText(readSource(path), age, rule))
  return EXIT.done
}

/** `runbook secrets decrypt FILE`: to stdout, so that no clear text stays behind. Throws UserError. */
export async function decrypt(path: string): Promise<number> {
  process.stdout.write((await decryptText(readSource(path), readIdentities())).text)
  return EXIT.done
}

/** `runbook secrets rekey FILE`: a new data key, to other recipients where they are given. Throws UserError. */
export async function rekey(path: string, { age }: EncryptFlags): Promise<number> {
  replace(path, await rekeyText(readSource(path), readIdentities(), age))
  return EXIT.done
}

/** `runbook secrets edit FILE`: in $EDITOR; what was not changed is not written. Throws UserError. */
export async function edit(path: string): Promise<number> {
  const opened = await decryptText(readSource(path), readIdentities())
  const sealed = await editPrivately(basename(path), opened.text, async (text) => {
    if (text === opened.text) return undefined
    try {
      return { result: await resealText({ path, text }, opened) }
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      // Half an hour of editing is not lost to a missing quote; what is shown is what the editor showed.
      const prompt = terminalPrompt((fn) => fn())
      if (!prompt)
        throw new UserError(
          error.problems.map(({ message, hint }) => ({ message: `nothing was written: ${message}`, hint })),
        )
      process.stderr.write(`${error.message}\n`)
      await prompt('Enter: edit again; Ctrl-C: give up', { secret: false })
      return 'again'
    }
  })
  if (sealed === undefined) process.stderr.write(`${path} was not changed\n`)
  else replace(path, sealed)
  return EXIT.done
}

/** Puts a text in the place of a file (of a link's target), whole or not at all, with the file's owner and mode. */
function replace(name: string, text: string): void {
  const path = realpathSync(name)
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.new`)
  try {
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    const { uid, gid, mode } = statSync(path)
    // Only root can give files away; everybody else's are theirs already.
    if (process.getuid?.() === 0) chownSync(temporary, uid, gid)
    chmodSync(temporary, mode & 0o7777)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`)
  }
}
