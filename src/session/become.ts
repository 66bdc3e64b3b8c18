import { quote, quoteAll } from '../shared/quote.ts'
import { type Boot, BootError, type Booted } from './boot.ts'
import type { Channel } from './channel.ts'
import { type Become, SessionError } from './session.ts'

/** How long sudo, doas or su may take to let us in or to refuse: pam_faildelay takes 2 to 5 s, LDAP longer. */
const BECOME_MS = 30_000

/** Complaints come in pieces (`su: `, then the rest), so a question of su is what stays unfinished for this long. */
const SU_PAUSE_MS = 100

/** Gives the password of the other user's shell when the host asks for one; undefined when there is none. */
export type AskPassword = (() => Promise<string>) | undefined

/**
 * The words that start `/bin/sh -c SCRIPT` as another user, without SCRIPT. A password is only ever written to standard
 * input, after the host has asked for it: a shell that needs none never sees it.
 */
export function becomePrefix({ method, user }: Become, nonce: string, canAnswer: boolean): string {
  switch (method) {
    case 'sudo':
      return quoteAll([
        'sudo',
        ...(canAnswer ? ['-S', '-p', promptOf(nonce)] : ['-n']),
        '-H',
        '-u',
        user,
        '--',
        '/bin/sh',
        '-c',
      ])
    case 'doas':
      return quoteAll(['doas', '-n', '-u', user, '--', '/bin/sh', '-c'])
    case 'su':
      // A plain `su` (not a login one) with a shell of our choice also enters accounts whose own shell is nologin.
      return `su -s /bin/sh ${quote(user)} -c`
  }
}

function promptOf(nonce: string): string {
  return `[runbook-${nonce}]`
}

/** Waits for the other user's shell and answers a question for a password once. Throws SessionError `become`. */
export async function authenticate(
  host: string,
  become: Become,
  nonce: string,
  channel: Channel,
  boot: Boot,
  ask: AskPassword,
): Promise<Booted> {
  const refused = Promise.withResolvers<never>()
  let answered = false
  let said = 0
  const look = () => {
    const text = boot.noise().slice(said)
    if (!asksPassword(become, nonce, text)) return
    if (answered)
      return refused.reject(becomeError(host, become, 'the password is wrong', `check ${passwordOf(become)}`))
    if (!ask) return refused.reject(noPassword(host, become))
    answered = true
    said = boot.noise().length
    clearTimeout(timer)
    ask().then((password) => {
      channel.stdin.write(`${password}\n`)
      timer = setTimeout(late, BECOME_MS)
    }, refused.reject)
  }
  const late = () =>
    refused.reject(becomeError(host, become, `${become.method} did not answer within ${BECOME_MS / 1000} s`))
  let timer = setTimeout(late, BECOME_MS)
  let pause: NodeJS.Timeout | undefined
  boot.onNoise = () => {
    if (become.method !== 'su') return look()
    clearTimeout(pause)
    pause = setTimeout(look, SU_PAUSE_MS)
  }
  try {
    return await Promise.race([boot.ready, refused.promise])
  } catch (error) {
    channel.close()
    if (!(error instanceof BootError)) throw error
    throw explain(host, become, boot.noise(), nonce, answered)
  } finally {
    clearTimeout(timer)
    clearTimeout(pause)
    boot.onNoise = undefined
  }
}

/** sudo asks with our own prompt. su knows no such option: any unfinished line that ends with a colon is a question. */
function asksPassword(become: Become, nonce: string, text: string): boolean {
  if (become.method === 'sudo') return text.includes(promptOf(nonce))
  const last = text.slice(text.lastIndexOf('\n') + 1)
  return become.method === 'su' && /[:：]\s*$/.test(last)
}

/** Puts what the host said before it gave up into the user's words. */
function explain(host: string, become: Become, noise: string, nonce: string, answered: boolean): SessionError {
  const text = noise.replaceAll(promptOf(nonce), '').trim()
  const { method, user } = become
  if (/doas is not enabled|doas\.conf/.test(text)) {
    return becomeError(host, become, `doas is not set up: ${text}`, 'write /etc/doas.conf, or use sudo')
  }
  if (
    new RegExp(
      `\\b${method}: (command )?not found|command not found.*${method}|unknown command.*${method}|exec: ${method}`,
      'i',
    ).test(text)
  ) {
    return becomeError(
      host,
      become,
      `${method} is not installed on the host`,
      'install it, or choose another become_method',
    )
  }
  if (/must have a tty|requiretty/i.test(text)) {
    return becomeError(
      host,
      become,
      'sudo insists on a terminal',
      'remove "Defaults requiretty" from sudoers for this user',
    )
  }
  if (/password is required|terminal is required|Authentication required/i.test(text)) return noPassword(host, become)
  if (/unknown user|does not exist|no passwd entry/i.test(text)) {
    return becomeError(host, become, `the host knows no user "${user}"`)
  }
  if (/not in the sudoers|not allowed|may not run|Operation not permitted|Permission denied/i.test(text) && !answered) {
    return becomeError(host, become, `${method} does not let the login user become "${user}": ${text}`)
  }
  if (answered && /incorrect|sorry|failure|denied|no password was provided/i.test(text)) {
    return becomeError(host, become, 'the password is wrong', `check ${passwordOf(become)}`)
  }
  return becomeError(host, become, `${method} gave no shell for "${user}"${text ? `: ${text}` : ''}`)
}

function passwordOf({ method, user }: Become): string {
  return method === 'su'
    ? `the password of "${user}" (su asks for that of the user you become)`
    : "the login user's password (sudo asks for that)"
}

function noPassword(host: string, become: Become): SessionError {
  const { method } = become
  const hint =
    method === 'doas'
      ? 'doas reads passwords from terminals only: permit it with "nopass" in doas.conf, or use sudo'
      : 'use --ask-become-pass, set ansible_become_password, or allow it without one (NOPASSWD)'
  return becomeError(host, become, `${method} asks for a password and none was given`, hint)
}

function becomeError(host: string, become: Become, message: string, hint?: string): SessionError {
  return new SessionError('become', host, `cannot become "${become.user}": ${message}`, hint ? { hint } : {})
}
