/** Commands that go on without the connection, and without the run that began them. */
import { join } from 'node:path'
import t from 'tap'
import { JOB_ID } from '../../src/module/jobs.ts'
import { bootLab, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf, runbook, sh } from './support.ts'

t.setTimeout(300_000)

/** Begins, waits for /srv/go, ends; says each time that it did so. */
const LONG = `
- hosts: all
  gather_facts: false
  tasks:
    - name: Before
      shell: echo before >>/srv/before
    - name: Long
      shell: echo begun; echo begun >>/srv/log; until [ -e /srv/go ]; do sleep 0.1; done; echo ended >>/srv/log; echo ended
      detach: true
      poll: 0.5
      register: long
    - name: Behind
      copy: { dest: /srv/behind, content: "{{ long.stdout }}" }
`

const JOBS = '/var/lib/runbook/jobs'
/** Waits until a condition of sh holds on the host. */
const until = (lab: Lab, test: string) => sh(lab, 'n1', `timeout 60 sh -c 'until ${test}; do sleep 0.05; done'`)
const logged = (lab: Lab): Promise<string> => sh(lab, 'n1', 'cat /srv/log')
const fresh = (lab: Lab) => sh(lab, 'n1', 'rm -rf /srv/*')

for (const shell of ['dash', 'bash', 'busybox'] as const) {
  t.test(`/bin/sh is ${shell}`, { skip: skipWithoutLab() }, async (t) => {
    await using lab = await bootLab({ hosts: 1, sh: shell })
    const playbook = join(folderOf(t, { 'site.yml': LONG }), 'site.yml')

    await t.test('the runner dies; --resume takes the command up', async (t) => {
      let killed = false
      const cut = await apply(playbook, lab.inventoryFile, [], {
        during: (child) => {
          if (killed) return
          killed = true
          void until(lab, '[ -e /srv/log ]').then(() => child.kill('SIGKILL'))
        },
      })
      t.equal(cut.code, null)
      t.match(await sh(lab, 'n1', `stat -c '%a %U' /var/lib/runbook/jobs /var/lib/runbook/jobs/*`), /^(700 root\n){2}$/)
      t.equal(await sh(lab, 'n1', `find ${JOBS} -perm /077 -o -name script`), '', 'nothing for others, no script')
      const scope = await sh(lab, 'n1', `read -r pid rest <"$(echo ${JOBS}/*/pid)"; cat /proc/$pid/cgroup`)
      t.match(scope, /runbook-job-[0-9a-f]{16}\.scope/, 'it is no part of the login that began it')
      const resumed = apply(playbook, lab.inventoryFile, ['--resume'])
      await sh(lab, 'n1', 'sleep 1; touch /srv/go')
      const { code, stderr, stdout } = await resumed
      t.equal(code, 0, stdout + stderr)
      t.equal(await logged(lab), 'begun\nended\n', 'it ran once')
      t.equal(await sh(lab, 'n1', 'cat /srv/before'), 'before\n')
      t.equal(await sh(lab, 'n1', 'cat /srv/behind'), 'begun\nended', 'with all that it printed')
      t.equal(await sh(lab, 'n1', `ls -A /var/lib/runbook`), '', 'nothing is left')
    })

    if (shell !== 'dash') return

    await t.test('it ends while nobody is there', async (t) => {
      await fresh(lab)
      let killed = false
      await apply(playbook, lab.inventoryFile, [], {
        during: (child) => {
          if (killed) return
          killed = true
          void until(lab, '[ -e /srv/log ]').then(() => child.kill('SIGKILL'))
        },
      })
      await sh(lab, 'n1', 'touch /srv/go')
      await until(lab, `ls ${JOBS}/*/rc >/dev/null 2>&1`)
      const resumed = await apply(playbook, lab.inventoryFile, ['--resume'])
      t.equal(resumed.code, 0, resumed.stdout)
      t.equal(await logged(lab), 'begun\nended\n')
      t.equal(await sh(lab, 'n1', 'cat /srv/behind'), 'begun\nended')
    })

    await t.test('the connection is cut; the same run goes on', async (t) => {
      await fresh(lab)
      const run = apply(playbook, lab.inventoryFile)
      await until(lab, '[ -e /srv/log ]')
      // The connections; sshd itself goes on.
      await sh(lab, 'n1', `pkill -f '^sshd: root@notty'; sleep 0.5; touch /srv/go`)
      const { code, stdout } = await run
      t.equal(code, 0, stdout)
      t.equal(await logged(lab), 'begun\nended\n')
      t.equal(await sh(lab, 'n1', 'cat /srv/behind'), 'begun\nended')
    })

    await t.test('Ctrl-C: it goes on, and a plain run takes it up too while it runs', async (t) => {
      await fresh(lab)
      let asked = false
      const stopped = await apply(playbook, lab.inventoryFile, [], {
        during: (child) => {
          if (asked) return
          asked = true
          void until(lab, '[ -e /srv/log ]').then(() => child.kill('SIGINT'))
        },
      })
      t.equal(stopped.code, 130, stopped.stdout + stopped.stderr)
      const other = join(folderOf(t, { 'other.yml': '- hosts: all\n  tasks: [{ command: "true" }]\n' }), 'other.yml')
      const beside = await apply(other, lab.inventoryFile)
      t.equal(beside.code, 0, beside.stdout)
      const words = /a detached command goes on there beside this run: "Long", job [0-9a-f]{16} of run \S+, process \d+/
      t.match(beside.stderr, words, 'another run is told')
      let released = false
      const again = await runbook(['apply', playbook, '-i', lab.inventoryFile, '--output', 'plain', '-vvv'], {
        during: (_child, stdout) => {
          if (released || !stdout.includes('taken up again')) return
          released = true
          void sh(lab, 'n1', 'touch /srv/go')
        },
      })
      t.equal(again.code, 0, again.stdout)
      t.equal(await logged(lab), 'begun\nended\n')
      // It has been taken; another run is another command.
      t.equal((await apply(playbook, lab.inventoryFile)).code, 0)
      t.equal(await logged(lab), 'begun\nended\nbegun\nended\n')
    })

    await t.test('the host is booted anew: nobody knows how far it came', async (t) => {
      await fresh(lab)
      const run = apply(playbook, lab.inventoryFile)
      await until(lab, '[ -e /srv/log ]')
      await lab.kill('n1')
      await lab.powerOn('n1')
      const { code, results, stdout } = await run
      t.equal(code, 2, stdout)
      t.match(results.at(-1), { task: 'Long', status: 'failed', msg: /booted anew while this command ran/ })
      await sh(lab, 'n1', 'touch /srv/go')
      t.equal((await apply(playbook, lab.inventoryFile, ['--resume'])).code, 0, 'the next run begins it again')
      t.equal(await logged(lab), 'begun\nbegun\nended\n')
    })

    await t.test('check mode, time limit, become, secrets, arguments, failure', async (t) => {
      const folder = folderOf(t, {
        'files/long.sh': '#!/bin/sh\necho "script $1"; exit 3\n',
        'site.yml': `
- hosts: all
  gather_facts: false
  tasks:
    - { name: Once, shell: 'touch /srv/once; touch /srv/made', args: { creates: /srv/made }, detach: true, register: once }
    - { name: Late, shell: 'sleep 300 & sleep 299', async: 1, poll: 0.3, register: late, ignore_errors: true }
    - { name: Late too, command: sleep 298, detach: true, timeout: 1, poll: 0.3, register: late_too, ignore_errors: true }
    - { name: User, command: 'sh -c "id -un; pwd; umask; env"', become: true, become_user: nobody, detach: true, register: user,
        environment: { PASSWORD: correct-horse-battery, XDG_STATE_HOME: /nonexistent } }
    - { name: Script, script: long.sh one, detach: true, register: script, failed_when: script.rc != 3 }
    - { name: Items, shell: 'echo {{ item }}', loop: [a, b], detach: true, register: items }
    - { name: Begin, shell: 'sleep 1; echo begun', async: 60, poll: 0, register: job }
    - { name: Wait, async_status: { jid: "{{ job.ansible_job_id }}" }, register: waited, until: waited.finished, delay: 0.3, retries: 60 }
    - { name: Forget, async_status: { jid: "{{ job.ansible_job_id }}", mode: cleanup } }
    - assert:
        that:
          - late.msg.contains("time limit of 1 s") && late_too.msg.contains("time limit of 1 s")
          - user.stdout_lines[0] == "nobody"
          - script.stdout == "script one"
          - items.results.map(r, r.stdout) == ["a", "b"]
          - waited.stdout == "begun"
`,
      })
      const playbook = join(folder, 'site.yml')
      const checked = await apply(playbook, lab.inventoryFile, ['--check'])
      t.equal(checked.code, 0, checked.stdout)
      t.equal(await sh(lab, 'n1', 'ls /srv/once 2>/dev/null; ls -A /var/lib/runbook'), '', 'nothing is begun')
      await sh(lab, 'n1', 'install -d -o nobody /nonexistent')
      const first = await apply(playbook, lab.inventoryFile, ['-vvv'])
      t.equal(first.code, 0, JSON.stringify(first.results.find(({ status }) => status === 'failed')) + first.stderr)
      t.equal(await sh(lab, 'n1', `ls -A /var/lib/runbook; pgrep -fa 'sleep (29|30)' || true`), '', 'nothing is left')
      t.match(
        first.results
          .find(({ task }) => task === 'Begin')
          ?.changes[0]?.summary.split(' ')
          .at(-1),
        JOB_ID,
      )
      const again = await apply(playbook, lab.inventoryFile)
      t.match(
        again.results.find(({ task }) => task === 'Once'),
        { status: 'ok' },
      )
    })
  })
}
