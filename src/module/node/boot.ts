import { SessionError } from '../../session/session.ts'
import type { ActionContext } from '../action.ts'
import { parseBootId } from './look.ts'

/** How a host answers to an attempt to log in. */
export type Answer =
  | { readonly kind: 'up'; readonly bootId: string }
  /** sshd is there, but lets nobody in: early in a boot, or on the way down (pam_nologin). */
  | { readonly kind: 'refuses'; readonly words: string }
  | { readonly kind: 'silent'; readonly words: string }

/** Tries a connection of its own. Throws SessionError for another host key, which no waiting mends. */
export async function answerOf(ctx: ActionContext, timeoutMs: number): Promise<Answer> {
  try {
    await using connection = await ctx.tryConnect(timeoutMs)
    const shell = await connection.shell()
    const { rc, stdout } = await shell.run('cat /proc/sys/kernel/random/boot_id', { timeoutMs, signal: ctx.signal })
    const bootId = rc === 0 ? parseBootId(stdout.toString('latin1')) : undefined
    return bootId === undefined ? { kind: 'refuses', words: 'it answers without a boot_id' } : { kind: 'up', bootId }
  } catch (error) {
    if (!(error instanceof SessionError) || error.kind === 'host_key') throw error
    // A refused connection means no sshd. A login that is refused, or breaks in the middle, means one.
    const kind = error.kind === 'unreachable' || error.kind === 'timeout' ? 'silent' : 'refuses'
    return { kind, words: error.message }
  }
}
