/** Reasons of the site's not to begin: pods, alerts, a command. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { Transport } from '../../kubernetes/index.ts'
import { KubernetesError } from '../../shared/kubernetes.ts'
import type { Blockers } from './settings.ts'

export interface BlockerContext {
  readonly node: string
  readonly run: string
  readonly reason?: string | undefined
  readonly transport?: Transport | undefined
  /** Of maintenance.yml. */
  readonly folder: string
  readonly signal: AbortSignal
}

/** Why not to begin, one line each; empty when nothing speaks against it. What cannot be asked speaks against it. */
export async function askBlockers({ pods, alerts, commands }: Blockers, context: BlockerContext): Promise<string[]> {
  const asked = [
    ...pods.map((one) => askPods(one, context)),
    ...alerts.map((one) => askAlerts(one, context)),
    ...commands.map((one) => askCommand(one, context)),
  ]
  const answers = await Promise.all(asked)
  context.signal.throwIfAborted()
  return answers.flat()
}

/** Names in one message. */
const SHOWN = 5

async function askPods(
  { selector, namespace, on }: Blockers['pods'][number],
  { node, transport, signal }: BlockerContext,
): Promise<string[]> {
  if (!transport) return []
  try {
    const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
    // Finished pods block nothing (kured: status.phase not Succeeded, Failed, Unknown).
    const phases = 'status.phase!=Succeeded,status.phase!=Failed'
    const { items } = await transport.send<{ items: { metadata: { namespace: string; name: string } }[] }>({
      path: `/api/v1${within}/pods`,
      query: {
        labelSelector: selector,
        fieldSelector: on === 'node' ? `spec.nodeName=${node},${phases}` : phases,
        limit: '100',
      },
      signal,
    })
    if (items.length === 0) return []
    const names = items.slice(0, SHOWN).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
    const more = items.length > SHOWN ? ` and ${items.length - SHOWN} more` : ''
    return [`blocked by pods with ${selector}: ${names.join(', ')}${more}`]
  } catch (error) {
    // An API that is away is everybody's trouble, not this blocker's.
    if (!(error instanceof KubernetesError) || error.status === undefined) throw error
    return [`the blocking pods ${selector} cannot be looked for: ${error.answer.message}`]
  }
}

/** prometheus/web/api/v1 AlertDiscovery */
const ALERTS = z.object({
  status: z.literal('success'),
  data: z.object({
    alerts: z.array(z.object({ labels: z.record(z.string(), z.string()), state: z.string() })),
  }),
})

const ALERTS_TIMEOUT_MS = 15_000

async function askAlerts(settings: Blockers['alerts'][number], context: BlockerContext): Promise<string[]> {
  const { prometheus, token_file: tokenFile, match, ignore, labels, pending } = settings
  const { node, folder, signal } = context
  try {
    const token = tokenFile === undefined ? undefined : (await readFile(resolve(folder, tokenFile), 'utf8')).trim()
    const response = await fetch(`${prometheus.replace(/\/+$/, '')}/api/v1/alerts`, {
      headers: { accept: 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      // A token must not go where a redirect points to.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ALERTS_TIMEOUT_MS)]),
    })
    if (!response.ok) return [`the alerts of ${prometheus} cannot be read: HTTP ${response.status}`]
    const { data } = ALERTS.safeParse(await response.json())
    if (!data) return [`the alerts of ${prometheus} cannot be read: that is no answer of Prometheus`]
    const names = data.data.alerts
      .filter(({ state }) => state === 'firing' || (pending && state === 'pending'))
      .filter((alert) =>
        Object.entries(labels).every(([key, value]) => alert.labels[key] === value.replaceAll('{node}', node)),
      )
      .map((alert) => alert.labels.alertname ?? '')
      .filter((name) => match.length === 0 || match.some((one) => new RegExp(`^(?:${one})$`).test(name)))
      .filter((name) => !ignore.some((one) => new RegExp(`^(?:${one})$`).test(name)))
    if (names.length === 0) return []
    return [
      `blocked by alerts: ${[...new Set(names)]
        .sort()
        .slice(0, 2 * SHOWN)
        .join(', ')}`,
    ]
  } catch (error) {
    signal.throwIfAborted()
    const { message, cause } = error as Error & { cause?: { code?: string; message?: string } }
    return [`the alerts of ${prometheus} cannot be read: ${cause?.code ?? cause?.message ?? message}`]
  }
}

/** Milliseconds to read what stands in the pipes after the program has ended. */
const PIPES_MS = 250

async function askCommand(
  { command, timeout }: Blockers['commands'][number],
  { node, run, reason, folder, signal }: BlockerContext,
): Promise<string[]> {
  const [program = '', ...args] = command
  // A bare name is looked up in PATH; anything with a slash stands beside maintenance.yml.
  const path = program.includes('/') ? resolve(folder, program) : program
  const env = { ...process.env, RUNBOOK_NODE: node, RUNBOOK_RUN: run, RUNBOOK_REASON: reason ?? '' }
  const late = AbortSignal.timeout(timeout)
  const said = await new Promise<string | undefined>((done) => {
    // A process group of its own, so that what a script runs is killed with it.
    const child = spawn(path, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let words = ''
    const hear = (text: string): void => {
      words = (words + text).slice(-4096)
    }
    child.stdout.setEncoding('utf8').on('data', hear)
    child.stderr.setEncoding('utf8').on('data', hear)
    const stop = AbortSignal.any([signal, late])
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    const end = (result: string | undefined): void => {
      stop.removeEventListener('abort', kill)
      child.stdout.destroy()
      child.stderr.destroy()
      done(result)
    }
    stop.addEventListener('abort', kill, { once: true })
    if (stop.aborted) kill()
    child.on('error', ({ message }) => end(message))
    child.on('exit', async (code, killed) => {
      // What it leaves running may hold its output open for ever; what it has said itself is there by now.
      await Promise.race([new Promise((closed) => child.once('close', closed)), sleep(PIPES_MS)])
      if (code === 0) end(undefined)
      else if (killed && late.aborted) end(`it did not end within ${timeout / 1000} s`)
      else end(words.trim().split('\n').at(-1)?.slice(0, 300) || (killed ?? `exit status ${code}`))
    })
  })
  signal.throwIfAborted()
  return said === undefined ? [] : [`blocked by ${program}: ${said}`]
}
