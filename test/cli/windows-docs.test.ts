/** docs/windows.md: every command that it shows is run on the maintenance.yml that it shows. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readSchedule } from '../../src/maintenance/windows/schema.ts'
import { parseYaml } from '../../src/shared/yaml.ts'
import { runbook } from './runbook.ts'
import { daemon, site } from './schedule-support.ts'

t.setTimeout(200_000)

const DOCS = readFileSync(join(import.meta.dirname, '../../docs/windows.md'), 'utf8')
const [FILE, NOTIFY] = [...DOCS.matchAll(/```yaml\n([\s\S]*?)```/g)].map((m) => m[1]!) as [string, string]
const COMMANDS = [...DOCS.matchAll(/^ {4}(runbook .*)$/gm)].map((m) => m[1]!.replace(/ {3,}.*$/, ''))

/** What each says; those that `run` starts come with the daemon. */
const SAYS: Readonly<Record<string, RegExp>> = {
  'runbook schedule validate': /^workers: opens Tue .* 03:00 CES?T[\s\S]*1 window, nothing wrong/,
  'runbook schedule next -n 5': /^WINDOW +OPENS +UTC +FOR +NOTES\n(workers +Tue .*\n){5}$/,
  'runbook schedule preview workers': /1 +w1 +workers +never[\s\S]*1 other hosts of the inventory are not touched/,
  'runbook schedule ics': /^BEGIN:VCALENDAR\r\n[\s\S]*SUMMARY:Maintenance: workers\r\n[\s\S]*END:VCALENDAR\r\n$/,
  'runbook schedule install --print': /Type=notify\n[\s\S]*WatchdogSec=60/,
  'runbook schedule run': /./,
  'runbook schedule trigger workers': /workers will open within seconds/,
  "runbook schedule pause --reason 'storage is rebuilding'": /every window is paused/,
  'runbook schedule pause workers --for 12h': /workers is paused for 12h/,
  'runbook schedule resume': /resumed: every window/,
  'runbook schedule resume workers': /nothing was paused/,
  'runbook schedule history': /done +workers \(triggered by .*\): 3 of 3 nodes done/,
}

t.test('every command is known here', async (t) => {
  t.same(COMMANDS.toSorted(), Object.keys(SAYS).toSorted())
})

t.test('in their order', async (t) => {
  const { folder, write } = site(t, FILE)
  write('cycle.yml', '- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: { msg: hello }\n')
  writeFileSync(join(folder, 'tell-ops'), '#!/bin/sh\ncat >>told\n', { mode: 0o755 })
  let running: Awaited<ReturnType<typeof daemon>> | undefined
  for (const command of COMMANDS) {
    if (command === 'runbook schedule run') {
      running = await daemon(t, folder)
      continue
    }
    const args = [...command.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2]!).slice(1)
    const { code, out, err } = await runbook(args, folder)
    t.equal(code, 0, `${command}: ${err}`)
    t.match(out, SAYS[command], command)
    if (command.includes('trigger')) await running!.says('closed: workers: 3 of 3 nodes done')
  }
  running!.child.kill('SIGTERM')
  t.equal(await running!.ended, 0)
  t.match(readFileSync(join(folder, 'told'), 'utf8'), /"kind":"opened"[\s\S]*"kind":"closed"/)
})

t.test('the unit is one that systemd takes', async (t) => {
  const { folder, write } = site(t, FILE)
  write('tell-ops', '')
  const unit = join(folder, 'runbook-schedule.service')
  t.match(await runbook(['schedule', 'install', '--unit', unit], folder), { code: 0, out: /systemctl daemon-reload/ })
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' })
  t.notMatch(stderr, new RegExp(`${unit}.*(Unknown|Invalid|Failed|not executable|ignoring)`, 'i'), stderr)
  t.equal(status, 0, stderr)
  t.match(
    readFileSync(unit, 'utf8'),
    /NotifyAccess=all[\s\S]*After=time-sync.target|After=time-sync.target[\s\S]*NotifyAccess=all/,
  )
})

t.test('the channels', async (t) => {
  const { channels, bad } = readSchedule(parseYaml({ path: 'maintenance.yml', text: NOTIFY }), Date.now())
  t.same(bad, [])
  t.same([...channels.keys()], ['slack', 'pager', 'script'])
})

t.test('links lead somewhere', async (t) => {
  for (const [, path] of DOCS.matchAll(/`(test\/[\w/.-]+|playbooks\/[\w.-]+)`/g))
    t.ok(readFileSync(join(import.meta.dirname, '../..', path!)).length > 0, path!)
})
