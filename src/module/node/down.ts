import { readFile } from 'node:fs/promises'
import { SessionError } from '../../session/session.ts'
import type { HostPower } from '../../shared/power.ts'
import type { ActionContext } from '../action.ts'
import { TaskFailure } from '../define.ts'
import { type Answer, answerOf } from './boot.ts'
import { type NodeLook, parseBootId } from './look.ts'
import { type Heard, listen } from './network.ts'
import { armWake, type OffProof, powerState, sendDown, waitOff } from './off.ts'
import { advance, type CycleRecord, continuation, keep, mayBeDown, recordOf } from './record.ts'
import { runsKubernetes } from './steps.ts'
import { lookAt, podsOn } from './stop.ts'

/** Milliseconds of one try to log in. */
export const TRY_MS = 10_000
/** Milliseconds that an earlier order to go down may need to be seen. */
const UNDER_WAY_MS = 20_000

/** Whether a boot_id is that of the kernel that runbook itself runs on: going down would end runbook in the middle. */
export async function isOwnMachine(bootId: string): Promise<boolean> {
  const own = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '')
  return parseBootId(own) === bootId
}

export function mustNotBeOwn(host: string): TaskFailure {
  return new TaskFailure(
    `${host} is the machine that runbook runs on: it would go down with it, and nobody would bring it back. Run it ` +
      'from another machine',
  )
}

/** A record of the host as it is, before anything of it is touched. */
export async function beginRecord(ctx: ActionContext, cycle: string, look: NodeLook): Promise<CycleRecord> {
  const pods = look.containerd === 'active' ? (await podsOn(ctx)).pods : []
  const record: CycleRecord = {
    cycle,
    run: ctx.runId,
    begun: Date.now(),
    bootId: look.bootId,
    phase: 'begun',
    joined: look.joined,
    kubernetes: runsKubernetes(look, pods),
    ran: (['containerd', 'kubelet'] as const).filter((unit) => look[unit] === 'active'),
    failedUnits: look.failedUnits,
    ext4Errors: look.ext4Errors,
  }
  if (!ctx.check) keep(ctx, record)
  return record
}

export interface DownOptions {
  readonly cycle: string
  /** Milliseconds that the operating system gets. */
  readonly timeoutMs: number
  /** Milliseconds that the controller gets after that. */
  readonly controllerMs: number
  readonly forceOff: boolean
  /** A person turns it on again. */
  readonly byHand: boolean
  readonly message: string
}

export interface Down extends OffProof {
  readonly bootId: string | undefined
  /** False: it was so already. */
  readonly changed: boolean
}

/**
 * Powers the host off and proves it. What an earlier run has asked for is looked for first: it is never asked twice
 * blindly. Throws TaskFailure when it is not off in the end.
 */
export async function shutDown(ctx: ActionContext, power: HostPower | undefined, options: DownOptions): Promise<Down> {
  let record = recordOf(ctx)
  if ((await powerState(ctx, power)) === 'off') {
    if (record) record = advance(ctx, record, { phase: 'off' })
    return { off: 'proven', words: `${power!.description} says off`, bootId: record?.bootId, changed: false }
  }
  const answer = await answerOf(ctx, TRY_MS)
  if (answer.kind !== 'up' && !(record && mayBeDown(record))) throw notReached(ctx, answer)
  if (answer.kind === 'up') {
    const next = continuation(record, options.cycle, answer.bootId)
    if (next === 'is_back') {
      advance(ctx, record!, { phase: 'up' })
      return { off: 'proven', words: 'it has booted since', bootId: record!.bootId, changed: false }
    }
    if (next === 'begin') record = await beginRecord(ctx, options.cycle, await lookAt(ctx))
    if (await isOwnMachine(answer.bootId)) throw mustNotBeOwn(ctx.host)
  }
  const { bootId } = record!
  const before = record!.heard ?? (await listen(ctx.address))
  if (answer.kind === 'up' && !(await isUnderWay(ctx, record!))) {
    await mustWake(ctx, power?.wakes ?? [], options.byHand)
    record = advance(ctx, record!, { phase: 'sent', sent: Date.now(), heard: before })
    ctx.log(`power off: sent, its time is ${options.timeoutMs / 1000} s`)
    await sendDown(ctx, 'poweroff', options.message)
  }
  await ctx.disconnect()
  const proof = await reachOff(ctx, power, before, bootId, options)
  advance(ctx, record!, { phase: 'off' })
  return { ...proof, bootId, changed: true }
}

/** Throws TaskFailure when Wake-on-LAN is to turn the host on again and a card of it cannot be armed. */
async function mustWake(ctx: ActionContext, macs: readonly string[], byHand: boolean): Promise<void> {
  const wrong = await armWake(ctx, macs)
  if (wrong.length > 0 && !byHand)
    throw new TaskFailure(
      `nothing could turn it on again: Wake-on-LAN is its only power, and ${wrong.join('; ')}. It was not powered off; ` +
        'where a person will turn it on: by_hand: true (--by-hand)',
    )
  if (wrong.length > 0) ctx.log(`Wake-on-LAN is not armed: ${wrong.join('; ')}; a person turns it on again`)
  else if (macs.length > 0) ctx.log(`Wake-on-LAN is armed: ${macs.join(', ')}`)
}

/** Whether what an earlier run asked for is being done. The connection may break in the middle of the answer. */
export async function isUnderWay(ctx: ActionContext, record: CycleRecord): Promise<boolean> {
  if (!mayBeDown(record)) return false
  if (await isGoingDown(ctx)) {
    ctx.log('what an earlier run sent is being done')
    return true
  }
  // It may have been sent a moment ago, by a process that died in between.
  if (Date.now() - (record.sent ?? 0) < UNDER_WAY_MS) {
    await ctx.sleep(3000)
    const answer = await answerOf(ctx, TRY_MS)
    if (answer.kind !== 'up' || (await isGoingDown(ctx))) return true
  }
  ctx.log('an earlier run meant to send it, and the host does nothing of it: it is sent now')
  return false
}

/** Of a host that was sent down and answered just now: one that ends the connection meanwhile is on its way. */
async function isGoingDown(ctx: ActionContext): Promise<boolean> {
  try {
    return (await lookAt(ctx)).goingDown
  } catch (error) {
    if (error instanceof SessionError && (error.kind === 'lost' || error.kind === 'unreachable')) return true
    throw error
  }
}

async function reachOff(
  ctx: ActionContext,
  power: HostPower | undefined,
  before: Heard,
  bootId: string,
  { timeoutMs, controllerMs, forceOff }: DownOptions,
): Promise<OffProof> {
  const wait = (ms: number) => waitOff(ctx, { power, before, bootId, deadline: performance.now() + ms })
  const first = await wait(timeoutMs)
  if (first.proof) return first.proof
  let last = first.last
  const tell = `it is not off after ${timeoutMs / 1000} s: ${last}`
  if (!power?.seesPower)
    throw notOff(ctx, tell, 'No controller (runbook_power) is known that could do more: look at its console')
  ctx.log(`${tell}; ${power.description} is asked for a soft off`)
  for (const force of forceOff ? [false, true] : [false]) {
    if (force) ctx.log('cutting the power, as --force-off allows')
    try {
      await power.off({ force, timeoutMs: controllerMs, signal: ctx.signal })
      return { off: 'proven', words: `${power.description} says off${force ? '; its power was cut' : ''}` }
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'PowerError') throw error
      last = error.message
    }
  }
  throw notOff(ctx, `${tell}; ${last}`, forceOff ? 'Pull its plug' : 'The power is cut only with --force-off')
}

function notOff(ctx: ActionContext, tell: string, mend: string): TaskFailure {
  return new TaskFailure(`${ctx.host}: ${tell}. It hangs in its shutdown. ${mend}`, { off: false })
}

export function notReached(ctx: ActionContext, answer: Exclude<Answer, { kind: 'up' }>): TaskFailure {
  return new TaskFailure(
    `${ctx.host} cannot be asked to go down: ${answer.words}. Nothing was touched. If it hangs: its console, or ` +
      `runbook power off ${ctx.host} (a soft off by its controller)`,
    { unreachable: true },
  )
}
