import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import ssh2, { type AnyAuthMethod, type AuthenticationType, type ParsedKey } from 'ssh2'
import type { Prompt } from './session.ts'
import { expandHome } from './ssh-config.ts'

/** Who logs in where, and with what. */
export interface Login {
  readonly user: string
  /** For questions and messages: the inventory's name of the host. */
  readonly host: string
  readonly password: string | undefined
  /** From the inventory: tried before everything else. */
  readonly privateKeyFile: string | undefined
  readonly passphrase: string | undefined
  /** From ssh_config; empty: the default identities. */
  readonly identityFiles: readonly string[]
  readonly identitiesOnly: boolean
  /** Socket of the agent, if one is to be used. */
  readonly agent: string | undefined
  readonly prompt: Prompt | undefined
  readonly addSecret: ((secret: string) => void) | undefined
}

/** Waits for an answer of the user with the clock stopped. */
export type During = <T>(answer: Promise<T>) => Promise<T>

export interface Authenticator {
  /** ssh2's `authHandler`. */
  readonly handler: (
    left: readonly string[] | null,
    partial: boolean | null,
    next: (method: AnyAuthMethod | AuthenticationType | false) => void,
  ) => void
  /** What was tried and what the host would take, for an error message. */
  report(): string
  /** An error that ended the attempts, such as a prompt that nobody answered. */
  readonly failure: Error | undefined
}

/** ssh_config(5), IdentityFile: the identities tried when none is configured. ssh2 cannot use the hardware-held ones. */
const DEFAULT_IDENTITIES = ['id_rsa', 'id_ecdsa', 'id_ed25519'].map((name) => join(homedir(), '.ssh', name))

/**
 * Offers the ways to log in one after another, publickey first (without asking for the list of methods: that would be a
 * round trip), then keyboard-interactive and password, each only as far as the host takes it. `during` is given each
 * wait for the user.
 */
export function authenticator(login: Login, during: During): Authenticator {
  const tried: string[] = []
  let accepted: readonly string[] | undefined
  const self = { failure: undefined as Error | undefined }
  const steps = methods(login, tried, () => accepted, during)
  return {
    handler: (left, _partial, next) => {
      if (left) accepted = left
      steps.next().then(
        ({ value, done }) => next(done ? false : value),
        (error: Error) => {
          self.failure = error
          next(false)
        },
      )
    },
    report: () => {
      const took = accepted ? `; the host takes: ${accepted.join(', ') || 'nothing more'}` : ''
      return `tried: ${tried.join(', ') || 'nothing (no key, no agent, no password)'}${took}`
    },
    get failure() {
      return self.failure
    },
  }
}

async function* methods(
  login: Login,
  tried: string[],
  accepted: () => readonly string[] | undefined,
  during: During,
): AsyncGenerator<AnyAuthMethod, undefined> {
  const { user: username, prompt } = login
  const takes = (method: string) => accepted()?.includes(method) ?? true
  const explicit = login.privateKeyFile ? [expandHome(login.privateKeyFile)] : []
  const configured = [...new Set([...explicit, ...login.identityFiles])]
  const files = configured.length > 0 ? configured : DEFAULT_IDENTITIES
  const agentKeys = login.agent ? await readAgent(login.agent, tried) : []
  const wanted = files.map((file) => ({ file, key: readIdentity(file) }))
  const inAgent = (key: ParsedKey) => agentKeys.find((candidate) => samePublic(candidate, key))

  const offered = new Set<string>()
  for (const { file, key } of wanted) {
    if (!takes('publickey')) break
    const held = key.publicKey && inAgent(key.publicKey)
    if (held) {
      offered.add(blob(held))
      tried.push(`agent key of ${file}`)
      yield { type: 'agent', username, agent: agentWith(login.agent!, [held]) }
      continue
    }
    if (key.state === 'missing') {
      if (configured.length > 0) tried.push(`${file} (${key.reason})`)
      continue
    }
    const opened = key.state === 'locked' ? await during(unlock(file, login)) : key.privateKey
    if (!opened) {
      tried.push(`${file} (${key.state === 'locked' ? 'needs its passphrase' : key.reason})`)
      continue
    }
    offered.add(blob(opened))
    tried.push(file)
    yield { type: 'publickey', username, key: opened }
  }
  const rest = login.identitiesOnly ? [] : agentKeys.filter((key) => !offered.has(blob(key)))
  if (rest.length > 0 && takes('publickey')) {
    tried.push(`agent (${rest.length} ${rest.length === 1 ? 'key' : 'keys'})`)
    yield { type: 'agent', username, agent: agentWith(login.agent!, rest) }
  }
  if (accepted() === undefined && login.password === undefined) {
    // No key at all: only now the list of methods is worth a round trip.
    yield { type: 'none', username }
  }
  if (login.password !== undefined) {
    login.addSecret?.(login.password)
    if (takes('password')) {
      tried.push('password')
      yield { type: 'password', username, password: login.password }
    }
  }
  if (takes('keyboard-interactive') && (login.password !== undefined || prompt)) {
    tried.push('keyboard-interactive')
    yield { type: 'keyboard-interactive', username, prompt: answerPrompts(login, during) }
  }
  if (takes('password') && login.password === undefined && prompt) {
    const password = await during(prompt(`${username}@${login.host}'s password: `, { secret: true }))
    login.addSecret?.(password)
    tried.push('password')
    yield { type: 'password', username, password }
  }
  return undefined
}

/** Answers the first hidden question with the password that we have, and passes the others on. */
function answerPrompts(login: Login, during: During) {
  let { password } = login
  return (
    _name: string,
    instructions: string,
    _lang: string,
    prompts: readonly { prompt: string; echo?: boolean | undefined }[],
    finish: (answers: string[]) => void,
  ) => {
    const answer = async ({ prompt: question, echo }: { prompt: string; echo?: boolean | undefined }) => {
      if (!echo && password !== undefined) {
        const known = password
        password = undefined
        return known
      }
      if (!login.prompt) return ''
      const words = [instructions, `(${login.user}@${login.host}) ${question}`].filter(Boolean).join('\n')
      const said = await during(login.prompt(words, { secret: !echo }))
      if (!echo) login.addSecret?.(said)
      return said
    }
    const all = async () => {
      const answers: string[] = []
      for (const prompt of prompts) answers.push(await answer(prompt))
      return answers
    }
    all().then(finish, () => finish(prompts.map(() => '')))
  }
}

interface Identity {
  readonly state: 'missing' | 'locked' | 'open'
  readonly privateKey?: ParsedKey | undefined
  /** Known for a locked key too, when FILE.pub stands beside it. */
  readonly publicKey?: ParsedKey | undefined
  readonly reason: string
}

/** Read once a process: a thousand hosts use the same few keys. */
const identities = new Map<string, Identity>()
const unlocked = new Map<string, Promise<ParsedKey | undefined>>()

function readIdentity(file: string): Identity {
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

/** Opens an encrypted key with the passphrase at hand or asks for it, once a process. */
function unlock(file: string, { passphrase, prompt, addSecret }: Login): Promise<ParsedKey | undefined> {
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
  const key = ssh2.utils.parseKey(text, passphrase)
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

function blob(key: ParsedKey): string {
  return key.getPublicSSH().toString('base64')
}

function samePublic(a: ParsedKey, b: ParsedKey): boolean {
  return a.getPublicSSH().equals(b.getPublicSSH())
}

const agents = new Map<string, Promise<ParsedKey[]>>()

/** The keys of an agent, asked for once a process; an agent that does not answer is as good as none. */
async function readAgent(socket: string, tried: string[]): Promise<ParsedKey[]> {
  let keys = agents.get(socket)
  if (!keys) {
    keys = new Promise<ParsedKey[]>((resolve, reject) => {
      new ssh2.OpenSSHAgent(socket).getIdentities((error, found) => {
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
function agentWith(socket: string, keys: ParsedKey[]): ssh2.BaseAgent<ParsedKey> {
  const agent = new ssh2.OpenSSHAgent(socket)
  agent.getIdentities = (done) => done(undefined, keys)
  return agent
}
