/** Failures in a batch, connections that go in mid-play, hosts that cannot be reached, exit codes. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { stringify } from 'yaml'
import { delayProxy } from '../lab/delay-proxy.ts'
import { bootLab, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf, runbook, sh, story } from './support.ts'

t.setTimeout(300_000)

t.test('trouble', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 3 })
  const inventory = lab.inventoryFile

  await t.test('a change that fails in a batch: nothing of what comes later happens', async (t) => {
    const folder = folderOf(t, {
      'batch.yml': `
- name: Batch
  hosts: n1
  tasks:
    - name: First
      file: { path: /srv/batch/one, state: directory, mode: '0755' }
      notify: Handle
    - name: Wrong
      copy: { dest: /proc/sys/no-such-file, content: x }
    - name: Second
      file: { path: /srv/batch/two, state: directory, mode: '0755' }
    - name: Third
      copy: { dest: /srv/batch/three, content: x, mode: '0644' }
    - name: Fourth
      command: touch /srv/batch/four
  handlers:
    - name: Handle
      command: touch /srv/batch/handled
`,
    })
    const playbook = join(folder, 'batch.yml')
    const run = await apply(playbook, inventory)
    t.equal(run.code, 2, run.stderr)
    t.strictSame(
      run.results.filter((r) => r.module !== 'facts').map((r) => [r.task, r.status]),
      [
        ['First', 'changed'],
        ['Wrong', 'failed'],
      ],
    )
    const { not_run: notRun } = run.results.find((r) => r.status === 'failed')!
    t.match(notRun, ['Second', 'Third'], 'what was sent along and did not run')
    t.strictSame(run.recap?.owed, { n1: ['Handle'] })
    t.equal(await sh(lab, 'n1', 'ls /srv/batch'), 'one\n')

    const told = await runbook(['apply', playbook, '-i', inventory])
    t.equal(told.code, 2)
    t.match(told.stdout, /FAILED {2}n1 {2}Wrong[\s\S]*not run Second\n +Third/)
    t.match(told.stdout, /notified, left to the next run: Handle/)

    // The mended play owes the handler of the first run.
    writeFileSync(playbook, readFileSync(playbook, 'utf8').replace('/proc/sys/no-such-file', '/srv/batch/right'))
    const next = await apply(playbook, inventory)
    t.equal(next.code, 0, next.stderr)
    t.equal(await sh(lab, 'n1', 'ls /srv/batch'), 'four\nhandled\none\nright\nthree\ntwo\n')
  })

  await t.test('an item of a loop that fails: the other items run, and nothing behind the loop', async (t) => {
    const play = (item: string) => `
- name: Loop
  hosts: n1
  tasks:
    - name: Items
      copy: { dest: "/srv/loop/{{ item }}", content: x, mode: '0644' }
      # Nobody can tell before the run whether this task is skipped, so its mistake is met in the run.
      when: facts.os.family == "debian"
      loop: [one, ${item}, two]
    - name: Behind
      file: { path: /srv/loop/behind, state: directory, mode: '0755' }
    - name: Far behind
      command: touch /srv/loop/far
`
    const folder = folderOf(t, { 'host.yml': play('no/such/folder'), 'values.yml': play("'back\\slash'") })
    for (const name of ['host.yml', 'values.yml']) {
      await sh(lab, 'n1', 'rm -rf /srv/loop && mkdir /srv/loop')
      const run = await apply(join(folder, name), inventory)
      t.equal(run.code, 2, run.stderr)
      t.equal(await sh(lab, 'n1', 'ls /srv/loop'), 'one\ntwo\n', name)
      t.strictSame(
        run.results.map((r) => r.task),
        ['Gather facts', 'Items'],
      )
    }
  })

  await t.test('sshd goes and comes back in mid-play', async (t) => {
    const folder = folderOf(t, {
      'away.yml': `
- name: Away
  hosts: n2
  tasks:
    - name: Before
      copy: { dest: /srv/away-before, content: "x\\n", mode: '0644' }
      notify: Handle
    - name: Wait
      pause: { seconds: 3 }
    - name: After
      copy: { dest: /srv/away-after, content: "x\\n", mode: '0644' }
    - name: Under way
      command: sleep 4
      ignore_errors: true
    - name: End
      copy: { dest: /srv/away-end, content: "x\\n", mode: '0644' }
  handlers:
    - name: Handle
      shell: echo handled >>/srv/away-handled
`,
    })
    const outages: Promise<void>[] = []
    const outage = async () => {
      await lab.stopSshd('n2')
      await sleep(1000)
      await lab.startSshd('n2')
    }
    const run = await apply(join(folder, 'away.yml'), inventory, [], {
      during: (_, stdout) => {
        if (outages.length === 0 && stdout.includes('"task":"Before"')) outages.push(outage())
        if (outages.length === 1 && stdout.includes('"task":"After"')) outages.push(sleep(1000).then(outage))
      },
    })
    await Promise.all(outages)
    t.equal(outages.length, 2)
    t.equal(run.code, 0, run.stderr + story(run.results, 'n2').join('\n'))
    const under = run.results.find((r) => r.task === 'Under way')
    t.match(under, { status: 'ignored', msg: /connection was lost/ })
    t.match(under?.msg, /to its end, in part, or not at all/, 'says that nobody knows how far it came')
    t.equal(
      await sh(lab, 'n2', 'cat /srv/away-before /srv/away-after /srv/away-end /srv/away-handled'),
      'x\nx\nx\nhandled\n',
    )
    t.match(run.stderr, /n2: .*(lost|again)/, 'says so')
  })

  await t.test('hosts that cannot be reached hold nobody up', async (t) => {
    await lab.powerOff('n3')
    await using silent = await delayProxy({ host: lab.hosts[1]!.address, port: 22 }, 0)
    silent.stall()
    const file = inventoryWith(lab, {
      n1: { ansible_host: lab.hosts[0]!.address },
      off: { ansible_host: lab.hosts[2]!.address },
      silent: { ansible_host: silent.address, ansible_port: silent.port },
      refusing: { ansible_host: lab.hosts[1]!.address, ansible_port: 2222 },
    })
    const folder = folderOf(t, {
      'inventory.yml': file,
      'play.yml': `
- name: Reach
  hosts: all
  tasks:
    - name: Touch
      copy: { dest: /srv/reached, content: "x\\n", mode: '0644' }
    - name: Fail on demand
      command: "false"
      when: 'fails'
`,
    })
    const playbook = join(folder, 'play.yml')
    let reached = Number.POSITIVE_INFINITY
    const started = performance.now()
    const run = await apply(playbook, join(folder, 'inventory.yml'), ['-e', '{"fails": false}'], {
      during: (_, stdout) => {
        if (stdout.includes('"task":"Touch"')) reached = Math.min(reached, performance.now() - started)
      },
    })
    t.equal(run.code, 4, run.stderr)
    t.match(run.hosts.n1, { changed: 1, failed: 0, unreachable: 0 })
    for (const host of ['off', 'silent', 'refusing'])
      t.match(run.hosts[host], { unreachable: 1, failed: 0, ok: 0 }, host)
    t.ok(reached < run.ms - 2000, `n1 was done after ${Math.round(reached)} ms, the run after ${Math.round(run.ms)} ms`)
    t.ok(run.ms < 30_000, 'a host that says nothing is given up')
    const failed = await apply(playbook, join(folder, 'inventory.yml'), [
      '-e',
      '{"fails": true}',
      '--limit',
      'n1:refusing',
    ])
    t.equal(failed.code, 2, 'one failed and one was unreachable')
    await lab.powerOn('n3')
  })

  await t.test('exit codes', async (t) => {
    const folder = folderOf(t, {
      'good.yml': '- hosts: n1\n  tasks:\n    - copy: { dest: /srv/good, content: x, mode: "0644" }\n',
      'slow.yml': `
- hosts: n1
  tasks:
    - name: Slow
      shell: touch /srv/slow-begun; sleep 2; touch /srv/slow-done
    - name: Later
      copy: { dest: /srv/later, content: x, mode: "0644" }
`,
      'typo.yml': '- hosts: n1\n  tasks:\n    - cpoy: { dest: /srv/typo, content: x }\n',
    })
    const at = (name: string) => join(folder, name)
    const typo = await apply(at('typo.yml'), inventory)
    t.equal(typo.code, 3)
    t.match(typo.stderr, /typo\.yml:3:7: .*cpoy/)
    t.equal(typo.stdout, '', 'and nothing on stdout')
    t.equal((await apply(at('good.yml'), inventory, ['--limit', 'nobody'])).code, 3)
    t.equal((await apply(at('good.yml'), inventory, ['--no-such-option'])).code, 3)
    t.equal((await apply(at('good.yml'), inventory, ['--check', '--detailed-exitcode'])).code, 8)
    t.equal((await apply(at('good.yml'), inventory)).code, 0)

    const interrupt = (signals: number) => {
      let sent = 0
      return apply(at('slow.yml'), inventory, ['-vvv'], {
        during: async (child) => {
          if (sent++ > 0) return
          while (!(await exists(lab, '/srv/slow-begun'))) await sleep(20)
          for (let i = 0; i < signals; i++) {
            child.kill('SIGINT')
            await sleep(200)
          }
        },
      })
    }
    const once = await interrupt(1)
    t.equal(once.code, 130, once.stderr)
    t.equal(
      await sh(lab, 'n1', 'cd /srv; ls slow-done; test ! -e later && echo no'),
      'slow-done\nno\n',
      'the step came to its end',
    )
    t.equal(once.recap?.interrupted, true)
    await lab.exec('n1', ['sh', '-c', 'rm /srv/slow-*'])
    const twice = await interrupt(2)
    t.equal(twice.code, 130)
    await sleep(2500)
    t.equal(
      await sh(lab, 'n1', 'cd /srv; test ! -e slow-done && echo killed'),
      'killed\n',
      'the step was killed on the host',
    )
    const resumed = await apply(at('slow.yml'), inventory, ['--resume'])
    t.equal(resumed.code, 0)
    t.equal(await sh(lab, 'n1', 'ls /srv/later'), '/srv/later\n')
  })
})

const exists = async (lab: Lab, path: string): Promise<boolean> => (await lab.exec('n1', ['test', '-e', path])).rc === 0

function inventoryWith(lab: Lab, hosts: Record<string, object>): string {
  const vars = {
    ansible_user: 'root',
    ansible_ssh_private_key_file: lab.privateKeyFile,
    ansible_ssh_common_args: `-o UserKnownHostsFile=${lab.knownHostsFile} -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=4`,
  }
  return stringify({ all: { hosts, vars } }, { lineWidth: 0 })
}
