import { homedir } from 'node:os'
import { join } from 'node:path'
import type { AnyAuthMethod, AuthenticationType, ParsedKey } from 'ssh2'
import { agentWith, blob, readAgent, readIdentity, samePublic, unlock } from './identities.ts'
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

/** All but tab and newline, and what turns the direction of writing. */
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g

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
      // The host's own words: they must not be able to move the cursor over ours.
      const words = [instructions, `(${login.user}@${login.host}) ${question}`]
        .filter(Boolean)
        .join('\n')
        .replace(CONTROL, '')
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
