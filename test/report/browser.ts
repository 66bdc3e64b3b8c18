/** A headless Chromium, driven over its DevTools protocol. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why a test with a browser cannot run here; false when it can. With RUNBOOK_REQUIRE_LAB=1 it runs, and fails. */
export function skipWithoutBrowser(): string | false {
  if (process.env.RUNBOOK_REQUIRE_LAB) return false
  return spawnSync('chromium', ['--version']).status === 0 ? false : 'needs chromium'
}

export interface Page extends AsyncDisposable {
  /** Loads a page and waits until its script has drawn; milliseconds. */
  open(path: string): Promise<number>
  /** The value of an expression in the page; promises are waited for. */
  evaluate<T>(expression: string): Promise<T>
  size(width: number, height: number, options?: { phone?: boolean; dark?: boolean }): Promise<void>
  click(x: number, y: number): Promise<void>
  key(name: string): Promise<void>
  screenshot(): Promise<Buffer>
  /** Errors that the page logged or threw; what its policy forbade is one. */
  readonly complaints: readonly string[]
}

export async function openBrowser(): Promise<Page> {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-chromium-'))
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-dev-shm-usage']
  const child = spawn('chromium', [...args, `--user-data-dir=${folder}`, '--remote-debugging-port=0', 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  const address = await new Promise<string>((resolve, reject) => {
    let text = ''
    child.on('error', reject)
    child.on('close', () => reject(new Error(`chromium ended: ${text}`)))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const found = /DevTools listening on ws:\/\/([^/]+)/.exec(text)?.[1]
      if (found) resolve(found)
    })
  })
  const pages = (await (await fetch(`http://${address}/json/list`)).json()) as {
    type: string
    webSocketDebuggerUrl: string
  }[]
  const socket = new WebSocket(pages.find(({ type }) => type === 'page')!.webSocketDebuggerUrl)
  await new Promise((resolve) => socket.addEventListener('open', resolve))
  const waiting = new Map<number, (result: unknown) => void>()
  const complaints: string[] = []
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data))
    waiting.get(message.id)?.(message.error ? { error: message.error } : message.result)
    waiting.delete(message.id)
    if (message.method === 'Log.entryAdded' && message.params.entry.level === 'error')
      complaints.push(message.params.entry.text)
    if (message.method === 'Runtime.exceptionThrown') complaints.push(JSON.stringify(message.params.exceptionDetails))
  })
  let id = 0
  const send = <T>(method: string, params: object = {}): Promise<T> =>
    new Promise((resolve) => {
      waiting.set(++id, resolve as (result: unknown) => void)
      socket.send(JSON.stringify({ id, method, params }))
    })
  await send('Page.enable')
  await send('Runtime.enable')
  await send('Log.enable')

  const evaluate = async <T>(expression: string): Promise<T> => {
    const reply = await send<{ result: { value: T }; exceptionDetails?: unknown }>('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (reply.exceptionDetails) throw new Error(JSON.stringify(reply.exceptionDetails))
    return reply.result.value
  }
  /** Two frames later everything that was asked for has been drawn. */
  const drawn = () =>
    evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))')
  return {
    complaints,
    evaluate,
    async open(path) {
      const started = performance.now()
      await send('Page.navigate', { url: `file://${path}` })
      while (!(await evaluate<boolean>("document.documentElement?.dataset.ready === 'yes'"))) {
        if (performance.now() - started > 60_000) throw new Error('the page did not get ready in a minute')
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      await drawn()
      return performance.now() - started
    },
    async size(width, height, { phone = false, dark = false } = {}) {
      await send('Emulation.setDeviceMetricsOverride', {
        width,
        height,
        deviceScaleFactor: phone ? 2 : 1,
        mobile: phone,
      })
      const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]
      await send('Emulation.setEmulatedMedia', { features })
      await drawn()
    },
    async click(x, y) {
      for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased'])
        await send('Input.dispatchMouseEvent', {
          type,
          x,
          y,
          button: type === 'mouseMoved' ? 'none' : 'left',
          clickCount: 1,
        })
      await drawn()
    },
    async key(name) {
      for (const type of ['keyDown', 'keyUp']) await send('Input.dispatchKeyEvent', { type, key: name, code: name })
      await drawn()
    },
    async screenshot() {
      const { data } = await send<{ data: string }>('Page.captureScreenshot', { format: 'png' })
      return Buffer.from(data, 'base64')
    },
    async [Symbol.asyncDispose]() {
      socket.close()
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}
