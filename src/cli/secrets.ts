/** What a process knows as secret, and how it reads encrypted vars files. */
import { Redactor } from '../shared/redact.ts'
import type { YamlMap } from '../shared/yaml.ts'

/** One for the process: stdout and stderr are one for it too, and errors are shown after everything else is gone. */
export const redactor = new Redactor()

let made: ((document: YamlMap) => Promise<YamlMap>) | undefined

/** Decrypts with the age keys of the environment; its texts are redacted from then on. Throws UserError. */
export async function decrypt(document: YamlMap): Promise<YamlMap> {
  // Loaded when there is something to decrypt: most runs start without it.
  made ??= (await import('../secrets/index.ts')).makeDecrypt(redactor)
  return made(document)
}
