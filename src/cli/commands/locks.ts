/** `runbook node locks` and `runbook node break`. */
import { existsSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { loadKubeconfigFile, openCluster } from '../../kubernetes/index.ts'
import { readMaintenance } from '../../maintenance/config.ts'
import { GUARDS_FILE, openFileStore } from '../../maintenance/guards/file-store.ts'
import { openLeaseStore } from '../../maintenance/guards/lease-store.ts'
import { breakLocks, lockLine, lockViews } from '../../maintenance/guards/locks.ts'
import { type NodeView, readNodes } from '../../maintenance/guards/nodes.ts'
import type { GuardStore } from '../../maintenance/guards/store.ts'
import { printable } from '../../report/text.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { Redactor } from '../../shared/redact.ts'
import { EXIT } from '../exit.ts'
import { siteFolder } from '../inputs.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { terminalPrompt } from '../prompt.ts'

export interface LocksFlags {
  readonly kubeconfig?: string
  /** Default: see `siteFolder`. */
  readonly folder?: string
  readonly json: boolean
}

export interface BreakFlags extends LocksFlags {
  readonly reason: string
  readonly force: boolean
  readonly yes: boolean
}

/** A place where locks are. */
interface Place extends Disposable {
  readonly store: GuardStore
  readonly nodes: () => Promise<readonly NodeView[]>
}

/** `runbook node locks`. Gives the exit code. */
export async function locks(flags: LocksFlags): Promise<number> {
  const { places, leaseMs: _, say } = await open(flags)
  using _close = closing(places)
  const all = []
  for (const { store, nodes } of places) {
    const [snapshot, known] = [await store.read(), await nodes()]
    all.push(...lockViews(snapshot, known, Date.now()).map((view) => ({ ...view, place: store.place })))
  }
  if (flags.json) say(JSON.stringify(all, undefined, 2))
  else if (all.length === 0) say(`no locks (${places.map(({ store }) => store.place).join('; ')})`)
  else for (const view of all) say(lockLine(view))
  return EXIT.done
}

/** `runbook node break`: 0 broken, or there were none; 2 a holder lives; 3 nothing was touched. */
export async function breakNodes(names: readonly string[], flags: BreakFlags): Promise<number> {
  const { places, leaseMs, say } = await open(flags)
  using _close = closing(places)
  using interrupt = listenForInterrupt(() => process.stderr.write('stopping\n'))
  const found = await Promise.all(
    places.map(async ({ store }) => {
      const { ledger, pulses } = await store.read()
      return { store, views: lockViews({ version: undefined, ledger, pulses }, [], Date.now()) }
    }),
  )
  const known = found.flatMap(({ views }) => views.map(({ node }) => node))
  const wanted = names.includes('all') ? known : [...new Set(names)]
  const unknown = wanted.filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new UserError(
      unknown.map((name) => ({
        message: `nobody has a lock on ${name}`,
        hint: didYouMean(name, known) ?? 'see runbook node locks',
      })),
    )
  if (wanted.length === 0) {
    say('no locks')
    return EXIT.done
  }
  const views = found.flatMap((one) => one.views).filter(({ node }) => wanted.includes(node))
  await confirm(views.map(lockLine), flags)
  let code: number = EXIT.done
  for (const { store, views } of found) {
    const mine = wanted.filter((name) => views.some(({ node }) => node === name))
    const results = await breakLocks(store, mine, {
      by: userInfo().username,
      reason: flags.reason,
      force: flags.force,
      leaseMs,
      onWait: (node, ms) =>
        void process.stderr.write(
          printable(`${node}: watching for a sign of life of its holder, up to ${Math.ceil(ms / 1000)} s\n`),
        ),
      signal: interrupt.stop,
    })
    for (const result of results) {
      say(flags.json ? JSON.stringify(result) : `${result.node}: ${result.message}`)
      if (!result.broken) code = EXIT.failed
    }
  }
  return code
}

/** A script has decided with --yes; without a terminal nobody can be asked. */
async function confirm(lines: readonly string[], { yes, force }: BreakFlags): Promise<void> {
  if (yes) return
  const prompt = terminalPrompt((fn) => fn())
  if (!prompt)
    throw new UserError({ message: 'breaking locks has to be confirmed', hint: 'at a terminal, or with --yes' })
  for (const line of lines) process.stderr.write(`${printable(line)}\n`)
  const what = force ? 'Break these locks, ALSO of holders that live' : 'Break these locks'
  const answer = await prompt(`${what}? [y/N]`, { secret: false })
  if (!/^y(es)?$/i.test(answer.trim())) throw new UserError('nothing was done')
}

async function open(flags: LocksFlags): Promise<{ places: Place[]; leaseMs: number; say: (text: string) => void }> {
  const folder = flags.folder ?? siteFolder([])
  const { guards } = readMaintenance(folder).settings
  const redactor = new Redactor()
  const places: Place[] = []
  const kubeconfig = flags.kubeconfig ?? (process.env.KUBECONFIG || join(homedir(), '.kube', 'config'))
  if (flags.kubeconfig !== undefined || existsSync(kubeconfig)) {
    const loaded = await loadKubeconfigFile(kubeconfig)
    for (const secret of loaded.secrets) redactor.add(secret)
    const cluster = openCluster(loaded)
    places.push({
      store: openLeaseStore(cluster.transport, guards.lease.namespace),
      nodes: () => readNodes(cluster.transport),
      [Symbol.dispose]: () => cluster[Symbol.dispose](),
    })
  }
  if (existsSync(join(folder, '.runbook', GUARDS_FILE))) {
    const store = openFileStore(resolve(folder))
    places.push({ store, nodes: async () => [], [Symbol.dispose]: () => store[Symbol.dispose]() })
  }
  if (places.length === 0)
    throw new UserError({
      message: `there is neither a kubeconfig (${kubeconfig}) nor .runbook/${GUARDS_FILE} in ${resolve(folder)}`,
      hint: 'say which with --kubeconfig, or where the inventory stands with --folder',
    })
  const say = (text: string): void =>
    void process.stdout.write(`${redactor.redact(flags.json ? text : printable(text))}\n`)
  return { places, leaseMs: guards.lease.duration, say }
}

function closing(places: readonly Place[]): Disposable {
  return {
    [Symbol.dispose]: () => {
      for (const place of places) place[Symbol.dispose]()
    },
  }
}
