/** A site with maintenance windows and a daemon, for tests that start the program as a user does. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAlive } from '../../src/journal/process.ts'
import { openScheduleDatabase } from '../../src/maintenance/windows/database.ts'
import { State } from '../../src/maintenance/windows/state.ts'
import { BIN } from './runbook.ts'

/** Hosts that are this machine itself; tasks do not touch it. */
const INVENTORY = `all:
  vars: { ansible_connection: local }
  children:
    workers: { hosts: { w1: , w2: , w3: } }
    control_plane: { hosts: { cp1: } }
`

/** Each node stays until the test makes the file go-HOST, or is over; then something is changed. */
export const PLAYBOOK = `- name: Cycle
  hosts: all
  gather_facts: false
  tasks:
    - name: Begin
      debug: { msg: 'hello <b>{{ inventory_hostname }}</b>' }
    - name: Wait for hands
      command: sh -c 'echo {{ inventory_hostname }} >>begun; until [ -e go-{{ inventory_hostname }} ] || [ ! -e cycle.yml ]; do sleep 0.1; done'
      args: { chdir: '{{ site }}' }
      changed_when: false
    - name: Work
      command: sh -c 'echo {{ inventory_hostname }} >>worked'
      args: { chdir: '{{ site }}' }
`

export function window(name: string, more = ''): string {
  return `  - name: ${name}
    start: "0 3 29 2 *"
    timezone: Europe/Berlin
    duration: 3h
    hosts: workers
    playbook: cycle.yml
    last_start_margin: 1m
${more}`
}

export interface Site {
  readonly folder: string
  write(name: string, text: string): void
}

export function site(t: { teardown(fn: () => void): void }, maintenance: string): Site {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-windows-'))
  t.teardown(() => {
    endAll(folder)
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
  })
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  write('inventory.yml', INVENTORY.replace('ansible_connection: local', `ansible_connection: local, site: ${folder}`))
  write('cycle.yml', PLAYBOOK)
  write('maintenance.yml', maintenance)
  return { folder, write }
}

/** Ends what still works on nodes: it lives longer than its daemon. */
export function endAll(folder: string): void {
  using state = new State(openScheduleDatabase(folder))
  for (const { process: name } of state.history(10).flatMap(({ id }) => state.nodes(id)))
    if (name !== null && isAlive(name)) process.kill(-(JSON.parse(name) as [string, number])[1], 'SIGKILL')
}

export interface Daemon {
  readonly child: ChildProcess
  readonly address: string
  out(): string
  /** Waits for a text in what it says, 90 seconds at most; throws with all of it when the daemon ends before. */
  says(text: string | RegExp, seconds?: number): Promise<void>
  readonly ended: Promise<number | null>
}

/** Starts the daemon and waits for its status page. */
export async function daemon(
  t: { teardown(fn: () => Promise<void>): void },
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Daemon> {
  // A /run/lock of its own: the run lock of this machine may be held by another test.
  const own = ['-m', 'sh', '-c', 'mount -t tmpfs runbook /run/lock && exec "$@"', 'sh']
  const argv = [...own, process.execPath, BIN, 'schedule', 'run', '--listen', '127.0.0.1:0']
  const child = spawn('unshare', argv, {
    cwd: folder,
    env: { ...process.env, RUNBOOK_INVENTORY: '', XDG_CACHE_HOME: join(import.meta.dirname, '../../.cache'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk
    })
  let over = false
  const ended = new Promise<number | null>((resolve) =>
    child.once('close', (code) => {
      over = true
      resolve(code)
    }),
  )
  t.teardown(async () => {
    if (!over) child.kill('SIGKILL')
    await ended
  })
  const says = async (text: string | RegExp, seconds = 90): Promise<void> => {
    const matches = (): boolean => (typeof text === 'string' ? out.includes(text) : text.test(out))
    for (const end = Date.now() + seconds * 1000; !matches(); ) {
      if (over || Date.now() > end) throw new Error(`the daemon never said ${text}:\n${out}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  await says(/daemon: started/)
  return { child, address: /status page: (\S+)/.exec(out)![1]!, out: () => out, says, ended }
}
