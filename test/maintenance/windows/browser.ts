/** Chromium without a window, over its debugging pipe (chromedevtools.github.io/devtools-protocol). */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

export const hasChromium = (): boolean => spawnSync('chromium', ['--version']).status === 0

export interface Page {
  open(url: string): Promise<void>
  /** The value of an expression in the page; promises are awaited. */
  evaluate<T>(expression: string): Promise<T>
  /** Until the expression is true; throws after a minute. */
  until(expression: string): Promise<void>
  screen(width: number, scheme: 'light' | 'dark'): Promise<void>
  withoutScript(): Promise<void>
  /** The whole page as PNG, into the folder of the environment variable SCREENSHOTS, when there is one. */
  picture(name: string): Promise<void>
  /** Of errors and of what the Content-Security-Policy refused. */
  readonly complaints: readonly string[]
  /** What was asked for. */
  readonly requests: readonly string[]
}

type Message = {
  id?: number
  method?: string
  params?: Record<string, never>
  result?: unknown
  error?: { message: string }
}

export async function browser(): Promise<Page & AsyncDisposable> {
  const profile = mkdtempSync(join(tmpdir(), 'runbook-windows-chromium-'))
  const child: ChildProcess = spawn(
    'chromium',
    [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
      ...['--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true },
  )
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const [input, output] = [child.stdio[3] as Writable, child.stdio[4] as Readable]
  const waiting = new Map<number, (message: Message) => void>()
  const complaints: string[] = []
  const requests: string[] = []
  let rest = ''
  output.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\0')
    rest = parts.pop()!
    for (const part of parts) {
      const message = JSON.parse(part) as Message
      if (message.id !== undefined) waiting.get(message.id)?.(message)
      const text = JSON.stringify(message.params)
      if (message.method === 'Runtime.exceptionThrown') complaints.push(text)
      if (message.method === 'Log.entryAdded' && /Content Security|"level":"error"/.test(text)) complaints.push(text)
      if (message.method === 'Network.requestWillBeSent')
        requests.push((message.params as unknown as { request: { url: string } }).request.url)
    }
  })
  let next = 1
  const send = <T>(method: string, params: object = {}, sessionId?: string): Promise<T> => {
    const id = next++
    input.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`)
    return new Promise((resolve, reject) => {
      waiting.set(id, ({ result, error }) =>
        error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result as T),
      )
    })
  }
  const { targetId } = await send<{ targetId: string }>('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true })
  const tab = <T>(method: string, params?: object): Promise<T> => send<T>(method, params, sessionId)
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await tab(`${domain}.enable`)
  const evaluate = async <T>(expression: string): Promise<T> => {
    const answer = await tab<{ result: { value: T }; exceptionDetails?: { text: string } }>('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.text)
    return answer.result.value
  }
  const until = async (expression: string): Promise<void> => {
    for (const end = Date.now() + 60_000; !(await evaluate<boolean>(`Boolean(${expression})`)); ) {
      if (Date.now() > end)
        throw new Error(`never: ${expression}\n${await evaluate<string>('document.body.innerText')}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  return {
    complaints,
    requests,
    evaluate,
    until,
    async open(url) {
      await tab('Page.navigate', { url })
      await until('document.readyState === "complete" && location.href !== "about:blank"')
    },
    async screen(width, scheme) {
      await tab('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 })
      await tab('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
    },
    async picture(name) {
      const folder = process.env.SCREENSHOTS
      if (folder === undefined) return
      const { data } = await tab<{ data: string }>('Page.captureScreenshot', { captureBeyondViewport: true })
      writeFileSync(join(folder, `${name}.png`), Buffer.from(data, 'base64'))
    },
    async withoutScript() {
      await tab('Emulation.setScriptExecutionDisabled', { value: true })
    },
    async [Symbol.asyncDispose]() {
      process.kill(-child.pid!, 'SIGKILL')
      await closed
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}
