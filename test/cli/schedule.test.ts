/** `runbook schedule`: the daemon with real children, killed and ended; two of them; systemd's words; its HTTP server. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { runbook } from './runbook.ts'
import { daemon, PLAYBOOK, site, window } from './schedule-support.ts'

t.setTimeout(290_000)

const until = async (condition: () => boolean | Promise<boolean>, what: string): Promise<void> => {
  for (const end = Date.now() + 90_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
/** Those that the journal has on the disk. */
function changedTasks(folder: string): unknown {
  using db = new DatabaseSync(join(folder, '.runbook/journal.db'), { readOnly: true })
  return db.prepare(`SELECT count(*) AS n FROM events WHERE status = 'changed'`).get()!.n
}
const lines = (path: string): string[] => (existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [])

t.test('killed in the middle: the next daemon takes up what lives, and begins again what does not', async (t) => {
  const { folder, write } = site(t, `windows:\n${window('workers')}`)
  const first = await daemon(t, folder)
  t.match(await runbook(['schedule', 'trigger', 'workers'], folder), { code: 0 })
  await until(() => lines(join(folder, 'begun')).length === 1, 'a node under way')
  first.child.kill('SIGKILL')
  await first.ended
  write('go-w1', '')
  await until(() => lines(join(folder, 'worked')).includes('w1'), 'w1 without a daemon')
  const second = await daemon(t, folder)
  await second.says('goes on with workers')
  await until(() => lines(join(folder, 'begun')).includes('w2'), 'w2 under way')
  // Now both at once, as by a power cut.
  second.child.kill('SIGKILL')
  await second.ended
  const [record] = JSON.parse((await runbook(['schedule', 'history', '--json'], folder)).out)
  const w2 = record.nodes.find((node: { host: string }) => node.host === 'w2')
  process.kill(-JSON.parse(w2.process)[1], 'SIGKILL')
  // The step that it was at is nobody's child, and lives on: the next run waits for its end.
  write('go-w2', '')
  write('go-w3', '')
  const third = await daemon(t, folder)
  await third.says('closed: workers: 3 of 3 nodes done')
  t.same(lines(join(folder, 'begun')), ['w1', 'w2', 'w2', 'w3'], 'w1 was not begun again')
  t.ok(lines(join(folder, 'worked')).includes('w3'))
  t.equal(statSync(join(folder, '.runbook/schedule.db')).mode & 0o077, 0)
  const history = await runbook(['schedule', 'history'], folder)
  t.match(history.out, /done\s+workers \(triggered by .+\): 3 of 3 nodes done/)
})

t.test(
  'begun again after a crash, a playbook goes on: commands that had come to their end do not run again',
  async (t) => {
    const { folder, write } = site(t, `windows:\n${window('workers', '    vars: { word: hello }\n')}`)
    const once = `    - command: sh -c 'echo {{ word }} {{ inventory_hostname }} >>once'\n      args: { chdir: '{{ site }}' }\n`
    write('cycle.yml', PLAYBOOK.replace(/( {4}- name: Wait)/, `${once}$1`))
    const first = await daemon(t, folder)
    await runbook(['schedule', 'trigger', 'workers'], folder)
    await until(() => lines(join(folder, 'begun')).length === 1, 'the second command')
    await until(() => changedTasks(folder) === 1, 'the first one is in the journal')
    const [open] = JSON.parse((await runbook(['schedule', 'history', '--json'], folder)).out)
    first.child.kill('SIGKILL')
    process.kill(-JSON.parse(open.nodes[0].process)[1], 'SIGKILL')
    await first.ended
    for (const host of ['w1', 'w2', 'w3']) write(`go-${host}`, '')
    const second = await daemon(t, folder)
    await second.says('closed: workers: 3 of 3 nodes done')
    t.same(lines(join(folder, 'once')), ['hello w1', 'hello w2', 'hello w3'])
    t.same(lines(join(folder, 'begun')), ['w1', 'w1', 'w2', 'w3'], 'what it was at is done again')
    t.same(lines(join(folder, 'worked')), ['w1', 'w2', 'w3'])
    // The next opening is another run: there is nothing of this one to go on with.
    await runbook(['schedule', 'trigger', 'workers'], folder)
    await until(() => second.out().split('closed: workers: 3 of 3 nodes done').length === 3, 'once more')
    t.equal(lines(join(folder, 'once')).length, 6)
  },
)

t.test(
  'died with its daemon before anything was changed: rolled back when the window is over, and not begun again',
  async (t) => {
    const yaml = window('workers', '    rollback: back.yml\n').replace('duration: 3h', 'duration: 15s')
    const { folder, write } = site(t, `windows:\n${yaml.replace('margin: 1m', 'margin: 5s')}`)
    const play = '- hosts: all\n  gather_facts: false\n  tasks:\n'
    const work = (what: string): string =>
      `    - command: sh -c 'echo {{ inventory_hostname }} >>${what}'\n      args: { chdir: '{{ site }}' }\n`
    write('cycle.yml', `${play}    - pause: { seconds: 600 }\n${work('worked')}`)
    write('back.yml', `${play}${work('back')}`)
    const first = await daemon(t, folder)
    await runbook(['schedule', 'trigger', 'workers'], folder)
    const history = async () => JSON.parse((await runbook(['schedule', 'history', '--json'], folder)).out)[0]
    await until(async () => (await history())?.nodes[0].phase === 'pause …', 'the pause')
    const open = await history()
    first.child.kill('SIGKILL')
    process.kill(-JSON.parse(open.nodes[0].process)[1], 'SIGKILL')
    await first.ended
    await until(() => Date.now() > open.ends, 'the end of the window')
    const second = await daemon(t, folder)
    await second.says('rolled_back: w1')
    await second.says('closed: workers: 0 of 3 nodes done, 1 rolled back, 2 left for the next time')
    t.same(lines(join(folder, 'back')), ['w1'])
    t.match((await history()).nodes[0], { host: 'w1', attempt: 2 }, 'the playbook once, the way back once')
  },
)

t.test('SIGTERM: the node under way comes to its end, no other begins, the next daemon goes on', async (t) => {
  const { folder, write } = site(t, `windows:\n${window('workers')}`)
  const first = await daemon(t, folder)
  await runbook(['schedule', 'trigger', 'workers'], folder)
  await until(() => lines(join(folder, 'begun')).length === 1, 'a node under way')
  first.child.kill('SIGTERM')
  await first.says('ends as soon as the nodes under way are through')
  write('go-w1', '')
  t.equal(await first.ended, 0)
  t.same(lines(join(folder, 'begun')), ['w1'])
  for (const host of ['w2', 'w3']) write(`go-${host}`, '')
  const second = await daemon(t, folder)
  await second.says('3 of 3 nodes done')
  second.child.kill('SIGTERM')
  t.equal(await second.ended, 0)
  t.same(lines(join(folder, 'worked')), ['w1', 'w2', 'w3'])
})

t.test('SIGTERM twice: nodes under way are stopped at the step they are at', async (t) => {
  const { folder, write } = site(t, `windows:\n${window('workers')}`)
  const one = await daemon(t, folder)
  await runbook(['schedule', 'trigger', 'workers'], folder)
  await until(() => lines(join(folder, 'begun')).length === 1, 'a node under way')
  one.child.kill('SIGTERM')
  await one.says('ends as soon as')
  one.child.kill('SIGTERM')
  const home = join(folder, '.runbook/schedule')
  const said = join(home, readdirSync(home)[0]!, 'w1.1.err')
  await until(() => lines(said).some((line) => line.includes('finishes the step')), 'the node is told')
  // The step waits for hands: it comes to its end, and the next one is not begun.
  write('go-w1', '')
  t.equal(await one.ended, 0)
  t.same(lines(join(folder, 'worked')), [])
  const [record] = JSON.parse((await runbook(['schedule', 'history', '--json'], folder)).out)
  t.match(record.nodes[0], { host: 'w1', status: 'failed', detail: /stopped/ })
  const { next } = record.nodes[0]
  t.equal(
    next,
    `runbook apply ${folder}/cycle.yml --limit w1 --folder ${folder} -i ${folder}/inventory.yml -e nodes=w1 -e runbook_window=${record.id} --resume`,
  )
  t.match((await runbook(['schedule', 'history'], folder)).out, `go on: ${next}\n`)
  // On this machine itself: another test may hold its run lock.
  const again = await runbook([...next.split(' ').slice(1), '--wait-lock', '60s'], folder)
  t.match(again, { code: 0 }, again.out + again.err)
  t.same(lines(join(folder, 'worked')), ['w1'], 'the command goes on')
  t.same(lines(join(folder, 'begun')), ['w1'], 'and does not do again what is done')
  t.match(
    (await runbook(['history'], folder)).out,
    /done .*apply .*cycle.yml/,
    'its journal stands beside maintenance.yml',
  )
})

t.test('the hard end: a node on which nothing was changed yet is rolled back', async (t) => {
  const yaml = window('workers', '    rollback: back.yml\n')
    .replace('duration: 3h', 'duration: 8s')
    .replace('margin: 1m', 'margin: 5s')
  const { folder, write } = site(t, `windows:\n${yaml}`)
  const play = '- hosts: all\n  gather_facts: false\n  tasks:\n'
  const work = (what: string): string =>
    `    - command: sh -c 'echo {{ inventory_hostname }} >>${what}'\n      args: { chdir: '{{ site }}' }\n`
  write('cycle.yml', `${play}    - pause: { seconds: 15 }\n${work('worked')}`)
  write('back.yml', `${play}${work('back')}`)
  const one = await daemon(t, folder)
  await runbook(['schedule', 'trigger', 'workers'], folder)
  await one.says(/rolled_back: w1/)
  await one.says('closed: workers: 0 of 3 nodes done, 1 rolled back, 2 left for the next time')
  t.same(lines(join(folder, 'back')), ['w1'])
  t.same(lines(join(folder, 'worked')), [])
})

t.test('cycles go through runbook node maintain: a guard refuses the machine that it runs on', async (t) => {
  const { folder, write } = site(t, `windows:\n${window('workers', '    cycle: true\n')}`)
  write('cycle.yml', "- hosts: '{{ nodes }}'\n  gather_facts: false\n  tasks:\n    - debug: { msg: hello }\n")
  const one = await daemon(t, folder)
  await runbook(['schedule', 'trigger', 'workers'], folder)
  await one.says('closed: workers: 0 of 3 nodes done, 1 failed, 2 left for the next time (1 failed)')
  t.match(
    one.out(),
    /node_failed: w1: .*it is the machine that this runbook runs on.*nothing was touched; go on: runbook node maintain w1/,
  )
})

t.test('two daemons: the second refuses; trigger wants one', async (t) => {
  const { folder } = site(t, `windows:\n${window('workers')}`)
  t.match(await runbook(['schedule', 'trigger', 'workers'], folder), { code: 3, err: /no daemon is running/ })
  const one = await daemon(t, folder)
  const two = await runbook(['schedule', 'run', '--listen', '127.0.0.1:0'], folder)
  t.match(two, { code: 3, err: new RegExp(`another daemon runs for maintenance.yml \\(process ${one.child.pid}, `) })
  one.child.kill('SIGKILL')
  await one.ended
  const three = await daemon(t, folder)
  three.child.kill('SIGTERM')
  t.equal(await three.ended, 0, 'the lock went with the one that was killed')
})

t.test('Type=notify and the watchdog, as systemd asks for them', async (t) => {
  const { folder, write } = site(t, `windows:\n${window('workers')}`)
  // systemd's side of the socket: Node has no datagram sockets, Python has.
  write(
    'listen.py',
    "import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.bind('notify')\nprint('bound', flush=True)\nwhile True:\n  print(s.recvmsg(4096, 4096)[0].decode().replace('\\n', ' '), flush=True)\n",
  )
  const peer = spawn('python3', ['listen.py'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => peer.kill())
  let heard = ''
  peer.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    heard += chunk
  })
  await until(() => heard.includes('bound'), 'the socket')
  const one = await daemon(t, folder, { NOTIFY_SOCKET: join(folder, 'notify'), WATCHDOG_USEC: '3000000' })
  await until(() => /READY=1/.test(heard), 'READY=1')
  await until(() => (heard.match(/WATCHDOG=1/g)?.length ?? 0) >= 3, 'three signs of life')
  t.match(heard, /STATUS=http:\/\/127/)
  one.child.kill('SIGTERM')
  await until(() => /STOPPING=1/.test(heard), 'STOPPING=1')
  t.equal(await one.ended, 0)
})

t.test('one bad window does not stop the others; SIGHUP reads the file again', async (t) => {
  const bad = window('broken').replace('Europe/Berlin', 'Europe/Belrin')
  const { folder, write } = site(t, `windows:\n${bad}${window('workers')}`)
  const one = await daemon(t, folder)
  t.match(one.out(), /trouble: broken is left out: maintenance.yml:4:15: there is no time zone "Europe\/Belrin"/)
  const health = await fetch(`${one.address}healthz`)
  t.match(await health.json(), { status: 'degraded', left_out: [{ name: 'broken', text: /no time zone/ }] })
  t.equal(health.status, 200)
  t.match(await (await fetch(one.address)).text(), /<b>broken<\/b> is left out/)
  t.match(await (await fetch(`${one.address}metrics`)).text(), /runbook_schedule_left_out 1/)
  for (const host of ['w1', 'w2', 'w3']) write(`go-${host}`, '')
  await runbook(['schedule', 'trigger', 'workers'], folder)
  await one.says('3 of 3 nodes done')
  t.match(
    await (await fetch(`${one.address}metrics`)).text(),
    /runbook_schedule_closed_total\{window="workers",status="done"\} 1/,
  )
  write('maintenance.yml', 'windows: {')
  one.child.kill('SIGHUP')
  await one.says('maintenance.yml cannot be read, what was read before stands')
  write('maintenance.yml', `windows:\n${window('workers')}`)
  one.child.kill('SIGHUP')
  await until(
    async () => (await (await fetch(`${one.address}healthz`)).text()).includes('"status":"ok"'),
    'healthy again',
  )
})

t.test('the HTTP server is read-only and answers nobody else', async (t) => {
  const { folder } = site(t, `windows:\n${window('workers')}`)
  const { address } = await daemon(t, folder)
  t.equal((await fetch(address, { method: 'POST' })).status, 405)
  t.equal((await fetch(`${address}../etc/passwd`)).status, 404)
  const page = await fetch(address)
  t.match(page.headers.get('content-security-policy'), /default-src 'none'.*frame-ancestors 'none'/)
  const { request } = await import('node:http')
  const status = await new Promise((resolve) => {
    request(address, { headers: { host: 'evil.example' } }, (response) => resolve(response.statusCode)).end()
  })
  t.equal(status, 421, 'a name that somebody points at 127.0.0.1')
})
