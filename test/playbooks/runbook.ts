/** Runs runbook itself on a lab, as a user would. */
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import type { Lab } from '../lab/index.ts'

export const ROOT = resolve(import.meta.dirname, '../..')

export interface Event {
  readonly type: string
  readonly status?: string
  readonly host?: string
  readonly task?: string
  readonly msg?: string
  readonly stderr?: string
  /** Of the recap. */
  readonly hosts?: Readonly<Record<string, { readonly round_trips: number }>>
}

/** `runbook COMMAND` on a playbook; what failed and what changed. */
export async function runbook(lab: Lab, command: readonly string[], playbook: string) {
  const argv = [join(ROOT, 'bin/runbook.js'), ...command, playbook, '-i', lab.inventoryFile, '--output', 'json']
  const started = performance.now()
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  const texts = await Promise.all([child.stdout, child.stderr].map((s) => s.setEncoding('utf8').toArray()))
  const [out, err] = texts.map((chunks) => chunks.join(''))
  const events = out!.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Event] : []))
  const rc = child.exitCode ?? (await new Promise<number>((done) => child.on('close', (code) => done(code ?? 1))))
  const recap = events.find((e) => e.type === 'recap')?.hosts ?? {}
  const results = events.filter((e) => e.status !== undefined)
  return {
    rc,
    err: err!,
    /** Scripts that were run on a host, at the most. */
    scripts: Math.max(0, ...Object.values(recap).map((h) => h.round_trips)),
    seconds: (performance.now() - started) / 1000,
    changed: results.filter((e) => e.status === 'changed'),
    failed: results.filter((e) => e.status === 'failed'),
  }
}
