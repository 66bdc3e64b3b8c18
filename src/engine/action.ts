import { resolve } from 'node:path'
import { explain } from '../inventory/index.ts'
import type { ActionContext } from '../module/action.ts'
import { TaskFailure } from '../module/define.ts'
import type { Read } from '../module/read.ts'
import { EVERYTHING } from '../module/resources.ts'
import type { Power } from '../power/power.ts'
import { SessionError, type Shell } from '../session/session.ts'
import { becomeOf } from './become.ts'
import type { ActionEntry } from './entry.ts'
import { barred } from './fence.ts'
import { excused } from './foresight.ts'
import { failure, NOTHING, type Outcome } from './outcome.ts'
import type { Performer } from './perform.ts'
import { isTrouble } from './prepare.ts'
import { request } from './request.ts'
import { hostScope } from './vars.ts'

/** Runs an action, or in check mode its preview. */
export async function runAction(performer: Performer, entry: ActionEntry): Promise<Outcome> {
  const { action, args, check } = entry
  const started = performance.now()
  if (check && !action.preview) {
    return { ...NOTHING, status: 'skipped', msg: 'not run in check mode', unknown: true, unsure: true }
  }
  const bar = check ? undefined : await barred(performer)
  if (bar) return bar
  const { ctx, timer, intents } = contextOf(performer, entry)
  try {
    performer.started(entry)
    const result = await (check ? action.preview!(ctx, args) : action.run(ctx, args))
    const { run } = performer.host.play
    for (const name of intents) run.input.journal.intentDone(entry.actor.name, name)
    if (result.flow) await follow(performer, result.flow)
    if (check && result.changed) entry.actor.unapplied.add([EVERYTHING])
    return {
      ...NOTHING,
      status: result.changed ? 'changed' : 'ok',
      msg: result.msg ?? '',
      changes: result.changes ?? (result.changed && result.msg ? [{ summary: result.msg }] : []),
      data: result.data ?? {},
      flow: result.flow,
      unknown: check && result.changed,
      elapsedMs: performance.now() - started,
    }
  } catch (error) {
    const elapsedMs = performance.now() - started
    if (ctx.signal.aborted && !isTrouble(error))
      return { ...NOTHING, status: 'failed', msg: abortWords(performer, entry), elapsedMs }
    if (!isTrouble(error) && !(error instanceof SessionError)) throw error
    return { ...(excused(entry, error) ?? failure(error)), elapsedMs }
  } finally {
    clearTimeout(timer)
  }
}

function abortWords(performer: Performer, entry: ActionEntry): string {
  if (performer.host.play.run.input.abort.aborted) return 'interrupted'
  return `did not end within its timeout of ${(entry.timeout ?? 0) / 1000} s`
}

function contextOf(
  performer: Performer,
  entry: ActionEntry,
): { ctx: ActionContext; timer: NodeJS.Timeout | undefined; intents: ReadonlySet<string> } {
  const { host } = performer
  const { run } = host.play
  const { link } = entry.actor
  const timeout = new AbortController()
  const timer = entry.timeout === undefined ? undefined : setTimeout(() => timeout.abort(), entry.timeout)
  const signal = AbortSignal.any([run.input.abort, timeout.signal])
  const intents = new Set<string>()
  const shellOf = (name: string): Promise<Shell> => otherShell(performer, entry, name)
  const controllerPath = (path: string): string => resolve(run.input.baseDir, path)
  const ctx: ActionContext = {
    host: host.state.name,
    address: link.target.address,
    runId: run.id,
    shell: () => performer.shell(entry),
    run: async (script, options = {}) => (await performer.shell(entry)).run(script, { signal, ...options }),
    read: async (read) => answerTo(read, await performer.shell(entry), signal),
    on: (name) => ({
      run: async (script, options = {}) => (await shellOf(name)).run(script, { signal, ...options }),
      read: async (read) => answerTo(read, await shellOf(name), signal),
    }),
    kubernetes: (source, { fresh } = {}) =>
      run.clusters.get(source, { self: host.state.name, shell: shellOf, path: controllerPath }, fresh),
    power: () => powerOf(performer, entry),
    secret: (text) => run.input.redactor.add(text),
    disconnect: () => link.reset(),
    tryConnect: (timeoutMs) => link.tryConnect(timeoutMs),
    check: entry.check,
    facts: host.state.facts ?? {},
    loadFile: async (path, kind) => {
      const [file] = await run.files.load({ path, kind }, entry.task.searchPath, host.scopeOf(entry))
      return file!
    },
    controllerPath,
    log: (line) => performer.output(entry, 'log', `${line}\n`),
    sleep: async (ms) => {
      await performer.sleep(ms)
      if (run.stopping) throw new TaskFailure('interrupted')
      signal.throwIfAborted()
    },
    signal,
    ask: (question, options) => {
      if (!run.input.prompt) throw new TaskFailure(`nobody can be asked "${question}": there is no terminal`)
      return run.input.prompt(question, options)
    },
    // Of the host that does the work: with delegate_to it is that one which is rebooted.
    intent: async (name, data) => {
      intents.add(name)
      return run.input.journal.intent(run.id, entry.actor.name, name, data)
    },
    recall: (name) => run.input.journal.recall(entry.actor.name, name)?.data,
    remember: (name, data) => {
      if (data === undefined) run.input.journal.intentDone(entry.actor.name, name)
      else run.input.journal.intent(run.id, entry.actor.name, name, data)
    },
  }
  return { ctx, timer, intents }
}

/** The power of the host that does the work. Nothing is contacted yet. */
async function powerOf({ host }: Performer, { actor }: ActionEntry): Promise<Power | undefined> {
  const { openPower, POWER_VARIABLE, parsePower } = await import('../power/config.ts')
  const { input } = host.play.run
  const value = hostScope(host.play, actor).get(POWER_VARIABLE)
  if (value === undefined || value === null) return undefined
  const settings = parsePower(actor.name, value, explain(actor.host.layers, POWER_VARIABLE)[0]?.place)
  return openPower(settings, {
    host: actor.name,
    folder: input.stateDir ?? input.baseDir,
    note: (msg) => host.play.run.emit({ type: 'host_note', host: actor.name, level: 'info', msg }),
    addSecret: (secret) => input.redactor.add(secret),
  })
}

async function answerTo<T>(read: Read<T>, shell: Shell, signal: AbortSignal): Promise<T> {
  const reply = await request(shell, [], read.asks, { signal })
  return read.from(
    read.asks.map(({ id }) => {
      const answer = reply.answers.get(id)!
      if ('error' in answer) throw new TaskFailure(answer.error.message)
      return answer.value
    }),
  )
}

/** The shell on a host of the inventory for the task's user; how to become it there, that host's variables say. */
function otherShell(performer: Performer, entry: ActionEntry, name: string): Promise<Shell> {
  const { state, play } = performer.host
  if (name === state.name && entry.actor === state) return performer.shell(entry)
  const other = play.run.delegate(name, entry.task)
  const become = becomeOf(entry.task.become, performer.host.scopeOf(entry), hostScope(play, other))
  return other.link.shell(become && { ...become, password: become.password ?? play.run.input.becomePassword })
}

/** Ansible's `meta` words. */
async function follow(performer: Performer, flow: string): Promise<void> {
  const { host } = performer
  if (flow === 'end_host') host.left = true
  else if (flow === 'end_batch') host.play.ended ??= 'batch'
  else if (flow === 'end_play') host.play.ended = 'play'
  else if (flow === 'clear_facts') {
    host.state.facts = undefined
    host.play.run.factsCache.forget(host.state.link.target)
  } else if (flow === 'reset_connection') await host.state.link.reset()
}
