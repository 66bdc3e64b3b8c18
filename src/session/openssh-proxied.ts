import type { Channel, Transport } from './channel.ts'
import { ChannelSlots } from './channel-slots.ts'
import type { MuxProxy } from './mux-proxy.ts'
import { connectTimeout } from './openssh-command.ts'
import { retryRefused } from './retry-refused.ts'
import { SessionError, type Target } from './session.ts'
import { ChannelRefused } from './session-channel.ts'

/** Starts a command over a control socket. Throws SessionError `timeout` when the host does not answer. */
export function openProxied(
  proxy: MuxProxy,
  target: Target,
  command: string,
  signal: AbortSignal | undefined,
): Promise<Channel> {
  const { name: host } = target
  const ms = connectTimeout(target)
  return retryRefused(host, ms, signal, async () => {
    const late = AbortSignal.timeout(ms)
    try {
      return await proxy.open(command, signal ? AbortSignal.any([signal, late]) : late)
    } catch (error) {
      if (signal?.aborted || error instanceof ChannelRefused) throw error
      if (late.aborted) throw new SessionError('timeout', host, `the host opened no channel within ${ms / 1000} s`)
      throw new SessionError('lost', host, 'the connection was lost', { cause: error })
    }
  })
}

/** `open` of a transport, with its channels shared out. */
export function sharedOut(open: (command: string, signal?: AbortSignal) => Promise<Channel>): Transport['open'] {
  const slots = new ChannelSlots()
  return async (command, kind, signal) => {
    const release = await slots.take(kind, signal)
    try {
      const channel = await open(command, signal)
      channel.exit.then(release)
      return channel
    } catch (error) {
      release()
      throw error
    }
  }
}
