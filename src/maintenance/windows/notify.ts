/** Tells people: a webhook (Slack-compatible unless its body says otherwise) or a command of the site's. */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeScope, type Value } from '../../values/index.ts'
import type { EventKind, ScheduleEvent } from './events.ts'

export interface Channel {
  readonly name: string
  /** Where a relative command stands, and where it runs. */
  readonly folder: string
  readonly webhook: Value | undefined
  readonly headers: Value | undefined
  readonly body: Value | undefined
  readonly command: readonly string[] | undefined
  readonly on: readonly EventKind[]
  /** Milliseconds for one try. */
  readonly timeout: number
}

/** Milliseconds before another try. */
const RETRIES = [2000, 15_000]
/** Messages that wait for a channel that hangs; more are dropped, with a word in the log. */
const MOST_WAITING = 100
/** Milliseconds to read what stands in the pipes after a command has ended. */
const PIPES_MS = 250

/** What templates see of an event. */
export function variablesOf(event: ScheduleEvent): Record<string, string> {
  const { at, kind, window = '', occurrence = '', host = '', text } = event
  // https://docs.slack.dev/messaging/formatting-message-text: these three have a meaning there.
  const slack = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return { kind, window, occurrence, host, text, slack, at: new Date(at).toISOString() }
}

/** The request of a webhook. Throws UserError when a template has an unknown name in it. */
export function requestOf(channel: Channel, event: ScheduleEvent) {
  const scope = makeScope([{ name: 'event', vars: variablesOf(event) }])
  const url = String(channel.webhook!.evaluate(scope))
  if (!/^https?:\/\//.test(url)) throw new Error('the webhook must begin with https:// or http://')
  const headers = (channel.headers?.evaluate(scope) ?? {}) as Record<string, string>
  const body = JSON.stringify(channel.body?.evaluate(scope) ?? { text: variablesOf(event).slack })
  return { url, headers: { 'content-type': 'application/json', ...headers }, body }
}

export interface NotifierOptions {
  readonly onOutcome: (channel: string, outcome: 'sent' | 'failed' | 'dropped', why?: string) => void
  /** Milliseconds before another try. */
  readonly retries?: readonly number[]
}

/** Sends in order, a channel apart from the others; no window ever waits for it. */
export class Notifier {
  readonly #options: NotifierOptions
  readonly #queues = new Map<string, { waiting: number; last: Promise<void> }>()

  constructor(options: NotifierOptions) {
    this.#options = options
  }

  send(channel: Channel, event: ScheduleEvent): void {
    if (!channel.on.includes(event.kind)) return
    let queue = this.#queues.get(channel.name)
    if (!queue) {
      queue = { waiting: 0, last: Promise.resolve() }
      this.#queues.set(channel.name, queue)
    }
    if (queue.waiting >= MOST_WAITING) {
      this.#options.onOutcome(channel.name, 'dropped', 'too many wait already')
      return
    }
    queue.waiting++
    const mine = queue
    queue.last = queue.last.then(async () => {
      await this.#deliver(channel, event)
      mine.waiting--
    })
  }

  /** Waits for what is under way, at most so many milliseconds. */
  async drain(ms: number): Promise<void> {
    const all = Promise.all([...this.#queues.values()].map(({ last }) => last))
    let timer: NodeJS.Timeout | undefined
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, ms)
    })
    await Promise.race([all, late])
    clearTimeout(timer)
  }

  async #deliver(channel: Channel, event: ScheduleEvent): Promise<void> {
    for (const [i, pause] of [...(this.#options.retries ?? RETRIES), undefined].entries()) {
      try {
        await (channel.command ? runCommand(channel, event) : post(channel, event))
        this.#options.onOutcome(channel.name, 'sent')
        return
      } catch (error) {
        const why = `${(error as Error).message} (try ${i + 1})`
        if (pause === undefined) {
          this.#options.onOutcome(channel.name, 'failed', why)
          return
        }
        await new Promise((resolve) => setTimeout(resolve, pause).unref())
      }
    }
  }
}

/** Its messages never name the address: that of a Slack webhook is a secret. */
async function post(channel: Channel, event: ScheduleEvent): Promise<void> {
  const { url, headers, body } = requestOf(channel, event)
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(channel.timeout),
    })
  } catch (error) {
    const { name, cause } = error as Error & { cause?: { code?: string } }
    throw new Error(
      name === 'TimeoutError'
        ? `no answer within ${channel.timeout / 1000} s`
        : (cause?.code ?? 'it cannot be reached'),
    )
  }
  await response.body?.cancel()
  if (!response.ok) throw new Error(`it answered ${response.status}`)
}

function runCommand({ command, folder, timeout }: Channel, event: ScheduleEvent): Promise<void> {
  return new Promise((resolve, reject) => {
    const [program = '', ...args] = command!
    const env = Object.entries(variablesOf(event)).map(([key, value]) => [`RUNBOOK_${key.toUpperCase()}`, value])
    const child = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, ...Object.fromEntries(env) },
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    })
    let err = ''
    let late = false
    const timer = setTimeout(() => {
      late = true
      try {
        // Its children too: a script that hangs mostly hangs in one of them.
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has just ended by itself.
      }
    }, timeout)
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      err = (err + chunk).slice(-500)
    })
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(new Error(`it cannot be started: ${error.message}`))
    })
    child.once('exit', async (code, signal) => {
      clearTimeout(timer)
      // What it leaves running may hold its output open for ever; what it has said itself is there by now.
      await Promise.race([new Promise((closed) => child.once('close', closed)), sleep(PIPES_MS)])
      child.stderr.destroy()
      if (code === 0) resolve()
      else if (late && signal === 'SIGKILL') reject(new Error(`it took longer than ${timeout / 1000} s`))
      else reject(new Error(`it ended with ${code ?? signal}${err ? `: ${err.trim()}` : ''}`))
    })
    child.stdin.on('error', () => {})
    child.stdin.end(`${JSON.stringify(event)}\n`)
  })
}
