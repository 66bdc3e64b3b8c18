import type { HostPower } from '../../shared/power.ts'
import type { ActionContext } from '../action.ts'
import { TaskFailure } from '../define.ts'
import { answerOf } from './boot.ts'
import { listen } from './network.ts'
import { powerState } from './off.ts'

const POLL_MS = 2000
const PROGRESS_MS = 30_000
const TRY_MS = 8000
/** Milliseconds after which a magic packet is sent again: nobody tells whether it came. */
const WAKE_MS = 30_000
/** Milliseconds that a controller gets to say that the power is on. */
const ON_MS = 180_000

/** Turns the host on by what the inventory has, or tells the person to. */
export async function turnOn(ctx: ActionContext, power: HostPower | undefined, timeoutMs: number): Promise<boolean> {
  if (!power) {
    ctx.log(`turn ${ctx.host} on by hand: it has no runbook_power`)
    return false
  }
  const was = await powerState(ctx, power)
  if (was === 'on') return false
  ctx.log(`power on: ${power.description}`)
  await power.on({ signal: ctx.signal, timeoutMs: Math.min(timeoutMs, ON_MS) })
  return true
}

export interface WaitBack {
  readonly power: HostPower | undefined
  /** The boot that has ended; undefined when any boot will do. */
  readonly oldBoot: string | undefined
  readonly timeoutMs: number
}

/** Waits until somebody can log in to another boot; throws TaskFailure with what the signs say. */
export async function waitBack(ctx: ActionContext, { power, oldBoot, timeoutMs }: WaitBack): Promise<string> {
  const started = performance.now()
  let said = started
  let waked = started
  for (;;) {
    ctx.signal.throwIfAborted()
    const answer = await answerOf(ctx, TRY_MS)
    if (answer.kind === 'up' && answer.bootId !== oldBoot) return answer.bootId
    const last = answer.kind === 'up' ? 'it still answers from the old boot' : answer.words
    if (performance.now() - started >= timeoutMs) {
      const state = await powerState(ctx, power)
      const { ping } = await listen(ctx.address)
      throw new TaskFailure(
        `${ctx.host} did not come back within ${timeoutMs / 1000} s: ${last}. ${diagnoseAbsence(answer.kind, state, ping, ctx.host)}`,
        { rebooted: false },
      )
    }
    if (power && power.wakes.length > 0 && performance.now() - waked >= WAKE_MS) {
      waked = performance.now()
      await power.on({ signal: ctx.signal })
    }
    if (performance.now() - said >= PROGRESS_MS) {
      said = performance.now()
      ctx.log(`waiting for ${ctx.host}, ${Math.round((said - started) / 1000)} of ${timeoutMs / 1000} s: ${last}`)
    }
    await ctx.sleep(POLL_MS)
  }
}

/** What it means that a host does not come back, and what to do. Emergency mode has no sshd. */
export function diagnoseAbsence(
  ssh: 'up' | 'refuses' | 'silent',
  power: 'on' | 'off' | 'unknown',
  ping: boolean | undefined,
  host: string,
): string {
  if (ssh === 'up') return 'It never went down: systemctl list-jobs on it tells what its shutdown waits for'
  if (power === 'off')
    return `Its controller says off: it was not turned on, or turned itself off again. runbook power on ${host}`
  if (ssh === 'refuses')
    return 'sshd runs and lets nobody in, as early in a boot (/run/nologin): its console shows which unit the boot waits for'
  if (ping === true)
    return (
      'Its network answers and sshd does not: emergency mode (a failed fsck or mount), or sshd failed. At its console: ' +
      'journalctl -xb; fsck the file system that failed; nofail in /etc/fstab for what a boot can do without'
    )
  if (power === 'on')
    return (
      'Its power is on and it is silent: the firmware or boot loader waits, or emergency mode without network. Look at ' +
      'its console (BMC); offline fsck when it asks for one; nofail in /etc/fstab'
    )
  return 'It is silent: turned off, or its network does not come up. Look at its console and its power'
}
