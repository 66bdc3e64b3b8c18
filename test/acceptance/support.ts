/** Runs the program as a user does, as a process of its own, and reads what it says. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import type { HostRecap, Status } from '../../src/shared/events.ts'
import type { Lab } from '../lab/index.ts'

export const ROOT = join(import.meta.dirname, '../..')
const BIN = join(ROOT, 'bin/runbook.js')

/** A `task_result` of --output json. */
export interface TaskResult {
  readonly host: string
  readonly task: string
  readonly module: string
  readonly status: Status
  readonly handler: boolean
  readonly changes: readonly { readonly summary: string; readonly diff?: unknown }[]
  readonly msg: string
  readonly not_run?: readonly string[]
}

export interface Ended {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly results: readonly TaskResult[]
  readonly hosts: Readonly<Record<string, HostRecap>>
  readonly recap: Readonly<Record<string, unknown>> | undefined
  readonly ms: number
}

export interface RunOptions {
  readonly cwd?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Called with every piece of output, and once at the start. */
  readonly during?: ((child: ChildProcess, stdout: string, stderr: string) => void) | undefined
}

/** Runs `runbook ARGS`; with `--output json` among them, `results`, `hosts` and `recap` are what it said. */
export function runbook(args: readonly string[], { cwd, env, during }: RunOptions = {}): Promise<Ended> {
  const started = performance.now()
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: cwd ?? ROOT,
    env: { ...process.env, RUNBOOK_INVENTORY: '', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  during?.(child, stdout, stderr)
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
    during?.(child, stdout, stderr)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
    during?.(child, stdout, stderr)
  })
  return new Promise((resolve) =>
    child.on('close', (code) => {
      const ms = performance.now() - started
      const objects = args.includes('json') && args.includes('--output') ? readLines(stdout, code === null) : []
      const recap = objects.find(({ type }) => type === 'recap')
      resolve({
        code,
        stdout,
        stderr,
        ms,
        results: objects.filter(({ type }) => type === 'task_result') as unknown as TaskResult[],
        hosts: (recap?.hosts ?? {}) as Record<string, HostRecap>,
        recap,
      })
    }),
  )
}

/** Every line is an object; the last one of a process that was killed may be cut off. */
function readLines(text: string, killed: boolean): Record<string, unknown>[] {
  const lines = text.split('\n')
  const rest = lines.pop()!
  if (rest !== '' && !killed) throw new Error(`stdout ends without a newline: ${rest}`)
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** `apply … --output json`. */
export function apply(playbook: string, inventory: string, args: readonly string[] = [], options?: RunOptions) {
  return runbook(['apply', playbook, '-i', inventory, '--output', 'json', ...args], options)
}

/** A folder with files, gone after the test. */
export function folderOf(t: Test, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-acceptance-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

/** Runs sh on a host, not over SSH, and gives what it prints. Throws when it fails. */
export async function sh(lab: Lab, host: string, script: string): Promise<string> {
  const { rc, stdout, stderr } = await lab.exec(host, ['sh', '-c', script])
  if (rc !== 0) throw new Error(`${host}: ${script}: exit status ${rc}\n${stdout}${stderr}`)
  return stdout
}

/** Everything that a playbook could change on a host: files with owner, mode, time, size and target; units; kernel. */
export function stateOf(lab: Lab, host: string): Promise<string> {
  return sh(
    lab,
    host,
    `find /etc /root /home /opt /srv /usr/local /tmp /var/tmp -xdev -name 'systemd-private*' -prune -o \
       ! -path /tmp ! -path /var/tmp -printf '%p %y %m %U %G %s %T@ %l\\n' | sort
     systemctl list-unit-files --no-legend
     systemctl show -p Id,InvocationID systemd-journald.service cron.service ssh.service
     cat /proc/swaps; sysctl -a 2>/dev/null | grep '^net\\.ipv4\\.\\(ip_forward\\|ip_local_port\\|conf.all.rp_filter\\)'`,
  )
}

/** What each task came to on a host: `Task: changed (summary, summary)`. */
export function story(results: readonly TaskResult[], host: string): string[] {
  return results
    .filter((r) => r.host === host)
    .map((r) => {
      const did = r.changes.map(({ summary }) => summary).join(', ')
      return `${r.handler ? 'handler ' : ''}${r.task}: ${r.status}${did && ` (${did})`}`
    })
}
