/** One run, from the options of `apply`, `plan` and `run` to the exit code. */
import { homedir, userInfo } from 'node:os'
import { dirname } from 'node:path'
import { runPlaybooks } from '../engine/run.ts'
import { openJournal } from '../journal/open.ts'
import { loadPlaybooks, playbookHash } from '../playbook/index.ts'
import { createReporter, type OutputName } from '../report/create.ts'
import { htmlReport } from '../report/html/page.ts'
import { junitFile } from '../report/junit.ts'
import type { Verbosity } from '../report/reporter.ts'
import { connect } from '../session/connect.ts'
import type { Target } from '../session/session.ts'
import { UserError } from '../shared/errors.ts'
import { EXIT, exitCodeOf } from './exit.ts'
import { extraVarsHash, readExtraVars } from './extra-vars.ts'
import { openInventory, stateFolder } from './inputs.ts'
import { listenForInterrupt } from './interrupt.ts'
import { stepQuestion, terminalPrompt } from './prompt.ts'
import { hostsToRetry } from './retry.ts'
import { decrypt, redactor } from './secrets.ts'

export interface RunFlags {
  readonly inventory: readonly string[]
  readonly limit?: string
  readonly tags: readonly string[]
  readonly skipTags: readonly string[]
  readonly extraVars: readonly string[]
  readonly startAtTask?: string
  readonly retryFailed?: boolean
  readonly junit?: string
  readonly report?: string
  readonly step?: boolean
  /** Seconds. */
  readonly factsMaxAge?: number
  readonly check: boolean
  readonly diff: boolean
  readonly forks: number
  readonly resume: boolean
  readonly output?: OutputName
  readonly verbose: Verbosity
  readonly user?: string
  readonly privateKey?: string
  readonly askBecomePass: boolean
  /** Milliseconds. */
  readonly waitLock?: number
  readonly acceptNewHostKeys: boolean
  /** Where `.runbook/` stands; default: see `stateFolder`. */
  readonly folder?: string
  readonly detailedExitcode: boolean
}

export interface RunRequest {
  readonly flags: RunFlags
  readonly playbooks: readonly string[]
  /** Playbooks that are on no disk, by path. */
  readonly texts?: ReadonlyMap<string, string>
  /** What the journal keeps as the command. */
  readonly command: readonly string[]
}

/** Runs playbooks and reports; gives the exit code. Throws UserError for wrong input. */
export async function run({ flags, playbooks: paths, texts, command }: RunRequest): Promise<number> {
  const extraVars = await readExtraVars(flags.extraVars)
  const [playbooks, inventory] = await Promise.all([
    loadPlaybooks(paths, { extraVars, texts, decrypt }),
    openInventory(flags.inventory, paths),
  ])
  const reporter = await createReporter({
    output: flags.output,
    verbosity: flags.verbose,
    diff: flags.diff,
    answers: texts !== undefined,
    resumable: texts === undefined && !flags.check,
  })
  const baseDir = texts ? '.' : dirname(paths[0]!)
  const stateDir = flags.folder ?? (texts ? '.' : stateFolder(paths))
  using journal = openJournal(stateDir, {
    onError: (error) =>
      reporter.warn(`the run goes on without a journal: ${error instanceof Error ? error.message : error}`),
  })
  const hash = `${playbookHash(playbooks)} ${extraVarsHash(flags.extraVars)}`
  const earlier = flags.resume ? journal.unfinished(hash) : undefined
  if (flags.resume && !earlier)
    reporter.warn('there is no unfinished run of these playbooks with these variables to resume; starting anew')
  // What the earlier run left out at its start is left out again, and by a run that resumes this one.
  const carried = earlier ? startAtOf(earlier.command) : undefined
  const startAt = flags.startAtTask ?? carried

  const only = flags.retryFailed ? hostsToRetry(journal, paths, inventory) : undefined
  if (only?.size === 0) {
    reporter.warn('no host failed or was unreachable in the newest run of these playbooks; there is nothing to retry')
    await reporter.close()
    return EXIT.done
  }

  const prompt = terminalPrompt((fn) => reporter.suspend(fn))
  const step = flags.step ? stepQuestion(prompt) : undefined
  const becomePassword = flags.askBecomePass ? await askBecomePassword(prompt) : undefined
  if (becomePassword) redactor.add(becomePassword)
  using interrupt = listenForInterrupt((text) => reporter.warn(text))

  let junit: ReturnType<typeof junitFile> | undefined
  let report: ReturnType<typeof htmlReport> | undefined
  let id: string | undefined
  let exitCode: number = EXIT.bug
  try {
    junit = flags.junit === undefined ? undefined : junitFile(flags.junit)
    report = flags.report === undefined ? undefined : htmlReport(flags.report, '--report')
    const events = runPlaybooks({
      playbooks,
      inventory,
      limit: flags.limit,
      tags: { tags: flags.tags, skipTags: flags.skipTags },
      only,
      startAt,
      extraVars,
      check: flags.check,
      diff: flags.diff,
      forks: flags.forks,
      factsMaxAgeMs: flags.factsMaxAge === undefined ? undefined : flags.factsMaxAge * 1000,
      resume: earlier?.id,
      journal,
      connect,
      redactor,
      prompt,
      step,
      becomePassword,
      waitLockMs: flags.waitLock,
      target: targetOf(flags),
      baseDir,
      stateDir,
      stop: interrupt.stop,
      abort: interrupt.abort,
    })
    for await (const event of events) {
      if (event.type === 'run_started') {
        id = event.run
        journal.begin({
          id,
          command: carried === undefined ? command : [...command, START_AT, carried],
          playbookHash: hash,
          startedAt: event.at,
          check: flags.check,
          user: userInfo().username,
          resumes: earlier?.id,
        })
      }
      if (event.type === 'recap') exitCode = exitCodeOf(event, { detailed: flags.detailedExitcode })
      reporter.event(event)
      // An empty group is no mistake, and a slip in --limit must not look like a run that found all in order.
      if (event.type === 'recap' && Object.keys(event.hosts).length === 0)
        reporter.warn(`nothing was done: no play has a host${flags.limit === undefined ? '' : ` that --limit leaves`}`)
      junit?.event(event)
      report?.event(event)
    }
  } finally {
    junit?.close((text) => reporter.warn(text))
    report?.close((text) => reporter.warn(text))
    await reporter.close()
    if (id !== undefined) journal.end(id, exitCode)
  }
  return exitCode
}

const START_AT = '--start-at-task'

/** The task that a run of the journal started at, see `describe` of apply. */
function startAtOf(command: readonly string[]): string | undefined {
  const at = command.lastIndexOf(START_AT)
  return at === -1 ? undefined : command[at + 1]
}

async function askBecomePassword(prompt: ReturnType<typeof terminalPrompt>): Promise<string> {
  if (!prompt)
    throw new UserError({
      message: '--ask-become-pass needs a terminal to ask at',
      hint: 'without one, give ansible_become_password in an encrypted vars file',
    })
  return prompt('become password:', { secret: true })
}

function targetOf({ user, privateKey, acceptNewHostKeys }: RunFlags): Partial<Target> {
  return {
    ...(user === undefined ? {} : { user }),
    ...(privateKey === undefined ? {} : { privateKeyFile: privateKey.replace(/^~(?=\/)/, homedir()) }),
    ...(acceptNewHostKeys ? { hostKeys: 'accept-new' as const } : {}),
  }
}
