/** A made-up run of many hosts and tasks, for the page. The same seed gives the same run. */
import type { RunEvent, Status } from '../../src/shared/events.ts'

const NAMES = [
  'Kernel parameters',
  'Kernel modules',
  'Turn swap off',
  'Node folders',
  'Repository of containerd',
  'Install containerd',
  'containerd configuration',
  'Read the version of kubeadm',
  'Pull the images',
  'Start the kubelet',
]

/** What a hostile host could say: none of it may be read as HTML. */
export const HOSTILE = `</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'"><!--`

export function* htmlEvents(hosts: number, tasks: number, hostile = ''): Generator<RunEvent> {
  let state = 7
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const at = Date.UTC(2026, 10, 20, 3, 15)
  yield {
    type: 'run_started',
    run: '20261120-031500-4f2a',
    at,
    playbooks: [`playbooks/site.yml${hostile}`],
    check: false,
  }
  const names = Array.from({ length: hosts }, (_, i) => `k8s-worker-${String(i + 1).padStart(3, '0')}${hostile}`)
  const clock = names.map(() => at + random() * 900)
  const gone = names.map(() => false)
  const perPlay = Math.ceil(tasks / 3)
  for (const [p, play] of ['Prepare the nodes', 'Kubernetes packages', 'Join the cluster'].entries()) {
    yield { type: 'play_started', play: play + hostile, playId: String(p), hosts: names, tasks: perPlay }
    for (let n = 0; n < Math.min(perPlay, tasks - p * perPlay); n++) {
      const handler = n === perPlay - 1
      const task = handler ? 'Restart containerd' : `${NAMES[n % NAMES.length]} ${n}`
      for (const [h, host] of names.entries()) {
        if (gone[h]) continue
        const r = random()
        const status: Status =
          p > 0 && r < 0.0006
            ? 'unreachable'
            : n % 10 === 5 && r < 0.012
              ? 'failed'
              : r < 0.003
                ? 'rescued'
                : r < 0.25
                  ? 'changed'
                  : r < 0.32
                    ? 'skipped'
                    : 'ok'
        gone[h] = status === 'failed' || status === 'unreachable'
        const elapsedMs =
          status === 'changed' ? 40 + random() * 4000 : status === 'unreachable' ? 10_000 : random() * 30
        clock[h]! += elapsedMs + 5
        yield {
          type: 'task_result',
          host,
          play: play + hostile,
          playId: String(p),
          task: task + hostile,
          taskId: `${p}.tasks.${n}`,
          module: 'package',
          handler,
          status,
          place: `roles/containerd/tasks/main.yml:${12 + n * 6}:7`,
          at: clock[h]!,
          elapsedMs,
          msg:
            status === 'failed'
              ? `the command failed with status 100${hostile}`
              : status === 'unreachable'
                ? `no answer from ${host} port 22 within 10 s`
                : '',
          changes:
            status === 'changed'
              ? [
                  {
                    summary: `write /etc/containerd/config.toml${hostile}`,
                    diff: {
                      kind: 'text',
                      path: '/etc/containerd/config.toml',
                      before: `a = 1\nb = ${n}\n`,
                      after: `a = 1\nb = ${h % 7}${hostile}\nc = 3\n`,
                    },
                  },
                ]
              : [],
          ...(status === 'failed'
            ? {
                cmd: `apt-get install -y containerd.io=1.7.28-1${hostile}`,
                rc: 100,
                stdout: `Reading package lists...${hostile}\n`,
                stderr: `E: Version '1.7.28-1' for 'containerd.io' was not found${hostile}\n`,
                hint: `apt-cache madison containerd.io${hostile}`,
                frame: `12 | - name: ${task}${hostile}\n     ^^^^`,
                notRun: [`containerd${hostile}`],
              }
            : {}),
        }
      }
    }
    yield { type: 'play_ended', playId: String(p), elapsedMs: 1000 }
  }
  yield { type: 'host_note', host: names[0]!, level: 'warning', msg: `connected again after 3 s${hostile}` }
  yield {
    type: 'recap',
    run: '20261120-031500-4f2a',
    hosts: {},
    elapsedMs: Math.max(...clock) - at,
    interrupted: false,
    owed: { [names[0]!]: [`Restart${hostile}`] },
  }
}
