/**
 * Commands that go on without us (`detach`, `async`): started in a session of their own, so that neither the end of the
 * connection nor that of its shells reaches them. What is to be known of one stands in a folder of its user's alone:
 *
 *     <jobs>/<id>/script   what it runs, gone as soon as it runs: environment and arguments may be secret
 *                 name     the run that began it, and what its task is called
 *                 pid      process, its start time in jiffies, boot_id, and the second since the epoch when it began
 *                 out err  what it printed
 *                 late     it was killed for its time limit
 *                 rc       how it ended; the last thing to be written
 */
import { quote } from '../shared/quote.ts'

/** What a job has come to. */
export type JobState =
  | 'absent'
  /** The folder is there, and the process has not said anything yet. */
  | 'starting'
  | 'running'
  | 'ended'
  /** Killed for its time limit. */
  | 'late'
  /** The host was booted anew before it ended. */
  | 'rebooted'
  /** Its process is gone, and it did not say how it ended: somebody killed it. */
  | 'died'

export interface JobLook {
  readonly state: JobState
  /** Exit status; 0 unless `ended`. */
  readonly rc: number
  /** Seconds since it began, by the host's clock. */
  readonly seconds: number
  /** What it printed behind the offsets that were asked for. */
  readonly stdout: Buffer
  readonly stderr: Buffer
}

/** Bytes of each stream that one look brings at the most. */
export const LOOK_LIMIT = 1024 * 1024
/** Days after which the folder of a job that has ended, and whose result nobody took, is removed. */
const KEPT_DAYS = 7

export const JOB_ID = /^[0-9a-f]{16}$/

/** The folder that holds the jobs of the shell's user, and the functions that all scripts here share. */
const PRELUDE = `
umask 077
if [ "$(id -u)" = 0 ]; then rb_jobs=/var/lib/runbook/jobs; else rb_jobs=\${XDG_STATE_HOME:-$HOME/.local/state}/runbook/jobs; fi
rb_began() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
rb_boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null; }
`

/** Exit status of `startJob` when the job is there already. */
export const JOB_EXISTS = 17
/** Exit status of `startJob` on a host without setsid(1). */
export const NO_SETSID = 18

/**
 * A script that starts a job; `limit` is in seconds, 0 for none. Its exit status is 0, JOB_EXISTS or NO_SETSID. `name` is
 * one line: the run's id, a blank, and words for people.
 *
 * Where logind kills what a login leaves behind (KillUserProcesses, logind.conf(5)), that is the whole cgroup of the
 * session, whoever became root in it. So root's jobs get a scope of their own, which keeps environment and process id;
 * another user's would need a manager that outlives the login (loginctl enable-linger).
 */
export function startJob(id: string, script: string, limit: number, name: string): string {
  return `rb_u=$(umask)
${PRELUDE}
command -v setsid >/dev/null || exit ${NO_SETSID}
mkdir -p "$rb_jobs" && chmod 700 "$rb_jobs" || exit 1
find "$rb_jobs" -mindepth 2 -maxdepth 2 -name rc -mtime +${KEPT_DAYS} 2>/dev/null | while IFS= read -r rb_old; do rm -rf -- "\${rb_old%/rc}"; done
rb_d=$rb_jobs/${id}
mkdir "$rb_d" 2>/dev/null || { [ -d "$rb_d" ] && exit ${JOB_EXISTS}; mkdir "$rb_d" || exit 1; }
printf '%s\\n' ${quote(name.replace(/[^\x20-\x7e\u00a0-\uffff]/g, ' '))} >"$rb_d/name" || exit 1
printf %s ${quote(wrapper(script, limit))} >"$rb_d/script" || exit 1
rb_s=
if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ] && systemd-run --scope --quiet true </dev/null >/dev/null 2>&1; then
  rb_s='systemd-run --scope --quiet --unit=runbook-job-${id} --description=runbook'
fi
rb_d=$rb_d rb_u=$rb_u setsid $rb_s /bin/sh "$rb_d/script" </dev/null >/dev/null 2>&1 &
`
}

/** What the job's own shell runs. The time limit is kept by the host itself: nobody else need be there. */
function wrapper(script: string, limit: number): string {
  const watch = `trap 'kill "$rb_s" 2>/dev/null; exit' TERM; sleep ${Math.ceil(limit)} & rb_s=$!; wait "$rb_s"; : >"$rb_d/late"; kill -s KILL -- -"$rb_p"`
  return `${PRELUDE}
rm -f -- "$rb_d/script"
rb_p=$$
echo "$$ $(rb_began $$) $(rb_boot) $(date +%s)" >"$rb_d/pid.new" && mv -f "$rb_d/pid.new" "$rb_d/pid" || exit 1
${limit > 0 ? `( ${watch} ) >/dev/null 2>&1 &\nrb_w=$!` : 'rb_w='}
( umask "$rb_u"; unset rb_d rb_jobs rb_p rb_u rb_w; eval ${quote(script)} ) >"$rb_d/out" 2>"$rb_d/err"
rb_r=$?
[ -z "$rb_w" ] || kill "$rb_w" 2>/dev/null
echo "$rb_r" >"$rb_d/rc.new" && mv -f "$rb_d/rc.new" "$rb_d/rc"
`
}

/** A script that says what a job has come to, and what it printed behind these offsets; see `parseLook`. */
export function lookAtJob(id: string, out: number, err: number): string {
  return `${PRELUDE}
rb_d=$rb_jobs/${id} rb_c=0 rb_t=0
rb_state() {
  if [ -f "$rb_d/rc" ]; then rb_c=$(cat "$rb_d/rc"); echo ended; return; fi
  if [ ! -f "$rb_d/pid" ]; then if [ -d "$rb_d" ]; then echo starting; else echo absent; fi; return; fi
  read -r rb_p rb_b rb_o rb_x <"$rb_d/pid"
  if [ "$rb_o" != "$(rb_boot)" ]; then echo rebooted
  elif [ -n "$rb_b" ] && [ "$(rb_began "$rb_p")" = "$rb_b" ]; then echo running
  elif [ -f "$rb_d/rc" ]; then echo ended
  elif [ -f "$rb_d/late" ]; then echo late
  else echo died; fi
}
rb_state=$(rb_state)
if [ "$rb_state" = ended ]; then rb_c=$(cat "$rb_d/rc"); fi
if [ -f "$rb_d/pid" ]; then read -r rb_p rb_b rb_o rb_x <"$rb_d/pid"; rb_t=$(( $(date +%s) - rb_x )); fi
rb_size() { rb_n=$(( $(cat "$rb_d/$1" 2>/dev/null | wc -c) - $2 )); [ "$rb_n" -gt 0 ] || rb_n=0; [ "$rb_n" -le ${LOOK_LIMIT} ] || rb_n=${LOOK_LIMIT}; echo "$rb_n"; }
rb_so=$(rb_size out ${out}) rb_se=$(rb_size err ${err})
echo "$rb_state $rb_c $rb_t $rb_so $rb_se"
[ "$rb_so" = 0 ] || tail -c +$(( ${out} + 1 )) "$rb_d/out" | head -c "$rb_so"
[ "$rb_se" = 0 ] || tail -c +$(( ${err} + 1 )) "$rb_d/err" | head -c "$rb_se"
exit 0
`
}

const LOOK = /^(absent|starting|running|ended|late|rebooted|died) (\d+) (-?\d+) (\d+) (\d+)$/

/** Reads what `lookAtJob` printed; undefined when it is something else. */
export function parseLook(output: Buffer): JobLook | undefined {
  const end = output.indexOf(0x0a)
  const [, state, rc, seconds, out, err] = LOOK.exec(output.toString('latin1', 0, Math.max(0, end))) ?? []
  if (state === undefined) return undefined
  const [from, middle] = [end + 1, end + 1 + Number(out)]
  return {
    state: state as JobState,
    rc: Number(rc),
    seconds: Math.max(0, Number(seconds)),
    stdout: output.subarray(from, middle),
    stderr: output.subarray(middle, middle + Number(err)),
  }
}

/** Kills a job with its whole session, waits for its end, and removes what is kept of it. A job that is not there is fine. */
export function removeJob(id: string): string {
  return `${PRELUDE}
rb_d=$rb_jobs/${id}
if [ -f "$rb_d/pid" ] && [ ! -f "$rb_d/rc" ]; then
  read -r rb_p rb_b rb_o rb_x <"$rb_d/pid"
  if [ "$rb_o" = "$(rb_boot)" ] && [ -n "$rb_b" ] && [ "$(rb_began "$rb_p")" = "$rb_b" ]; then kill -s KILL -- -"$rb_p" 2>/dev/null; fi
fi
rm -rf -- "$rb_d"
rmdir "$rb_jobs" 2>/dev/null
exit 0
`
}
