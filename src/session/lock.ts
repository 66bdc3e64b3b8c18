import type { Booted } from './boot.ts'
import { lockLine } from './lock-line.ts'
import { SessionError } from './session.ts'
import type { OpenChannel } from './shell.ts'

/** How long the host may take to say whether the lock is ours. */
const LOCK_MS = 30_000

/** The lock is held until the channel dies, and longer when shells that it watches are not at their end by then. */
export interface Lock {
  /** Another user of the host who holds a lock too; only root's lock is taken beside others'. */
  readonly beside: string | undefined
  /** The user's detached commands that still run: process and job, as words for people, and the run that began each. */
  readonly jobs: readonly { readonly run: string; readonly words: string }[]
  /** Gives it up at once, whatever runs. */
  close(): void
  /** The lock outlives the connection as long as this shell still runs a script. */
  watch(shell: Booted): void
  /** All scripts have ended: the lock goes at once. */
  release(): void
}

/**
 * Takes the host's run lock and holds it until the channel dies: `flock` on a descriptor of a shell that waits for the
 * end of its standard input. A script goes on when its connection is lost, and another run must not begin beside it: so
 * the shell is told of the shells that run scripts, and waits for those too. (Where /proc hides other users' processes,
 * it sees only its own user's.)
 */
export async function takeLock(
  host: string,
  open: (line: string) => Promise<OpenChannel>,
  holder: string,
): Promise<Lock> {
  const { channel, ready } = await open(lockLine(holder))
  await ready
  let timer: NodeJS.Timeout | undefined
  const said = await new Promise<string | undefined>((resolve) => {
    let text = ''
    channel.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      if (text.includes('\n')) resolve(text)
    })
    channel.stderr.on('data', (chunk: Buffer) => {
      text += chunk
    })
    channel.stdout.resume()
    channel.stderr.resume()
    channel.exit.then(() => setImmediate(() => resolve(text)))
    timer = setTimeout(resolve, LOCK_MS, undefined)
  })
  clearTimeout(timer)
  const line = said?.trim()
  const [first, ...jobs] = line?.split('\t') ?? []
  const taken = /^locked(?: beside (.*))?$/.exec(first ?? '')
  if (taken) {
    return {
      beside: taken[1]?.replace(/[^\x20-\x7e]/g, '?'),
      jobs: jobs.flatMap((job) => {
        const [, pid, id, run, name = ''] = /^(\d+) ([0-9a-f]+) (\S+) (.*)$/.exec(job) ?? []
        const words = `"${name.replace(/\p{Cc}/gu, '?')}", job ${id} of run ${run}, process ${pid}`
        return run === undefined ? [] : [{ run, words }]
      }),
      close: () => channel.close(),
      watch: ({ pid, started }) => {
        if (started) channel.stdin.write(`${pid} ${started}\n`)
      },
      release: () => channel.stdin.write('end\n'),
    }
  }
  channel.close()
  if (line === undefined) {
    throw new SessionError('timeout', host, `the host did not say within ${LOCK_MS / 1000} s whether its lock is free`)
  }
  const held = /^held (.*)/.exec(line)
  if (held) {
    const who = held[1]!.replace(/[^\x20-\x7e]/g, '?').slice(0, 400) || 'somebody'
    throw new SessionError('locked', host, `another run holds this host: ${who}`, {
      hint:
        'wait until it has ended (--wait-lock 10m does); the lock goes with its connection, or with the last step that the ' +
        'connection left behind',
    })
  }
  throw new SessionError('locked', host, `cannot take the run lock: ${line || 'the channel ended'}`)
}
