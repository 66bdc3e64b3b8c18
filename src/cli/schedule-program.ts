/** `runbook schedule …`: commands, options and help. */
import { type Command, InvalidArgumentError } from 'commander'
import { parseSpan } from '../maintenance/windows/time.ts'
import type { ScheduleFlags } from './commands/schedule.ts'
import type { AddCommand } from './program.ts'

/** Adds the commands below `parent`; `done` is told the exit code of the one that ran. */
export function addSchedule(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  const add = (usage: string, summary: string, examples: string): Command =>
    inputs(command(parent, usage, summary, examples))

  add('validate', 'Check every window, without touching anything', '  runbook schedule validate').action(
    async (flags: ScheduleFlags) => done(await (await import('./commands/schedule.ts')).validate(flags)),
  )
  add('next', 'When windows open next, local and UTC', '  runbook schedule next\n  runbook schedule next workers -n 10')
    .argument('[name]', 'only this window')
    .option('-n, --number <n>', 'how many', positive, 10)
    .option('--json', 'as JSON', false)
    .action(async (name: string | undefined, flags: ScheduleFlags & { number: number; json: boolean }) =>
      done(await (await import('./commands/schedule.ts')).next(name, flags)),
    )
  add('preview', 'Which hosts the next opening would touch, why, and when', '  runbook schedule preview workers')
    .argument('<name>', 'a window')
    .option('--json', 'as JSON', false)
    .action(async (name: string, flags: ScheduleFlags & { json: boolean }) =>
      done(await (await import('./commands/schedule.ts')).preview(name, flags)),
    )
  add('run', 'Be the daemon: open windows when it is their time', RUN_EXAMPLES)
    .option('--listen <address>', 'of the status page; port 0 takes a free one', '127.0.0.1:9640')
    .action(async (flags: ScheduleFlags & { listen: string }) =>
      done(await (await import('./commands/schedule-run.ts')).runDaemon(flags)),
    )
  add('trigger', 'Have the daemon open a window now', '  runbook schedule trigger workers')
    .argument('<name>', 'a window')
    .action(async (name: string, flags: ScheduleFlags) =>
      done(await (await import('./commands/schedule.ts')).trigger(name, flags)),
    )
  add(
    'pause',
    'Start no further nodes, and open no windows',
    "  runbook schedule pause --reason 'storage is rebuilding'\n  runbook schedule pause workers --for 12h",
  )
    .argument('[name]', 'only this window')
    .option('--for <time>', 'then it goes on by itself: 30m, 12h, 2d', span)
    .option('--reason <text>', 'shown with it', '')
    .action(async (name: string | undefined, flags: ScheduleFlags & { for?: number; reason: string }) =>
      done(await (await import('./commands/schedule.ts')).pause(name, flags)),
    )
  add('resume', 'End a pause', '  runbook schedule resume\n  runbook schedule resume workers')
    .argument('[name]', 'only this window')
    .action(async (name: string | undefined, flags: ScheduleFlags) =>
      done(await (await import('./commands/schedule.ts')).resume(name, flags)),
    )
  add(
    'history',
    'Earlier openings, newest first',
    '  runbook schedule history\n  runbook schedule history workers -n 50 --json',
  )
    .argument('[name]', 'only this window')
    .option('-n, --number <n>', 'how many', positive, 10)
    .option('--json', 'as JSON, with every node', false)
    .action(async (name: string | undefined, flags: ScheduleFlags & { number: number; json: boolean }) =>
      done(await (await import('./commands/schedule.ts')).history(name, flags)),
    )
  add('ics', 'The next openings as an iCalendar', '  runbook schedule ics > maintenance.ics')
    .option('-n, --number <n>', 'how many of each window', positive, 20)
    .action(async (flags: ScheduleFlags & { number: number }) =>
      done(await (await import('./commands/schedule.ts')).ics(flags)),
    )
  add(
    'install',
    'Write a systemd unit for the daemon',
    '  runbook schedule install --print\n  runbook schedule install --user runbook',
  )
    .option('--print', 'to the terminal, and write nothing', false)
    .option('--user <name>', 'who the daemon runs as; default: root')
    .option('--listen <address>', 'of the status page', '127.0.0.1:9640')
    .option('--unit <file>', 'where to write it', '/etc/systemd/system/runbook-schedule.service')
    .action(async (flags: ScheduleFlags & { print: boolean; user?: string; listen: string; unit: string }) =>
      done(await (await import('./commands/schedule-run.ts')).install(flags)),
    )
}

function inputs(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the windows; state is kept in .runbook beside it', 'maintenance.yml')
    .option(
      '-i, --inventory <path>',
      'inventory file, folder or executable (again for more)',
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.')
  return Number(text)
}

/** Milliseconds. */
function span(text: string): number {
  const ms = parseSpan(text)
  if (!ms) throw new InvalidArgumentError('It must be a length of time such as 30m, 12h, 2d.')
  return ms
}

export const SCHEDULE_EXAMPLES = `  runbook schedule validate
  runbook schedule next -n 20
  runbook schedule preview workers
  runbook schedule run                        the daemon; runbook schedule install makes it a service`
const RUN_EXAMPLES = `  runbook schedule run
  runbook schedule run --listen 127.0.0.1:9000

Ctrl-C (SIGTERM) once: nodes under way come to their end, then it ends. Twice: they are stopped too. SIGHUP: reads
maintenance.yml again.`
