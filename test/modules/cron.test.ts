import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import cron from '../../modules/cron.ts'
import { converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

const own = (text: string, rc = 0) => ({ own: { out: Buffer.from(text), rc } })
const after =
  (text: string) =>
  ([c]: readonly { diff?: unknown }[]) =>
    t.equal((c?.diff as { after: string } | undefined)?.after, text)

table(cron, [
  {
    name: 'the first job',
    args: { name: 'a job', job: 'x "y"', minute: '*/5', hour: 3 },
    state: own('no crontab for root\n', 1),
    check: after('#runbook: a job\n*/5 3 * * * x "y"\n'),
  },
  { name: 'is there', args: { name: 'a', job: 'x' }, state: own('#Ansible: a\n* * * * * x\n'), changes: [] },
  {
    name: 'changes in its place',
    args: { name: 'a', job: 'x', special_time: 'daily', disabled: true },
    state: own('# mine\n#Ansible: a\n* * * * * x\n0 0 * * * other\n'),
    check: after('# mine\n#runbook: a\n#@daily x\n0 0 * * * other\n'),
  },
  {
    name: 'two times',
    args: { name: 'a', job: 'x', special_time: 'daily', hour: 3 },
    state: own(''),
    invalid: /`special_time` stands instead of minute, hour/,
  },
  {
    name: 'a name without its job takes no other job away',
    args: { name: 'a', state: 'absent' },
    state: own('#runbook: a\n#runbook: b\n* * * * * b\n'),
    check: after('#runbook: b\n* * * * * b\n'),
  },
  {
    name: 'a variable stands first',
    args: { env: true, name: 'PATH', value: '/bin' },
    state: own('* * * * * x\n'),
    check: after('PATH="/bin"\n* * * * * x\n'),
  },
  { name: 'absent already', args: { name: 'a', state: 'absent' }, state: own('x\n'), changes: [] },
  {
    name: 'an unreadable crontab is not an empty one',
    args: { name: 'a', job: 'x' },
    state: own('crontab: permission denied', 1),
    fails: /permission denied/,
  },
  {
    name: 'the last job of a file',
    args: { name: 'a', state: 'absent', cron_file: 'f' },
    state: { file: { exists: true, text: '#runbook: a\n* * * * * root x\n' } },
    changes: ['remove /etc/cron.d/f'],
  },
  {
    name: 'a file that cron would not read',
    args: { name: 'a', job: 'x', cron_file: 'a.cron' },
    state: {},
    invalid: /cron leaves other files out/,
  },
  { name: 'two lines', args: { name: 'a', job: 'x\ny' }, state: {}, invalid: /one line/ },
])

inEachShell('cron', async (t, bench) => {
  const file = join(bench.host, 'jobs')
  await converge(t, bench, cron, { name: 'a', job: "echo 'it''s' \\%", cron_file: file, user: 'daemon', backup: true })
  t.equal(fs.readFileSync(file, 'utf8'), "#runbook: a\n* * * * * daemon echo 'it''s' \\%\n")
  await converge(t, bench, cron, { name: 'a', state: 'absent', cron_file: file })
  t.notOk(fs.existsSync(file))

  const look = () => spawnSync('crontab', ['-l', '-u', 'nobody'], { encoding: 'utf8' })
  if (look().error || look().status === 0) {
    t.comment('skipped: no crontab program here, or nobody has a crontab')
    return
  }
  t.teardown(() => spawnSync('crontab', ['-r', '-u', 'nobody'], { stdio: 'ignore' }))
  const { result } = await converge(t, bench, cron, { name: 'ä', job: 'echo "$HOME"', minute: 1, user: 'nobody' })
  t.same(result, { jobs: ['ä'] })
  t.match(look().stdout, '#runbook: ä\n1 * * * * echo "$HOME"\n')
  await converge(t, bench, cron, { name: 'ä', job: 'echo 2', user: 'nobody' })
  await converge(t, bench, cron, { name: 'ä', state: 'absent', user: 'nobody' })
  t.notMatch(look().stdout, /echo/)
})
