/** A lab for a cluster, its inventory, and runbook on it as a user would run it. */
import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { LabHost } from '../lab/index.ts'
import { apiAddress, kubectl } from '../lab/kubernetes/cluster.ts'
import { bootKubernetesLab, type KubernetesLab, type KubernetesLabOptions } from '../lab/kubernetes/index.ts'
import { writeInventory } from '../lab/kubernetes/inventory.ts'
import { type Event, ROOT } from './runbook.ts'

export const SITE = path.join(ROOT, 'playbooks/site.yml')
export const HOSTS = path.join(ROOT, 'playbooks/hosts.yml')
export const CLUSTER = path.join(ROOT, 'playbooks/cluster.yml')
export const RESET = path.join(ROOT, 'playbooks/reset.yml')
export const UPGRADE = path.join(ROOT, 'playbooks/upgrade.yml')

/** How a run ended. */
export interface Ran {
  readonly rc: number
  /** All it said, as events. */
  readonly output: string
  readonly changed: readonly Event[]
  readonly failed: readonly Event[]
  /** Scripts that were run on a host, at the most. */
  readonly scripts: number
  /** Of the whole process. */
  readonly seconds: number
}

export interface Site extends AsyncDisposable {
  readonly lab: KubernetesLab
  readonly inventory: string
  /** Runs runbook to its end. */
  runbook(...argv: string[]): Promise<Ran>
  start(...argv: string[]): { readonly child: ChildProcess; readonly ended: Promise<Ran> }
  /** A script as root on a host, not over SSH. */
  exec(host: string, script: string): Promise<{ rc: number; stdout: string; stderr: string }>
}

/** `vars` are further variables of all hosts. */
export async function bootSite(options: KubernetesLabOptions, vars: Record<string, unknown> = {}): Promise<Site> {
  const lab = await bootKubernetesLab(options)
  try {
    return siteOf(lab, await writeInventory(lab, vars))
  } catch (error) {
    await lab[Symbol.asyncDispose]()
    throw error
  }
}

export function siteOf(lab: KubernetesLab, inventory: string): Site {
  const start: Site['start'] = (...argv) => {
    const started = performance.now()
    const words = [path.join(ROOT, 'bin/runbook.js'), ...argv, '-i', inventory, '--output', 'json']
    const child = spawn(process.execPath, words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    const ended = new Promise<Ran>((resolve) =>
      child.on('close', (code) => resolve(ran(code ?? 255, output, (performance.now() - started) / 1000))),
    )
    return { child, ended }
  }
  return {
    lab,
    inventory,
    start,
    runbook: (...argv) => start(...argv).ended,
    exec: (host, script) => lab.lab.exec(host, ['sh', '-c', script]),
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  }
}

function ran(rc: number, output: string, seconds: number): Ran {
  const events = output.split('\n').flatMap((line) => (line.startsWith('{"') ? [JSON.parse(line) as Event] : []))
  const recap = events.find((event) => event.type === 'recap')?.hosts ?? {}
  return {
    rc,
    output,
    changed: events.filter((event) => event.status === 'changed'),
    failed: events.filter((event) => event.status === 'failed'),
    scripts: Math.max(0, ...Object.values(recap).map((host) => host.round_trips)),
    seconds,
  }
}

/** Says what went wrong, when it did. */
export function succeeded(t: Test, { rc, output, failed }: Ran, words = 'it succeeds'): void {
  if (rc !== 0)
    t.comment(failed.length > 0 ? failed.map((f) => `${f.host} ${f.task}: ${f.msg}`).join('\n') : output.slice(-3000))
  t.equal(rc, 0, words)
}

/** Applies a playbook; then all nodes of the lab must be Ready. */
export async function converges(t: Test, site: Site, playbook = CLUSTER): Promise<Ran> {
  const result = await site.runbook('apply', playbook)
  succeeded(t, result)
  await allReady(t, site)
  return result
}

export async function allReady(t: Test, { lab }: Site): Promise<void> {
  const nodes = await kubectl(lab, ['get', 'nodes', '--no-headers'])
  t.equal(nodes.match(/ Ready /g)?.length, lab.lab.hosts.length, `all nodes are Ready\n${nodes}`)
}

/** Applies it again: nothing is changed, with few scripts. */
export async function nothingToDo(t: Test, { runbook }: Site, playbook = CLUSTER): Promise<Ran> {
  const again = await runbook('apply', playbook)
  succeeded(t, again)
  t.same(
    again.changed.map(({ host, task }) => `${host} ${task}`),
    [],
    'nothing is changed again',
  )
  t.ok(again.scripts > 0 && again.scripts <= 10, `${again.scripts} scripts a host`)
  t.comment(`nothing to do: ${again.seconds.toFixed(1)} s, ${again.scripts} scripts a host at most`)
  return again
}

/** The control plane that holds the virtual IP, by its addresses and by kube-vip's lease. */
async function leaderOf({ lab, exec }: Site): Promise<LabHost> {
  const on = lab.controlPlanes.filter(({ name }) => lab.lab.isOn(name))
  const lease = `KUBECONFIG=/etc/kubernetes/admin.conf kubectl --request-timeout=5s get lease plndr-cp-lock -n kube-system -o 'jsonpath={.spec.holderIdentity}'`
  for (const end = Date.now() + 300_000; ; await sleep(1000)) {
    const held = await Promise.all(on.map(({ name }) => exec(name, 'ip -4 address show dev host0')))
    const names = on.filter((_, i) => held[i]!.stdout.includes(` ${apiAddress(lab)}/`)).map(({ name }) => name)
    const holder = (await exec(on[0]!.name, lease)).stdout.trim()
    if (names.length === 1 && names[0] === holder) return on.find(({ name }) => name === holder)!
    if (Date.now() > end)
      throw new Error(`the virtual IP is on ${names.join(', ') || 'no host'}, its lease with ${holder}`)
  }
}

/**
 * The control plane that holds the virtual IP loses its power: the API answers there nevertheless. With power again it is a
 * node like before. `vars` are those that the cluster was applied with last, as `-e` takes them.
 */
export async function losesALeader(t: Test, site: Site, ...vars: string[]): Promise<void> {
  const { lab, runbook } = site
  for (const { name } of lab.controlPlanes) {
    const { stdout } = await site.exec(name, 'cat /etc/kubernetes/manifests/kube-vip.yaml')
    t.match(stdout, /path: \/etc\/kubernetes\/admin\.conf/, `kube-vip of ${name} has the usual rights only`)
  }
  const leader = await leaderOf(site)
  await lab.lab.kill(leader.name)
  const without = await runbook('apply', CLUSTER, '--limit', 'workers')
  succeeded(t, without, `it succeeds without ${leader.name}`)
  t.comment(`the API answered after ${without.seconds.toFixed(1)} s at most`)
  t.not((await leaderOf(site)).name, leader.name, 'another one has the virtual IP, and the lease')
  await lab.lab.powerOn(leader.name)
  succeeded(t, await runbook('apply', CLUSTER, ...vars.flatMap((one) => ['-e', one])), 'and with it again')
  await allReady(t, site)
}
