import { spawn } from 'node:child_process'
import { userInfo } from 'node:os'
import type { Channel, Transport } from './channel.ts'

/** The controller itself as a host: each channel is a `/bin/sh` of its own. */
export function openLocal(host: string): Transport {
  const children = new Set<Channel>()
  const closed = Promise.withResolvers<undefined>()
  return {
    host,
    user: userInfo().username,
    open: async (command) => {
      const channel = spawnChannel('/bin/sh', ['-c', command])
      children.add(channel)
      channel.exit.then(() => children.delete(channel))
      return channel
    },
    closed: closed.promise,
    close: async () => {
      for (const child of children) child.close()
      closed.resolve(undefined)
    },
  }
}

const KILL_AFTER_MS = 1000

/** A local process as a channel, in a session of its own so that it can be killed with its children. */
export function spawnChannel(file: string, args: readonly string[], env?: NodeJS.ProcessEnv): Channel {
  const child = spawn(file, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'], ...(env && { env }) })
  const exit = Promise.withResolvers<number | null>()
  const ignore = () => {}
  child.stdin.on('error', ignore)
  child.stdout.on('error', ignore)
  child.stderr.on('error', ignore)
  const destroy = () => {
    child.stdin.destroy()
    child.stdout.destroy()
    child.stderr.destroy()
  }
  let isClosing = false
  const kill = (signal: NodeJS.Signals) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    try {
      process.kill(-child.pid, signal)
    } catch {
      // It ended just now.
    }
  }
  child.on('error', (error) => {
    child.stderr.unshift(Buffer.from(`${error.message}\n`))
    exit.resolve(127)
  })
  child.on('exit', (code) => {
    exit.resolve(code)
  })
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exit: exit.promise,
    close: () => {
      // A second signal would hit what tidies up after the first.
      if (isClosing) return
      isClosing = true
      // First the gentle way, so that an upload can remove its temporary file. By group only while its leader lives:
      // afterwards the number may belong to somebody else.
      kill('SIGTERM')
      setTimeout(kill, KILL_AFTER_MS, 'SIGKILL').unref()
      destroy()
      exit.resolve(null)
    },
  }
}
