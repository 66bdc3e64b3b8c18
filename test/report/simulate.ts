import type { HostRecap, RunEvent, TaskResultEvent } from '../../src/shared/events.ts'

/** Tasks of the made-up play: name, module, how often it changes something, how long that takes (ms), whether it prints. */
const TASKS: readonly [string, string, number, number, boolean?][] = [
  ['Kernel parameters for Kubernetes', 'sysctl', 0.9, 40],
  ['Kernel modules', 'modprobe', 0.9, 60],
  ['Turn swap off', 'swap', 0.5, 200],
  ['Node folders', 'file', 0.2, 30],
  ['Repository of containerd', 'apt_repository', 0.5, 900, true],
  ['Install containerd', 'package', 0.6, 6000, true],
  ['containerd configuration', 'template', 0.6, 80],
  ['Read the version of kubeadm', 'command', 0, 30],
  ['Pull the images', 'command', 0.8, 4000, true],
  ['Start the kubelet', 'systemd_unit', 0.5, 700],
]

export interface Simulation {
  readonly hosts: number
  /** Durations are divided by this; Infinity: no waiting at all. */
  readonly speed: number
  readonly forks: number
  readonly seed?: number
}

/** A made-up run, for looking at reporters and for measuring them. The same seed gives the same run. */
export async function* simulate({ hosts, speed, forks, seed = 7 }: Simulation): AsyncGenerator<RunEvent> {
  let state = seed
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const names = Array.from({ length: hosts }, (_, i) => `k8s-${String(i + 1).padStart(3, '0')}`)
  const recap: Record<string, HostRecap> = {}
  const started = Date.now()
  const queue: RunEvent[] = []
  let wake = (): void => {}
  const emit = (event: RunEvent): void => {
    queue.push(event)
    wake()
  }
  const sleep = (ms: number): Promise<unknown> =>
    speed === Infinity ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms / speed))

  async function runHost(host: string): Promise<void> {
    const r: HostRecap = {
      ok: 0,
      changed: 0,
      skipped: 0,
      failed: 0,
      ignored: 0,
      rescued: 0,
      unreachable: 0,
      round_trips: 2,
    }
    recap[host] = r
    emit({ type: 'host_started', host, playId: '0' })
    await sleep(100 + random() * 800)
    const unreachable = random() < 0.01
    for (const [i, [task, module, chance, ms, prints]] of TASKS.entries()) {
      const base = {
        type: 'task_result',
        host,
        play: 'Prepare the nodes',
        playId: '0',
        task,
        taskId: `0.tasks.${i}`,
      } as const
      const rest = {
        module,
        handler: false,
        changes: [],
        msg: '',
        place: `site.yml:${12 + i * 6}:7`,
        at: Date.now(),
      } as const
      let event: TaskResultEvent
      if (unreachable) {
        const msg = `no answer from ${host} port 22 within 10 s`
        event = { ...base, ...rest, status: 'unreachable', msg, hint: 'is it powered on?', elapsedMs: 10_000 }
      } else if (random() >= chance) event = { ...base, ...rest, status: 'ok', elapsedMs: 2 }
      else {
        emit({ type: 'task_started', host, task, taskId: base.taskId, module, looks: false })
        const begun = Date.now()
        for (let part = 0; part < 5; part++) {
          await sleep((ms / 5) * (0.5 + random()))
          if (prints)
            emit({
              type: 'task_output',
              host,
              task,
              taskId: base.taskId,
              stream: 'stdout',
              text: `Unpacking ${module} (part ${part + 1} of 5) over (1.7.24-1) ...\n`,
            })
        }
        r.round_trips++
        event = { ...base, ...rest, status: 'changed', changes: [change(module)], elapsedMs: Date.now() - begun }
        if (ms > 3000 && random() < 0.02)
          event = { ...event, ...FAILURE, changes: [], frame: `${12 + i * 6} |     - name: ${task}\n         ^^^^` }
      }
      r[event.status]++
      emit(event)
      if (event.status === 'failed' || event.status === 'unreachable') return
    }
  }

  const waiting = [...names]
  emit({ type: 'run_started', run: 'demo', at: started, playbooks: ['site.yml'], check: false })
  emit({ type: 'play_started', play: 'Prepare the nodes', playId: '0', hosts: names, tasks: TASKS.length })
  const worker = async (): Promise<void> => {
    for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) await runHost(host)
  }
  let done = false
  const all = Promise.all(Array.from({ length: forks }, worker)).then(() => {
    const elapsedMs = Date.now() - started
    emit({ type: 'play_ended', playId: '0', elapsedMs })
    const owed = Object.fromEntries(names.filter((h) => recap[h]!.failed > 0).map((h) => [h, ['Restart containerd']]))
    emit({ type: 'recap', run: 'demo', hosts: recap, elapsedMs, interrupted: false, owed })
    done = true
  })
  while (!done || queue.length > 0) {
    if (queue.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    yield* queue.splice(0)
  }
  await all
}

const FAILURE = {
  status: 'failed',
  msg: 'the command failed with status 100',
  cmd: 'apt-get install -y containerd.io=1.7.28-1',
  rc: 100,
  stdout: 'Reading package lists...\nBuilding dependency tree...\n',
  stderr: "E: Version '1.7.28-1' for 'containerd.io' was not found\n",
  notRun: ['containerd configuration'],
  hint: 'apt-cache madison containerd.io shows what there is',
} as const

function change(module: string): TaskResultEvent['changes'][number] {
  if (module !== 'sysctl') return { summary: `${module}: make it so` }
  const path = '/etc/sysctl.d/90-runbook.conf'
  const before = 'kernel.panic = 10\nvm.swappiness = 60\n'
  return { summary: `write ${path}`, diff: { kind: 'text', path, before, after: `${before}net.ipv4.ip_forward = 1\n` } }
}
