import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Change } from '../module/change.ts'
import {
  JOB_EXISTS,
  JOB_ID,
  type JobLook,
  LOOK_LIMIT,
  lookAtJob,
  NO_SETSID,
  parseLook,
  removeJob,
  startJob,
} from '../module/jobs.ts'
import { EVERYTHING } from '../module/resources.ts'
import { Keep } from '../session/keep.ts'
import { SessionError } from '../session/session.ts'
import { type Member, outcomeOf } from './batch.ts'
import type { ModuleEntry } from './entry.ts'
import { barred } from './fence.ts'
import { NOTHING, type Outcome } from './outcome.ts'
import { type Performer, PROBE_TIMEOUT_MS } from './perform.ts'
import type { Answer } from './request.ts'
import { upload } from './upload.ts'
import { watching, withEnvironment } from './watch.ts'
import type { Slot } from './window.ts'

/** Milliseconds until the first look at a command that has begun; then longer and longer, up to `poll`. */
const FIRST_LOOK_MS = 200
/** Bytes of each stream that are kept, as of other commands. */
const KEPT = 16 * 1024 * 1024
/** Milliseconds that a job may take from its folder to its first word. */
const START_MS = 30_000

/** How a detached command ended; `cleanUp` when that is in the journal: until then a resumed run can read it again. */
export interface Detached {
  readonly outcome: Outcome
  cleanUp(): Promise<void>
}

/** What the intent in the journal says: which job, and of what command. */
interface Record {
  readonly job: string
  readonly command: string
}

/**
 * Runs the command of a task so that it goes on whatever becomes of the connection and of this run, and waits for it. One
 * that an earlier run began is taken up again: by `--resume` in any case, by another run while it is still under way.
 * Undefined when the run is to end: the command goes on, and the task is not over.
 */
export async function runDetached(performer: Performer, slot: Slot, entry: ModuleEntry): Promise<Detached | undefined> {
  return new DetachedRun(performer, slot, entry).run()
}

const done = (outcome: Outcome): Detached => ({ outcome, cleanUp: async () => {} })

class DetachedRun {
  readonly #performer: Performer
  readonly #slot: Slot
  readonly #entry: ModuleEntry
  readonly #answers = new Map<string, Answer>()
  /** Under which the journal keeps that it was begun. */
  readonly #intent: string

  constructor(performer: Performer, slot: Slot, entry: ModuleEntry) {
    this.#performer = performer
    this.#slot = slot
    this.#entry = entry
    const { progress } = slot
    this.#intent = `job ${performer.host.play.key} ${progress.key} ${entry.item?.index ?? 0}`
  }

  async run(): Promise<Detached | undefined> {
    const entry = this.#entry
    for (;;) {
      const error = await this.#performer.ask(entry, [this.#slot], this.#answers)
      if (error === 'again') continue
      if (error) return done(this.#performer.judged(entry, error))
      break
    }
    const plan = this.#performer.plan(entry, this.#answers)
    if ('failed' in plan) return done(this.#performer.judged(entry, plan.failed))
    const [change] = plan.changes
    const mine: Record = { job: randomBytes(8).toString('hex'), command: change ? hashOf(change) : '' }
    try {
      const earlier = await this.#takeUp(mine)
      if (earlier && 'outcome' in earlier) return earlier
      if (!earlier && !change) {
        this.#journal.intentDone(entry.actor.name, this.#intent)
        return done(this.#performer.settled(this.#slot, entry, plan.state))
      }
      // What it was to create may be there by now; it is running all the same.
      const begun = change ?? unnamed(entry)
      const bar = earlier ? undefined : await barred(this.#performer)
      if (bar) {
        this.#journal.intentDone(entry.actor.name, this.#intent)
        return done(bar)
      }
      this.#performer.started(entry)
      this.#performer.host.handlers.oweAhead(entry.task, entry)
      const job = earlier?.job ?? mine.job
      const trouble = earlier ? undefined : await this.#start(job, begun)
      if (trouble) return this.#ended(job, this.#performer.judged(entry, trouble))
      return await this.#follow(job, { slot: this.#slot, changes: [begun], state: plan.state })
    } catch (error) {
      if (this.#leaves) return this.#leave()
      const outcome = this.#performer.unlucky(error)
      const hint = 'the command may go on there; apply --resume takes it up again'
      return done(this.#performer.judged(entry, { ...outcome, hint: outcome.hint ?? hint }))
    }
  }

  get #journal() {
    return this.#performer.host.play.run.input.journal
  }

  get #leaves(): boolean {
    const { stop, abort } = this.#performer.host.play.run.input
    return stop.aborted || abort.aborted
  }

  /** The command goes on without this run, and the task with a run that is resumed. */
  #leave(): undefined {
    const { host, name } = { host: this.#entry.actor.name, name: this.#entry.name }
    const msg = `"${name}" goes on there without this run; apply --resume takes it up again`
    this.#performer.host.play.run.emit({ type: 'host_note', host, level: 'info', msg })
    return undefined
  }

  /** The job that an earlier run of this task left, where it is to be taken up. */
  async #takeUp(mine: Record): Promise<Record | Detached | undefined> {
    const { run } = this.#performer.host.play
    const { name } = this.#entry.actor
    const record = (one: Record) => this.#journal.intent(run.id, name, this.#intent, { ...one })
    const earlier = record(mine) as Partial<Record> | undefined
    const job = earlier?.job
    if (typeof job !== 'string' || !JOB_ID.test(job)) return undefined
    const before = { job, command: String(earlier?.command ?? '') }
    record(before)
    const { state } = await this.#look(job, 0, 0)
    const isSame = mine.command === '' || before.command === mine.command
    const goesOn = state === 'running' || state === 'starting'
    if (state !== 'absent' && (run.input.resume !== undefined || (goesOn && isSame))) {
      this.#say(`taken up again: it was begun by an earlier run and ${goesOn ? 'still runs' : `has ${state}`}`)
      return before
    }
    if (goesOn) {
      const msg = 'another command of this task, begun by an earlier run, still runs on the host'
      return done({ ...NOTHING, status: 'failed', msg, hint: `its process is in the jobs folder, under ${job}` })
    }
    await this.#script(removeJob(job))
    record(mine)
    return undefined
  }

  /** Begins the command; an outcome when it could not be begun. */
  async #start(job: string, change: Change): Promise<Outcome | undefined> {
    const limit = (this.#entry.detach?.limit ?? 0) / 1000
    const { id, input } = this.#performer.host.play.run
    const name = input.redactor.redact(`${id} ${this.#entry.noLog ? 'a task with no_log' : this.#entry.name}`)
    const script = startJob(job, withEnvironment(this.#entry, change.script ?? ':'), limit, name)
    for (let again = false; ; again = true) {
      try {
        // Over a connection that was lost it may have begun all the same.
        if (again && (await this.#look(job, 0, 0)).state !== 'absent') return undefined
        const shell = await this.#performer.shell(this.#entry)
        const { abort } = this.#performer.host.play.run.input
        if (change.upload) await upload(shell, change.upload, abort)
        const { rc, stderr } = await shell.run(script, { timeoutMs: PROBE_TIMEOUT_MS, signal: abort })
        this.#performer.connectionWorks()
        if (rc === 0 || rc === JOB_EXISTS) return undefined
        const why = rc === NO_SETSID ? 'the host has no setsid(1): util-linux or busybox' : String(stderr).trim()
        return { ...NOTHING, status: 'failed', msg: `cannot detach a command: ${why}` }
      } catch (error) {
        if (!this.#performer.lost(error)) throw error
      }
    }
  }

  /** Waits for the end of the job, telling what it prints. */
  async #follow(job: string, member: Member): Promise<Detached | undefined> {
    const { poll, limit } = this.#entry.detach!
    if (poll === 0) return this.#begun(job)
    const kept = { stdout: new Keep(KEPT), stderr: new Keep(KEPT) }
    const at = { stdout: 0, stderr: 0 }
    const watch = watching(this.#performer, [this.#entry])
    const started = performance.now()
    try {
      for (let wait = FIRST_LOOK_MS; ; ) {
        const look = await this.#look(job, at.stdout, at.stderr)
        for (const stream of ['stdout', 'stderr'] as const) {
          if (look[stream].length > 0) watch.onOutput?.(0, stream, look[stream])
          kept[stream].add(look[stream])
          at[stream] += look[stream].length
        }
        // A look brings so much at the most: there is more.
        if (Math.max(look.stdout.length, look.stderr.length) >= LOOK_LIMIT) continue
        const isBeginning = look.state === 'starting' && performance.now() - started < START_MS
        if (look.state !== 'running' && !isBeginning) {
          const output = { ...look, stdout: kept.stdout.take(), stderr: kept.stderr.take() }
          return this.#ended(job, this.#outcome(output, member, limit))
        }
        if (this.#leaves) return this.#leave()
        await this.#performer.sleep(Math.min(wait, poll))
        wait *= 1.5
      }
    } finally {
      watch.end()
    }
  }

  #outcome({ state, rc, seconds, stdout, stderr }: JobLook, member: Member, limit: number | undefined): Outcome {
    const elapsedMs = seconds * 1000
    if (state === 'ended') {
      return outcomeOf(this.#performer, member, [{ rc, stdout, stderr, elapsedMs }], this.#answers, [])
    }
    const said = { stdout: stdout.toString('utf8'), stderr: stderr.toString('utf8') }
    const { cmd } = member.changes[0]!
    const msg = BAD_ENDS[state] ?? `did not end within its time limit of ${(limit ?? 0) / 1000} s, and was killed`
    const outcome = { ...NOTHING, status: 'failed', msg, cmd, ...said, data: said, elapsedMs, uncertain: true } as const
    return this.#performer.judged(this.#entry, outcome)
  }

  /** `poll: 0`: the task is over, and the command is the playbook's to ask about. */
  #begun(job: string): Detached {
    const data = { ansible_job_id: job, started: true, finished: false }
    const summary = `begin ${this.#entry.task.moduleName} as job ${job}`
    const outcome: Outcome = { ...NOTHING, status: 'changed', changes: [{ summary }], data }
    return {
      outcome,
      cleanUp: async () => {
        this.#journal.flush()
        this.#journal.intentDone(this.#entry.actor.name, this.#intent)
      },
    }
  }

  #ended(job: string, outcome: Outcome): Detached {
    return {
      outcome,
      cleanUp: async () => {
        this.#journal.flush()
        try {
          await this.#script(removeJob(job))
        } catch (error) {
          // A later start sweeps it away.
          if (!(error instanceof SessionError) && !this.#leaves) throw error
        }
        this.#journal.intentDone(this.#entry.actor.name, this.#intent)
      },
    }
  }

  async #look(job: string, out: number, err: number): Promise<JobLook> {
    for (;;) {
      try {
        const { stdout } = await this.#script(lookAtJob(job, out, err))
        const look = parseLook(stdout)
        this.#performer.connectionWorks()
        if (look) return look
        throw new SessionError(
          'lost',
          this.#entry.actor.name,
          'the host gives no sensible answer about a detached command',
        )
      } catch (error) {
        if (this.#leaves || !this.#performer.lost(error)) throw error
        await sleep(FIRST_LOOK_MS)
      }
    }
  }

  async #script(script: string) {
    const { abort } = this.#performer.host.play.run.input
    const shell = await this.#performer.shell(this.#entry)
    return shell.run(script, { timeoutMs: PROBE_TIMEOUT_MS, signal: abort })
  }

  #say(text: string): void {
    this.#performer.output(this.#entry, 'log', `${text}\n`)
  }
}

const UNSURE = 'it may have done its work in part; look at the host before you run it again'
const BAD_ENDS: Readonly<{ [state: string]: string }> = {
  rebooted: `the host was booted anew while this command ran: ${UNSURE}`,
  died: `the command was killed by somebody, and did not say how it ended: ${UNSURE}`,
  absent: `what was known of this command is gone from the host: ${UNSURE}`,
  starting: 'the command did not begin',
}

/** For a command that is running though nothing would be to do any more. */
function unnamed({ task }: ModuleEntry): Change {
  return { summary: `run ${task.moduleName}`, touches: [EVERYTHING], transient: true }
}

function hashOf({ script = '' }: Change): string {
  return createHash('sha256').update(script).digest('hex')
}
