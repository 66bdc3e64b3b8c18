import { readFileSync } from 'node:fs'
import type { BaseAgent, ParsedKey } from 'ssh2'
import type { Prompt } from './session.ts'
import { OpenSSHAgent, parseKey } from './ssh2-parts.ts'

/** What stands behind an IdentityFile. */
export interface Identity {
  readonly state: 'missing' | 'locked' | 'open'
  readonly privateKey?: ParsedKey | undefined
  /** Known for a locked key too, when FILE.pub stands beside it. */
  readonly publicKey?: ParsedKey | undefined
  readonly reason: string
}

/** Read once a process: a thousand hosts use the same few keys. */
const identities = new Map<string, Identity>()
const unlocked = new Map<string, Promise<ParsedKey | undefined>>()

export function readIdentity(file: string): Identity {
  const known = identities.get(file)
  if (known) return known
  const identity = loadIdentity(file)
  identities.set(file, identity)
  return identity
}

function loadIdentity(file: string): Identity {
  const publicKey = parse(readText(`${file}.pub`))
  const text = readText(file)
  if (text instanceof Error) {
    const code = (text as NodeJS.ErrnoException).code
    return { state: 'missing', publicKey: good(publicKey), reason: code === 'ENOENT' ? 'no such file' : text.message }
  }
  const key = parse(text)
  if (!(key instanceof Error)) {
    if (key.isPrivateKey()) return { state: 'open', privateKey: key, publicKey: key, reason: '' }
    // IdentityFile may name a public key whose private half the agent holds.
    return { state: 'missing', publicKey: key, reason: 'a public key, and the agent does not hold its private half' }
  }
  if (/passphrase|encrypted/i.test(key.message)) return { state: 'locked', publicKey: good(publicKey), reason: '' }
  const hardware = /sk-(ssh|ecdsa)/.test(readTextOr(`${file}.pub`))
  const reason = hardware ? 'a FIDO key: use connection "openssh"' : key.message
  return { state: 'missing', publicKey: undefined, reason }
}

/** What may open an encrypted key. */
export interface Opener {
  readonly passphrase: string | undefined
  readonly prompt: Prompt | undefined
  readonly addSecret: ((secret: string) => void) | undefined
}

/** Opens an encrypted key with the passphrase at hand or asks for it, once a process. */
export function unlock(file: string, { passphrase, prompt, addSecret }: Opener): Promise<ParsedKey | undefined> {
  const known = unlocked.get(file)
  if (known) return known
  const text = readFileSync(file, 'utf8')
  const attempt = async () => {
    if (passphrase !== undefined) {
      addSecret?.(passphrase)
      const key = parse(text, passphrase)
      if (!(key instanceof Error)) return key
    }
    if (!prompt) return undefined
    for (let round = 0; round < 3; round++) {
      const said = await prompt(`${round > 0 ? 'Wrong. ' : ''}Passphrase of ${file}: `, { secret: true })
      addSecret?.(said)
      const key = parse(text, said)
      if (!(key instanceof Error)) return key
    }
    return undefined
  }
  const asked = attempt()
  unlocked.set(file, asked)
  asked.then(
    (key) => key ?? unlocked.delete(file),
    () => unlocked.delete(file),
  )
  return asked
}

function parse(text: string | Error, passphrase?: string): ParsedKey | Error {
  if (text instanceof Error) return text
  const key = parseKey(text, passphrase)
  return Array.isArray(key) ? key[0] : key
}

function good(key: ParsedKey | Error): ParsedKey | undefined {
  return key instanceof Error ? undefined : key
}

function readText(file: string): string | Error {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    return error as Error
  }
}

function readTextOr(file: string): string {
  const text = readText(file)
  return text instanceof Error ? '' : text
}

export function blob(key: ParsedKey): string {
  return key.getPublicSSH().toString('base64')
}

export function samePublic(a: ParsedKey, b: ParsedKey): boolean {
  return a.getPublicSSH().equals(b.getPublicSSH())
}

const agents = new Map<string, Promise<ParsedKey[]>>()

/** The keys of an agent, asked for once a process; an agent that does not answer is as good as none. */
export async function readAgent(socket: string, tried: string[]): Promise<ParsedKey[]> {
  let keys = agents.get(socket)
  if (!keys) {
    keys = new Promise<ParsedKey[]>((resolve, reject) => {
      new OpenSSHAgent(socket).getIdentities((error, found) => {
        if (error) reject(error)
        else resolve((found ?? []) as ParsedKey[])
      })
    })
    agents.set(socket, keys)
    keys.catch(() => agents.delete(socket))
  }
  try {
    return await keys
  } catch {
    tried.push(`agent at ${socket} (no answer)`)
    return []
  }
}

/** The agent with some of its keys only. */
export function agentWith(socket: string, keys: ParsedKey[]): BaseAgent<ParsedKey> {
  const agent = new OpenSSHAgent(socket)
  agent.getIdentities = (done) => done(undefined, keys)
  return agent
}
