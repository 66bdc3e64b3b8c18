import { type Change, type ChangeOutput, STALE } from '../module/change.ts'
import { EVERYTHING, Touched } from '../module/resources.ts'
import { SessionError } from '../session/session.ts'
import { isRetried, type ModuleEntry, needsJudgement } from './entry.ts'
import { barred } from './fence.ts'
import { changeFailed, NOTHING, notesOf, type Outcome, report } from './outcome.ts'
import type { Performer } from './perform.ts'
import { type Answer, type Reply, request } from './request.ts'
import { upload } from './upload.ts'
import { watching } from './watch.ts'
import type { Slot } from './window.ts'

/** A slot of a batch, with the changes it needs; without any it only waits for those before it. */
export interface Member {
  readonly slot: Slot
  readonly changes: readonly Change[]
  readonly state: unknown
}

interface Batch {
  readonly members: readonly Member[]
  readonly touched: Touched
  /** Index of the first slot behind the batch. */
  readonly end: number
}

type Finish = (slot: Slot, outcome: Outcome) => boolean

/**
 * Applies the changes of the slot at `at` and of those behind it that ride in the same request, and brings all of them to
 * their ends. Gives the index of the next slot, or undefined when a new window has to be made.
 */
export async function applyBatch(
  performer: Performer,
  slots: readonly Slot[],
  at: number,
  first: { readonly state: unknown; readonly changes: readonly Change[] },
  answers: Map<string, Answer>,
  finish: Finish = (slot, outcome) => performer.host.finish(slot, outcome),
): Promise<number | undefined> {
  const doubt = slotKey(slots[at]!)
  if (performer.doubtful.delete(doubt)) {
    const msg =
      'the connection was lost while this command ran: it may have run to its end, in part, or not at all; ' +
      'look at the host before you run it again'
    finish(slots[at]!, { ...NOTHING, status: 'failed', msg })
    return undefined
  }
  const bar = await barred(performer)
  if (bar) {
    finish(slots[at]!, bar)
    return undefined
  }
  const batch = gather(performer, slots, at, first, answers)
  const rest = batch.end < slots.length ? stale(slots.slice(batch.end), batch.touched) : []
  const changing = batch.members.filter((m) => m.changes.length > 0)
  const verify = changing.flatMap((m) => moduleOf(m).read.asks)
  for (const m of changing) performer.host.handlers.oweAhead(m.slot.entry.task, m.slot.entry)
  let reply: Reply
  try {
    reply = await carryOut(performer, changing, [...verify, ...rest.flatMap((e) => e.read.asks)])
    performer.connectionWorks()
  } catch (error) {
    for (const m of neverSent(error) ? [] : changing) {
      performer.attempted.set(slotKey(m.slot), report(m.changes))
      if (isCommand(m)) performer.doubtful.add(slotKey(m.slot))
    }
    if (!performer.lost(error)) {
      const outcome = performer.unlucky(error)
      // One that has a time limit rides alone.
      const cmd = outcome.stdout === undefined ? undefined : changing[0]!.changes.at(-1)!.cmd
      finish(slots[at]!, performer.judged(moduleOf(changing[0]!), { ...outcome, cmd }))
    }
    return undefined
  }
  for (const [id, answer] of reply.answers) answers.set(id, answer)
  const goesOn = await settleAll(performer, batch, changing, reply, answers, finish)
  return goesOn && !reply.unanswered ? batch.end : undefined
}

/** Which slots ride together: as long as no change before them touches what they read. */
function gather(
  performer: Performer,
  slots: readonly Slot[],
  at: number,
  first: { readonly state: unknown; readonly changes: readonly Change[] },
  answers: ReadonlyMap<string, Answer>,
): Batch {
  const members: Member[] = []
  const touched = new Touched()
  let end = at
  for (; end < slots.length; end++) {
    const slot = slots[end]!
    const { entry } = slot
    if (end > at && endsInFailure(slots[end - 1]!, slot)) break
    if (slot.settled) {
      if (slot.settled.status === 'failed') break
      members.push({ slot, changes: [], state: undefined })
      continue
    }
    if (entry.kind !== 'module' || entry.detach) break
    if (end > at && (isRetried(entry.task) || entry.timeout !== undefined || entry.check)) break
    if (touched.affects(entry.resources)) break
    if (performer.doubtful.has(slotKey(slot)) && end > at) break
    const plan = end === at ? first : performer.plan(entry, answers)
    if ('failed' in plan) break
    // It may fail of what it finds, and then nothing behind it may run.
    if (plan.changes.length === 0 && needsJudgement(entry.task)) break
    // Those in front are to be found converged, so what they read must stay as they left it.
    if (!entry.harmless && touches(plan.changes, members)) break
    const uploads = plan.changes.some((c) => c.upload)
    if (uploads && members.some((m) => m.changes.length > 0)) break
    members.push({ slot, changes: plan.changes, state: plan.state })
    if (!entry.harmless) for (const change of plan.changes) touched.add(change.touches)
    const alone = plan.changes.some((c) => c.transient && touchesEverything(c)) && !entry.harmless
    if (plan.changes.length > 0 && (alone || uploads || needsJudgement(entry.task) || entry.timeout !== undefined)) {
      end++
      break
    }
  }
  return { members, touched, end }
}

/** A loop goes on after an item that failed, but it has failed: what comes behind its last item may not ride along. */
function endsInFailure(before: Slot, slot: Slot): boolean {
  return before.progress !== slot.progress && before.progress.outcomes.some(({ status }) => status === 'failed')
}

/** There was no shell to send anything to. */
function neverSent(error: unknown): boolean {
  return error instanceof SessionError && !['lost', 'timeout', 'upload'].includes(error.kind)
}

/** A command of which nobody knows what it does when it runs twice. */
function isCommand({ changes, slot }: Member): boolean {
  return !(slot.entry as ModuleEntry).harmless && changes.some((c) => c.transient && touchesEverything(c))
}

/** Whether changes touch what a member in front of them reads. */
function touches(changes: readonly Change[], members: readonly Member[]): boolean {
  if (changes.length === 0) return false
  const touched = new Touched()
  for (const change of changes) touched.add(change.touches)
  return members.some((m) => m.changes.length > 0 && touched.affects(moduleOf(m).resources))
}

/** The entries behind a batch whose answers its changes make worthless. */
function stale(slots: readonly Slot[], touched: Touched): ModuleEntry[] {
  return slots.flatMap(({ entry, settled }) =>
    entry.kind === 'module' && !settled && touched.affects(entry.resources) ? [entry] : [],
  )
}

function moduleOf(member: Member): ModuleEntry {
  return member.slot.entry as ModuleEntry
}

/** One request with all changes and questions; an upload ends a request, so that it comes after the changes before it. */
async function carryOut(
  performer: Performer,
  changing: readonly Member[],
  asks: ModuleEntry['read']['asks'],
): Promise<Reply> {
  const entries = changing.flatMap((m) => m.changes.map(() => moduleOf(m)))
  const changes = changing.flatMap((m) => m.changes)
  const shell = await performer.shell(entries[0]!)
  const { abort } = performer.host.play.run.input
  const outputs: ChangeOutput[] = []
  performer.started(
    entries[0]!,
    entries.every(({ harmless }) => harmless),
  )
  for (let from = 0; ; ) {
    const next = changes.findIndex((c, i) => i > from && c.upload)
    const to = next === -1 ? changes.length : next
    const first = changes[from]!
    if (first.upload) await upload(shell, first.upload, abort)
    const part = changes.slice(from, to).map((c) => (c.script === undefined ? { ...c, script: ':' } : c))
    const { end, ...options } = watching(performer, entries.slice(from, to))
    const reply = await request(shell, part, to === changes.length ? asks : [], {
      ...options,
      signal: abort,
      asksTimeoutMs: performer.probeTimeoutMs,
    }).finally(end)
    outputs.push(...reply.outputs)
    const failed = reply.outputs.length < part.length || reply.outputs.some((o, i) => !isOk(part[i]!, o))
    if (failed || to === changes.length) return { ...reply, outputs }
    from = to
  }
}

function isStale(outputs: readonly ChangeOutput[]): boolean {
  return outputs.at(-1)?.rc === STALE
}

function isOk(change: Change, output: ChangeOutput): boolean {
  return (change.okCodes ?? [0]).includes(output.rc)
}

/** Brings the members of a batch to their ends, from what their changes printed and the new answers. */
async function settleAll(
  performer: Performer,
  batch: Batch,
  changing: readonly Member[],
  reply: Reply,
  answers: Map<string, Answer>,
  finish: Finish,
): Promise<boolean> {
  let at = 0
  const outputs = new Map<Member, readonly ChangeOutput[]>()
  for (const member of changing) {
    outputs.set(member, reply.outputs.slice(at, at + member.changes.length))
    at += member.changes.length
  }
  const failedAt = changing.findIndex((m) => !succeeded(m, outputs.get(m)!))
  const behind = failedAt === -1 ? [] : changing.slice(failedAt + 1)
  for (const { slot } of behind) performer.host.handlers.oweNoMore(slot.entry.task, slot.entry)
  // Where one ends the window, those behind it that were done are planned anew, and are found done then.
  for (const m of failedAt === -1 ? changing : changing.slice(0, failedAt))
    performer.attempted.set(slotKey(m.slot), report(m.changes))
  const errors = new Map<Member, Outcome>()
  // Which question hangs, only asking them one by one tells.
  const groups = reply.unanswered ? changing.map((m) => [m]) : failedAt > 0 ? [changing.slice(0, failedAt)] : []
  for (const group of groups) {
    const error = await askAgain(performer, group, answers)
    if (error) for (const m of group) errors.set(m, error)
  }
  for (const member of batch.members) {
    const { slot } = member
    if (slot.settled) {
      if (!finish(slot, slot.settled)) return false
      continue
    }
    const entry = moduleOf(member)
    const index = changing.indexOf(member)
    // Somebody else changed the file between our reading and our writing: nothing was written; it is planned anew.
    if (index === failedAt && index !== -1 && isStale(outputs.get(member)!) && performer.triesAgain(slotKey(slot)))
      return false
    const notRun = behind.map((m) => m.slot.entry.name)
    let outcome: Outcome
    if (index === -1) outcome = performer.settled(slot, entry, member.state)
    else if (errors.has(member))
      outcome = performer.judged(entry, { ...errors.get(member)!, changes: report(member.changes) })
    else outcome = outcomeOf(performer, member, outputs.get(member)!, answers, notRun)
    if (!finish(slot, outcome)) return false
    // What was planned behind a failure did not run; a new window plans it anew (ignore_errors, other loop items).
    if (member === changing[failedAt]) return false
  }
  return true
}

/** The state after the changes of members whose request ended before the questions. */
async function askAgain(
  performer: Performer,
  members: readonly Member[],
  answers: Map<string, Answer>,
): Promise<Outcome | undefined> {
  const asks = members.flatMap((m) => moduleOf(m).read.asks)
  if (asks.length === 0) return undefined
  const { abort } = performer.host.play.run.input
  for (;;) {
    try {
      const shell = await performer.shell(moduleOf(members[0]!))
      const reply = await request(shell, [], asks, { timeoutMs: performer.probeTimeoutMs, signal: abort })
      for (const [id, answer] of reply.answers) answers.set(id, answer)
      return undefined
    } catch (error) {
      if (performer.lost(error)) continue
      const hint = 'the change was made; whether it took, nobody could see: something that this task looks at hangs'
      return error instanceof SessionError && error.kind === 'timeout'
        ? { ...performer.unlucky(error), hint }
        : performer.unlucky(error)
    }
  }
}

function succeeded(member: Member, outputs: readonly ChangeOutput[]): boolean {
  return member.changes.every(
    (change, i) => outputs[i] !== undefined && (change.okCodes ?? [0]).includes(outputs[i].rc),
  )
}

/** How a member with changes ended: failed, not converged, or changed. */
export function outcomeOf(
  performer: Performer,
  member: Member,
  outputs: readonly ChangeOutput[],
  answers: ReadonlyMap<string, Answer>,
  notRun: readonly string[],
): Outcome {
  const entry = moduleOf(member)
  const { module, args } = entry
  const bad = member.changes.findIndex((change, i) => !outputs[i] || !(change.okCodes ?? [0]).includes(outputs[i].rc))
  const elapsedMs = outputs.reduce((sum, o) => sum + o.elapsedMs, 0)
  if (bad !== -1) {
    const done = report(member.changes.slice(0, bad))
    const output = outputs[bad]
    if (!output) return performer.judged(entry, { ...NOTHING, status: 'failed', msg: 'did not run', changes: done })
    const outcome = changeFailed(member.changes[bad]!, output, done)
    const data = { ...outcome.data, ...module.result(args, member.state, outputs) }
    return performer.judged(entry, { ...outcome, data, elapsedMs, notRun: notRun.length > 0 ? notRun : undefined })
  }
  const after = performer.plan(entry, answers)
  if ('failed' in after) return performer.judged(entry, { ...after.failed, changes: report(member.changes), elapsedMs })
  const left = after.changes.filter((c) => !c.transient)
  const changes = report(member.changes)
  if (left.length > 0) {
    const what = left
      .map((c) => `${c.summary}${c.diff?.kind === 'value' ? ` (is ${JSON.stringify(c.diff.from)})` : ''}`)
      .join('; ')
    const msg = `did not converge: after its changes it still wants to ${what}`
    const hint = 'something on the host undoes the change, or two tasks want different things'
    return performer.judged(entry, { ...NOTHING, status: 'failed', msg, hint, changes, elapsedMs })
  }
  const data = module.result(args, after.state, outputs)
  const last = outputs.at(-1)
  return performer.judged(entry, {
    ...NOTHING,
    status: 'changed',
    changes,
    msg: typeof data.msg === 'string' ? data.msg : notesOf(member.changes, outputs),
    data,
    rc: typeof data.rc === 'number' ? data.rc : undefined,
    stdout: last?.stdout.toString('utf8'),
    stderr: last?.stderr.toString('utf8'),
    cmd: member.changes.at(-1)?.cmd,
    elapsedMs,
    sets: module.provides === 'variables' ? data : undefined,
    facts: module.provides === 'facts' ? data : undefined,
  })
}

/** Names an item of a task in a place of the play. */
export function slotKey({ entry, progress }: Slot): string {
  return `${progress.key} ${entry.item?.index ?? 0}`
}

/** Whether a change can touch anything. */
function touchesEverything(change: Change): boolean {
  return change.touches.includes(EVERYTHING)
}
