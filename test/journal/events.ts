import type { TaskResultEvent } from '../../src/shared/events.ts'

/** A task result with the usual members filled in. */
export function result(some: Partial<TaskResultEvent> = {}): TaskResultEvent {
  return {
    type: 'task_result',
    host: 'h1',
    play: 'Prepare',
    playId: '0',
    task: 'Kernel parameters',
    taskId: '0.tasks.0',
    module: 'sysctl',
    handler: false,
    status: 'ok',
    changes: [],
    msg: '',
    place: 'site.yml:7:5',
    at: 1_700_000_000_000,
    elapsedMs: 12,
    ...some,
  }
}
