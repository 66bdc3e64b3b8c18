/** Modules that look at a host or steer the play, on a real host: they change nothing. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { changesOf, onLabHost, type PlayBench, type Task } from './play.ts'

onLabHost('modules that look', async (t, host) => {
  await t.test('stat', async (t) => {
    await host.sh(`mkdir -p '/srv/stat/a  b'; cd /srv/stat; printf x >"it's"; chown ops:adm "it's"; chmod 4750 "it's"
      ln -s "it's" link; mkfifo fifo; ln -s loop loop`)
    const of = (name: string, more = {}) => ({ name, stat: { path: `/srv/stat/${name}`, ...more }, register: 'r' })
    const see = await seen(t, host, [
      of("it's", { get_checksum: true }),
      of('link'),
      of('link', { follow: true }),
      of('a  b'),
      of('fifo'),
      of('none/below'),
      of('loop'),
    ])
    const x = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881'
    t.match(see[0], { exists: true, isreg: true, mode: '4750', pw_name: 'ops', gr_name: 'adm', size: 1, checksum: x })
    t.match(see[1], { exists: true, islnk: true, lnk_target: "it's" })
    t.match(see[2], { isreg: true, size: 1 })
    t.match(see[3], { isdir: true })
    t.match(see[4], { exists: true, isreg: false })
    t.match(see[5], { exists: false })
    t.match(see[6], { exists: true, islnk: true })
  })

  await t.test('slurp and fetch', async (t) => {
    await host.sh(`mkdir -p /srv/fetch; cd /srv/fetch; head -c 300000 /dev/urandom >'a  b'; printf 'x\\n' >x; ln -s x link
      truncate -s 40M large`)
    const tasks: Task[] = [
      { name: 'slurp', slurp: { src: '/srv/fetch/link' }, register: 'slurped' },
      { name: 'same', assert: { that: "slurped.content == 'eAo='" } },
      { name: 'fetch', fetch: { src: '/srv/fetch/a  b', dest: 'fetched' } },
      { name: 'fetch', fetch: { src: '/srv/fetch/large', dest: 'flat/', flat: true } },
      { name: 'missing', fetch: { src: '/srv/fetch/none', dest: 'fetched', fail_on_missing: false } },
    ]
    await host.converges(t, ...tasks)
    const sums = await host.sh("cd /srv/fetch; sha256sum 'a  b' large | cut -c 1-64")
    const [one, two] = sums.split('\n')
    const local = (name: string) =>
      createHash('sha256')
        .update(readFileSync(host.besidePath(name)))
        .digest('hex')
    t.equal(local('fetched/n1/srv/fetch/a  b'), one)
    t.equal(local('flat/large'), two)
    await host.refuses(
      t,
      [/does not exist/, { slurp: { src: '/srv/fetch/none' } }],
      [/is a directory/, { slurp: { src: '/srv/fetch' } }],
      [/does not exist on the host/, { fetch: { src: '/srv/fetch/none', dest: 'fetched' } }],
      [/is a directory/, { fetch: { src: '/srv/fetch', dest: 'fetched' } }],
    )
  })

  await t.test('find', async (t) => {
    await host.sh(`mkdir -p /srv/find/sub/deep; cd /srv/find; touch a.log "b b.log" .hidden.log sub/c.log "$(printf 'new\\nline.log')"
      ln -s a.log link.log; touch -d '3 days ago' old.log; head -c 5000 /dev/zero >big.log; touch sub/deep/d.log`)
    const names = (r: Seen) => (r.files as { path: string }[]).map(({ path }) => path.replace('/srv/find/', ''))
    const of = (more: object) => ({ find: { paths: '/srv/find', patterns: ['*.log'], ...more }, register: 'r' })
    const see = await seen(t, host, [
      of({ recurse: true }),
      of({ age: '2d' }),
      of({ size: '4k' }),
      of({ hidden: true, patterns: '.h*' }),
      of({ paths: '/srv/none' }),
    ])
    t.strictSame(names(see[0]!), ['a.log', 'b b.log', 'big.log', 'old.log', 'sub/c.log', 'sub/deep/d.log'])
    t.strictSame(names(see[1]!), ['old.log'])
    t.strictSame(names(see[2]!), ['big.log'])
    t.strictSame(names(see[3]!), ['.hidden.log'])
    t.equal(see[4]!.matched, 0)
  })

  await t.test('debug, assert, fail, set_fact, pause, meta', async (t) => {
    const results = await host.converges(
      t,
      { name: 'fact', set_fact: { port: 6443, list: ['a', 'b'], text: '{{ inventory_hostname }}' } },
      { name: 'shown', debug: { msg: '{{ text }} {{ port }}' } },
      { name: 'value', debug: { var: 'list' } },
      { name: 'holds', assert: { that: ['port == 6443', 'size(list) == 2', "text == 'n1'"] } },
      { name: 'waits', pause: { seconds: 0.2 } },
      { name: 'fails', fail: { msg: 'because {{ port }}' }, ignore_errors: true },
      { name: 'not so', assert: { that: ['true', 'port == 1'], fail_msg: 'port is {{ port }}' }, ignore_errors: true },
      { name: 'leaves', meta: 'end_host' },
      { name: 'never', fail: { msg: 'never' } },
    )
    t.strictSame(
      results.map(({ task, status }) => `${task} ${status}`),
      ['fact ok', 'shown ok', 'value ok', 'holds ok', 'waits ok', 'fails ignored', 'not so ignored', 'leaves ok'],
    )
    t.equal(results[1]!.msg, 'n1 6443')
    t.match(results[2]!.msg, /^list = \[\s+"a",\s+"b"\s+\]$/)
    t.equal(results[5]!.msg, 'because 6443')
    t.match(results[6]!.msg, /port is 6443/)
  })

  await t.test('wait_for and wait_for_connection', async (t) => {
    await host.sh('mkdir -p /srv/wait')
    const tasks = [
      { name: 'sshd', wait_for: { port: 22, timeout: 10 } },
      { name: 'line', wait_for: { path: '/srv/wait/late', search_regex: '^ready', sleep: 0.1, timeout: 20 } },
      { name: 'gone', wait_for: { path: '/srv/wait/lock', state: 'absent', sleep: 0.1, timeout: 20 } },
      { name: 'closed', wait_for: { port: 1, state: 'stopped', timeout: 10 } },
      { name: 'command', wait_for: { command: 'test -d "/srv/wait"', timeout: 10 } },
      { name: 'connection', wait_for_connection: { timeout: 10 } },
    ]
    const checked = await host.run(tasks, ['--check'])
    t.equal(checked.code, 0, 'check mode does not wait')
    // What comes and goes while the play waits for it.
    await host.sh(`touch /srv/wait/lock
      systemd-run --quiet sh -c 'sleep 1; echo ready >/srv/wait/late; rm -f /srv/wait/lock'`)
    const waited = await host.run(tasks)
    t.equal(waited.code, 0, JSON.stringify(waited.results.at(-1)))
    t.strictSame([changesOf(checked), changesOf(waited)], [[], []])
    const quick = { timeout: 1, sleep: 0.2 }
    const { results, code } = await host.run([
      { wait_for: { port: 1, ...quick }, ignore_errors: true },
      { wait_for: { path: '/srv/wait/none', ...quick }, ignore_errors: true },
      { wait_for: { command: 'echo no; false', ...quick }, ignore_errors: true },
    ])
    t.equal(code, 0)
    t.match(results, [{ msg: /port 1 .* did not open/ }, { msg: /none did not appear/ }, { msg: /did not succeed/ }])
  })

  await t.test('facts', async (t) => {
    const { results } = await host.run([{ facts: {} }, { debug: { var: 'facts' } }])
    t.match(results[1]!.msg, /"bookworm"|debian/)
    const told = JSON.parse(results[1]!.msg.replace('facts = ', '')) as Record<string, unknown>
    t.equal(told.hostname, 'n1')
    t.equal(told.boot_id, (await host.sh('cat /proc/sys/kernel/random/boot_id')).trim())
    t.equal((told.kernel as { release: string }).release, (await host.sh('uname -r')).trim())
  })
})

type Seen = Readonly<Record<string, unknown>>

/** The values that tasks register, in check mode and in a real run: they must be the same, and nothing may be touched. */
async function seen(t: Test, host: PlayBench, tasks: readonly Task[]): Promise<Seen[]> {
  const shown = tasks.flatMap((task) => [task, { debug: { var: 'r' } }])
  const values = async (args: readonly string[]) => {
    const { results, code, stderr } = await host.run(shown, args)
    t.equal(code, 0, JSON.stringify(results.at(-1)) + stderr)
    return results
      .filter((r) => r.module === 'debug')
      .map((r) => JSON.parse(r.msg.slice(4).replace(/"atime": \d+/, '"atime": 0')) as Seen)
  }
  const real = await values([])
  t.strictSame(await values(['--check']), real, 'the same in check mode')
  return real.map((r) => ('stat' in r ? (r.stat as Seen) : r))
}
