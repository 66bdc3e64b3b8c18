import { TaskFailure } from '../module/define.ts'
import { type Play, type Step, type Task, tasksOf } from '../playbook/index.ts'
import { Problems, UserError } from '../shared/errors.ts'
import { PENDING, PendingError } from '../values/index.ts'
import type { HostState } from './host.ts'
import { Meeting } from './meeting.ts'
import { PlayRun } from './play.ts'
import { prepare } from './prepare.ts'
import { itemsOf } from './progress.ts'
import type { Run } from './run.ts'
import { taskScope } from './vars.ts'

/** Variables that the engine itself gives to some tasks. */
const GIVEN_LATER = ['facts', 'failed_task', 'failed_result', 'loop']
/** Items of a loop that are looked at: enough for a mistake that all have, cheap for a loop over thousands. */
const ITEMS = 20

interface Candidate {
  readonly task: Task
  /** It may fail: a rescue part, or ignore_errors, is there for it. */
  readonly mayFail: boolean
}

/**
 * Renders all tasks for all hosts before the first connection, with everything that only the run will tell marked as not
 * known yet. What fails then would fail in the run, after other tasks had changed the host: a variable that nobody
 * defines, a file that is not there, an argument of the wrong type. Throws one UserError with all of it.
 *
 * Nothing is reported that a run might not come to: behind a `when` that depends on the run, or where the playbook brings
 * in tasks by a name that is not known yet.
 */
export async function precheck(run: Run, plays: readonly { play: Play; hosts: readonly HostState[] }[]): Promise<void> {
  const problems = new Problems()
  const seen = new Set<string>()
  const names = new Set<string>(GIVEN_LATER)
  const makesFiles = plays.some(({ play }) => tasksOfPlay(play).some(({ task }) => makesControllerFiles(task)))
  for (const { play, hosts } of plays) {
    const candidates = tasksOfPlay(play)
    for (const { task } of candidates) for (const name of setBy(task)) names.add(name)
    for (const prompt of play.prompts) names.add(prompt.name)
    if (hasUnknownIncludes(play)) continue
    const overlay = new Map([...names].map((name) => [name, PENDING]))
    const meeting = new Meeting(hosts)
    meeting.begin(hosts)
    const playRun = new PlayRun(run, play, hosts, meeting, names)
    for (const state of hosts) {
      for (const { task, mayFail } of candidates) {
        if (mayFail) continue
        const error = await firstTrouble(playRun, state, task, overlay)
        if (!error || (error instanceof TaskFailure && makesFiles)) continue
        collect(problems, seen, error, task, state)
      }
    }
  }
  problems.throwIfAny()
}

/** What is wrong with a task on a host, as far as it can be known. */
async function firstTrouble(
  play: PlayRun,
  state: HostState,
  task: Task,
  overlay: ReadonlyMap<string, unknown>,
): Promise<Error | undefined> {
  try {
    const items = itemsOf(task, taskScope(play, state, task, overlay)).slice(0, ITEMS)
    for (const item of items) {
      const entry = await prepare(play, state, task, item, overlay)
      if (entry.kind === 'broken') return entry.error
    }
    return undefined
  } catch (error) {
    if (error instanceof PendingError) return undefined
    // A loop that cannot be evaluated does not matter where `when` is false without its items.
    if (error instanceof UserError) return task.when.length === 0 ? error : undefined
    throw error
  }
}

function collect(problems: Problems, seen: Set<string>, error: Error, task: Task, state: HostState): void {
  const list =
    error instanceof UserError ? error.problems : [{ message: error.message, place: task.argsPlace, hint: undefined }]
  for (const { message, place, hint } of list) {
    const key = `${message} ${place?.file.path} ${place?.offset}`
    if (seen.has(key)) continue
    seen.add(key)
    problems.add(`${message} (host ${state.name})`, place ?? task.place, hint)
  }
}

function tasksOfPlay(play: Play): Candidate[] {
  return [
    ...play.sections.flatMap((s) => [...walk(s.steps, false)]),
    ...play.handlers.map((task) => ({ task, mayFail: false })),
  ]
}

function* walk(steps: readonly Step[], mayFail: boolean): Generator<Candidate> {
  for (const step of steps) {
    if (step.kind === 'task') yield { task: step, mayFail: mayFail || step.ignoreErrors !== undefined }
    else if (step.kind === 'block') {
      yield* walk(step.block, mayFail || step.rescue.length > 0)
      yield* walk(step.rescue, mayFail)
      yield* walk(step.always, mayFail)
    }
    // What stands in an include depends on its `when` and its items: its own turn comes when it is opened.
    else for (const task of tasksOf(step.known?.steps ?? [])) yield { task, mayFail: true }
  }
}

function hasUnknownIncludes(play: Play): boolean {
  const unknown = (steps: readonly Step[]): boolean =>
    steps.some((step) => {
      if (step.kind === 'include') return step.known === undefined || unknown(step.known.steps)
      return step.kind === 'block' && (unknown(step.block) || unknown(step.rescue) || unknown(step.always))
    })
  return play.sections.some((section) => unknown(section.steps))
}

/** Names that a task gives to its host, or to its own items. */
function setBy(task: Task): string[] {
  const names = task.register === undefined ? [] : [task.register]
  if (task.module.type === 'module' && task.module.provides === 'variables' && task.argsNode.kind === 'map') {
    names.push(...task.argsNode.entries.keys())
  }
  return names
}

/** Whether a task may make files on the controller that later tasks need. */
function makesControllerFiles({ delegateTo, moduleName }: Task): boolean {
  return delegateTo !== undefined || ['fetch', 'kubeconfig'].includes(moduleName)
}
