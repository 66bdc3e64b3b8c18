import { type Diagnosis, describe, diagnose, type Signs } from '../doctor/index.ts'
import type { NodeLook } from './look.ts'
import { type CycleRecord, mayBeDown } from './record.ts'

/** A check of a node that is back. */
export interface Check {
  readonly name: string
  /** `warn` is said and goes on. */
  readonly state: 'ok' | 'warn' | 'failed' | 'wait'
  readonly message: string
}

const ok = (name: string, message: string): Check => ({ name, state: 'ok', message })

/**
 * What a host says of itself after a boot, judged against how it was before. `wait` may pass by itself. Kubernetes is
 * judged by the doctor's chain.
 */
export function checksOf(look: NodeLook, signs: Signs, record: CycleRecord | undefined): Check[] {
  const checks = [bootCheck(look, record), stateCheck(look, record), ...diskChecks(look, signs, record)]
  if (!look.joined) return checks
  return [...checks, ...chainChecks(diagnose(signs))]
}

function bootCheck({ bootId }: NodeLook, record: CycleRecord | undefined): Check {
  if (!record) return ok('boot', bootId)
  if (record.bootId !== bootId) return ok('boot', `a new one, ${bootId}`)
  if (!mayBeDown(record)) return ok('boot', 'the same: it did not go down')
  return { name: 'boot', state: 'failed', message: `it still runs from the boot before (${bootId})` }
}

function stateCheck({ state, failedUnits, systemd }: NodeLook, record: CycleRecord | undefined): Check {
  const name = 'systemd'
  if (!systemd) return ok(name, 'is not used here')
  if (state === 'running') return ok(name, 'running')
  if (/^(initializing|starting|)$/.test(state)) return { name, state: 'wait', message: state || 'does not answer' }
  if (state === 'maintenance')
    return { name, state: 'failed', message: 'in emergency or rescue mode: systemctl --failed, journalctl -xb' }
  if (state !== 'degraded') return { name, state: 'failed', message: state }
  const fresh = failedUnits.filter((unit) => !record?.failedUnits.includes(unit))
  if (fresh.length === 0) return ok(name, `degraded as before: ${failedUnits.join(', ')}`)
  return { name, state: record ? 'failed' : 'warn', message: `failed since the boot: ${fresh.join(', ')}` }
}

function diskChecks(look: NodeLook, signs: Signs, record: CycleRecord | undefined): Check[] {
  const checks: Check[] = []
  const root = signs.volumes.find(({ path }) => path === '/')
  if (root?.readOnly && !root.meantReadOnly)
    checks.push({
      name: 'root',
      state: 'failed',
      message: `${root.source} is mounted read-only: dmesg, then fsck it from a rescue system`,
    })
  else checks.push(ok('root', 'read-write'))
  const grown = Object.entries(look.ext4Errors).filter(([device, count]) => count > (record?.ext4Errors[device] ?? 0))
  if (grown.length > 0)
    checks.push({
      name: 'ext4',
      state: 'failed',
      message: `errors counted: ${grown.map(([device, count]) => `${device} ${count}`).join(', ')}; fsck it, and look at the disk (smartctl)`,
    })
  else {
    const recovered = signs.kernelLog.findLast((line) =>
      /EXT4-fs .*recovery (complete|required)|XFS .*recovery/i.test(line),
    )
    if (recovered ?? signs.uncleanShutdown)
      checks.push({
        name: 'journal',
        state: 'warn',
        message: `the stop before was not clean: ${recovered ?? 'journald found its files not closed'}; it was replayed`,
      })
    else checks.push(ok('journal', 'the stop before was clean'))
  }
  return checks
}

/** The doctor's links up to CNI; all of them may come up by themselves in the first minutes. */
function chainChecks(diagnosis: Diagnosis): Check[] {
  return diagnosis.chain.map(({ link, state, message }) => ({
    name: link,
    state: state === 'ok' ? 'ok' : 'wait',
    message,
  }))
}

/** Which of the services that ran before run again, from `systemctl is-active`, a line each. */
export function serviceChecks(services: readonly string[], answer: string): Check[] {
  const states = answer.trim().split('\n')
  return services.map((name, i) => {
    const state = states[i] || 'unknown'
    return state === 'active' ? ok(name, 'runs') : { name, state: 'wait', message: `${state}; it ran before` }
  })
}

/** The doctor's word on a node that does not work. */
export function doctorsWord(signs: Signs): string {
  return describe(diagnose(signs))
}

/**
 * Whether CNI works: a pod's network is made and taken away, as kubelet would. It is nobody's pod: kubelet may take it
 * away first, which is fine. Without crictl a pause container of containerd's own ctr gets a network instead; ctr knows the
 * plugins in their usual place only, so where it finds none that says nothing (status 3).
 */
export const CNI_CHECK = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
n=runbook-check-$$
f=$(mktemp) || exit 1
trap 'rm -f "$f" "$f.err"' EXIT
if command -v crictl >/dev/null; then
  c() { timeout 60 crictl -r unix:///run/containerd/containerd.sock --timeout 50s "$@"; }
  # As kubelet says it: where runc leaves groups to systemd, it takes no other parent than a slice.
  g=; c info 2>/dev/null | grep '"SystemdCgroup": *true' >/dev/null && g='"cgroup_parent":"system.slice"'
  printf '{"metadata":{"name":"%s","namespace":"runbook","uid":"%s","attempt":1},"linux":{%s}}' "$n" "$n" "$g" >"$f"
  # Its warnings (no /etc/crictl.yaml) are no part of the pod's id.
  p=$(c runp "$f" 2>"$f.err") || { tail -n 1 "$f.err"; exit 1; }
  c inspectp -o go-template --template '{{.status.network.ip}}' "$p" 2>/dev/null
  c stopp "$p" >/dev/null 2>&1; c rmp -f "$p" >/dev/null 2>&1
  exit 0
fi
k() { timeout 20 ctr -n k8s.io "$@" 2>/dev/null; }
i=$(k images ls -q | grep '/pause:' | head -n 1)
[ "$i" ] || { echo 'there is neither crictl nor an image of pause'; exit 3; }
timeout 60 ctr -n k8s.io run --rm --cni "$i" "$n" >"$f" 2>&1 &
r=$! a= t=0
while [ -z "$a" ] && kill -0 $r 2>/dev/null && [ $t -lt 150 ]; do
  t=$((t + 1)); sleep 0.2
  p=$(k tasks ls | sed -n "s/^$n  *\\([0-9]*\\)  *RUNNING.*/\\1/p")
  [ "$p" ] || continue
  a=$(awk '/32 host/ && l !~ /^127\\./ { print l } { l = $2 }' /proc/$p/net/fib_trie 2>/dev/null | head -n 1)
  [ "$a" ] || a=$(grep -vE '^(0{31}1|fe80)' /proc/$p/net/if_inet6 2>/dev/null | cut -c 1-32 | head -n 1)
done
k tasks kill -s SIGTERM "$n"; sleep 0.2; k tasks kill -s SIGKILL "$n"
wait $r
k tasks delete -f "$n" >/dev/null; k containers rm "$n" >/dev/null
[ "$a" ] && { echo "$a"; exit 0; }
e=$(tail -n 1 "$f")
printf '%s\\n' "\${e:-none in 30 s}"
case $e in *'cni config load failed'* | *'no network config found'* | *'failed to find plugin'* | *'flag provided but not defined'*) exit 3 ;; esac
exit 1
`
