import { planPlays } from '../../engine/plan.ts'
import type { Inventory } from '../../inventory/index.ts'
import { openJournal } from '../../journal/open.ts'
import { type Include, loadPlaybooks, type Play, selectedSteps, type Task, writtenName } from '../../playbook/index.ts'
import { printable } from '../../report/text.ts'
import { formatPlace } from '../../shared/source.ts'
import { EXIT } from '../exit.ts'
import { readExtraVars } from '../extra-vars.ts'
import { openInventory, stateFolder } from '../inputs.ts'
import { hostsToRetry } from '../retry.ts'
import type { RunFlags } from '../run.ts'
import { decrypt } from '../secrets.ts'

export interface ListFlags {
  readonly listHosts: boolean
  readonly listTasks: boolean
  readonly listTags: boolean
}

interface Listed {
  readonly play: string
  readonly hosts?: readonly string[] | undefined
  readonly tasks?:
    | readonly { name: string; tags: readonly string[]; place: string; at_run_time?: boolean }[]
    | undefined
  readonly tags?: readonly string[] | undefined
}

/**
 * `runbook apply --list-hosts|--list-tasks|--list-tags`: what `--limit` and `--tags` leave of the plays. Connects to nothing.
 * Throws UserError for what `apply` refuses too.
 */
export async function list(paths: readonly string[], flags: RunFlags & ListFlags): Promise<number> {
  const extraVars = await readExtraVars(flags.extraVars)
  const [playbooks, inventory] = await Promise.all([
    loadPlaybooks(paths, { extraVars, decrypt }),
    openInventory(flags.inventory, paths),
  ])
  const only = flags.retryFailed ? fromJournal(paths, flags.folder, inventory) : undefined
  const selection = { tags: flags.tags, skipTags: flags.skipTags }
  const plays = planPlays({
    playbooks,
    inventory,
    limit: flags.limit,
    only,
    tags: selection,
    startAt: flags.startAtTask,
    extraVars,
  }).map(({ play, hosts }): Listed => {
    const steps = play.sections.flatMap((section) => [...selectedSteps(section.steps, selection)])
    return {
      play: play.name,
      hosts: flags.listHosts ? hosts.map(({ name }) => name) : undefined,
      tasks: flags.listTasks ? steps.map(listed) : undefined,
      tags: flags.listTags ? tagsOf(play, steps) : undefined,
    }
  })
  if (flags.output === 'json') for (const play of plays) process.stdout.write(`${JSON.stringify(play)}\n`)
  else process.stdout.write(plays.map(text).join('\n'))
  return EXIT.done
}

function fromJournal(paths: readonly string[], folder: string | undefined, inventory: Inventory): Set<string> {
  using journal = openJournal(folder ?? stateFolder(paths))
  return hostsToRetry(journal, paths, inventory)
}

function listed(step: Task | Include) {
  const name = `${step.role === undefined ? '' : `${step.role} : `}${writtenName(step)}`
  const common = { name, tags: step.tags, place: formatPlace(step.place) }
  return step.kind === 'include' ? { ...common, at_run_time: true } : common
}

const tagsOf = (play: Play, steps: readonly (Task | Include)[]): string[] =>
  [...new Set([...play.tags, ...steps.flatMap(({ tags }) => tags)])].toSorted()

function text({ play, hosts, tasks, tags }: Listed): string {
  const one = (word: string): string => printable(word).replaceAll('\n', ' ')
  const lines = [`PLAY ${one(play)}`]
  if (hosts) lines.push(`  hosts (${hosts.length}):`, ...hosts.map((host) => `    ${one(host)}`))
  if (tasks) {
    lines.push(`  tasks (${tasks.length}):`)
    for (const task of tasks) {
      const notes = [
        task.tags.length > 0 ? `tags: ${one(task.tags.join(', '))}` : '',
        task.at_run_time ? 'more at run time' : '',
      ]
      lines.push(`    ${[one(task.name), ...notes.filter(Boolean).map((note) => `[${note}]`)].join('  ')}`)
    }
  }
  if (tags) lines.push(`  tags: ${one(tags.join(', ')) || 'none'}`)
  return `${lines.join('\n')}\n`
}
