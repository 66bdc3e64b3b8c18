import { SessionError } from '../../session/session.ts'
import type { HostPower, PowerState } from '../../shared/power.ts'
import { quote } from '../../shared/quote.ts'
import type { ActionContext } from '../action.ts'
import { TaskFailure } from '../define.ts'
import { answerOf } from './boot.ts'
import { POWEROFF_UNIT } from './look.ts'
import { type Heard, judgeSilence, listen } from './network.ts'

const POLL_MS = 1000
const PROGRESS_MS = 15_000
/** Milliseconds of one try to log in. */
const TRY_MS = 5000
/** Milliseconds that nothing must be heard: sshd dies first, the file systems are unmounted last. */
const QUIET_MS = 10_000
/** The same where only ssh was ever heard. */
const QUIET_SSH_ALONE_MS = 45_000
/** Milliseconds for one question to a controller. */
const ASK_MS = 20_000

/** How it is known that a host is off. */
export interface OffProof {
  /** `proven`: its controller says so. `probably`: nothing is heard of it. */
  readonly off: 'proven' | 'probably'
  readonly words: string
}

/**
 * Asks for a power off or a reboot, detached and two seconds late, so that the answer still arrives. A connection that
 * breaks meanwhile means that it was sent. Under systemd it is a unit of a known name, which there is only once.
 */
export async function sendDown(ctx: ActionContext, verb: 'poweroff' | 'reboot', message: string): Promise<void> {
  const script = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || { echo 'only root may do that: become: true is missing' >&2; exit 1; }
if command -v wall >/dev/null; then printf '%s\\n' ${quote(message)} | timeout 5 wall 2>/dev/null; fi
timeout 30 sync
if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null; then
  systemctl -q is-active ${POWEROFF_UNIT}.timer && exit 0
  systemd-run -q --collect --unit=${POWEROFF_UNIT} --on-active=2 --timer-property=AccuracySec=100ms systemctl ${verb} && exit 0
fi
d=; if command -v setsid >/dev/null; then d=setsid; fi
$d sh -c 'trap "" HUP; sleep 2; ${verb} || shutdown ${verb === 'poweroff' ? '-h' : '-r'} now' </dev/null >/dev/null 2>&1 &
exit 0`
  try {
    const { rc, stderr } = await ctx.run(script, { timeoutMs: 60_000 })
    if (rc !== 0) throw new TaskFailure(`the ${verb} was refused: ${stderr.toString('utf8').trim()}`, { rc })
  } catch (error) {
    if (!(error instanceof SessionError) || error.kind !== 'lost') throw error
  }
}

/** Arms network cards for Wake-on-LAN, which many forget at each boot. Gives what could not be armed, in words. */
export async function armWake(ctx: ActionContext, macs: readonly string[]): Promise<string[]> {
  if (macs.length === 0) return []
  const script = `
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
command -v ethtool >/dev/null || { echo 'there is no ethtool'; exit 0; }
for m in ${macs.join(' ')}; do
  i=; for n in /sys/class/net/*; do [ "$(cat "$n/address" 2>/dev/null)" != "$m" ] || { i=\${n##*/}; break; }; done
  [ -n "$i" ] || { echo "there is no network card $m"; continue; }
  ethtool -s "$i" wol g 2>/dev/null
  case $(ethtool "$i" 2>/dev/null | sed -n 's/^[[:space:]]*Wake-on: *//p') in *g*) ;; *) echo "$i ($m) does not take wol g" ;; esac
done`
  const { stdout } = await ctx.run(script, { timeoutMs: 30_000 })
  return stdout.toString('utf8').split('\n').filter(Boolean)
}

export interface WaitOff {
  readonly power: HostPower | undefined
  /** What was heard while the host was on. */
  readonly before: Heard
  /** On the clock of performance.now(). */
  readonly deadline: number
  /** The boot that is to end. */
  readonly bootId: string
}

/** The controller's word, `unknown` when it cannot be had. */
export async function powerState(ctx: ActionContext, power: HostPower | undefined): Promise<PowerState> {
  if (!power?.seesPower) return 'unknown'
  try {
    return await power.state({ signal: ctx.signal, timeoutMs: ASK_MS })
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'PowerError') throw error
    return 'unknown'
  }
}

/** Waits until the host is off; gives undefined and the last words at the deadline. Throws when it has booted again. */
export async function waitOff(
  ctx: ActionContext,
  { power, before, deadline, bootId }: WaitOff,
): Promise<{ readonly proof: OffProof | undefined; readonly last: string }> {
  const started = performance.now()
  let quietSince: number | undefined
  let said = started
  let last = 'it was not looked at yet'
  for (;;) {
    ctx.signal.throwIfAborted()
    const state = await powerState(ctx, power)
    if (state === 'off') return { proof: { off: 'proven', words: `${power!.description} says off` }, last: 'off' }
    const answer = await answerOf(ctx, TRY_MS)
    if (answer.kind === 'up' && answer.bootId !== bootId)
      throw new TaskFailure(
        'it booted again by itself instead of staying off: a wake-up event, or the firmware turns it on',
        { boot_id: answer.bootId },
      )
    if (answer.kind === 'up') last = 'it still runs and lets us in'
    else if (answer.kind === 'refuses') last = `sshd still answers: ${answer.words}`
    else {
      const { silent, words } = judgeSilence(before, await listen(ctx.address), answer.words)
      last = state === 'on' ? `${words}; but ${power!.description} says on` : words
      quietSince = silent ? (quietSince ?? performance.now()) : undefined
      const alone = before.ping !== true && before.arp !== true
      const quiet = quietSince === undefined ? 0 : performance.now() - quietSince
      // Where a controller tells, only it can.
      if (state === 'unknown' && quiet >= (alone ? QUIET_SSH_ALONE_MS : QUIET_MS))
        return {
          proof: { off: 'probably', words: `nothing was heard for ${Math.round(quiet / 1000)} s: ${words}` },
          last,
        }
    }
    if (answer.kind !== 'silent') quietSince = undefined
    if (performance.now() >= deadline) return { proof: undefined, last }
    if (performance.now() - said >= PROGRESS_MS) {
      said = performance.now()
      ctx.log(`waiting for off, ${Math.round((said - started) / 1000)} s: ${last}`)
    }
    await ctx.sleep(POLL_MS)
  }
}
