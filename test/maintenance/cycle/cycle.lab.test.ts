/** The node cycle on real systemd hosts with containerd, by the program as a user runs it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../../lab/index.ts'
import { skipWithoutLab } from '../../lab/skip.ts'
import { bootId, inside, NODE, nodeCommand, PODS, powerSwitch } from './site.ts'

t.setTimeout(600_000)

t.test('the node cycle', { skip: skipWithoutLab(), timeout: 600_000 }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })
  const folder = t.testdir({})
  await using bmc = await powerSwitch(lab, folder)
  const node = nodeCommand(lab, folder, { runbook_power: bmc.power })
  const sh = (script: string) => inside(lab, 'n1', script)
  await sh(NODE)
  await sh(PODS)

  await t.test('a dry run shows every step in its order, and touches nothing', async (t) => {
    const state = () => sh('ctr -n k8s.io tasks ls | sort; systemctl is-active kubelet containerd')
    const before = await state()
    const { code, stdout } = await node(['shutdown', 'n1', '--dry-run'])
    t.equal(code, 0)
    t.match(
      stdout,
      /kubelet: kubelet.service[\s\S]*pod network: shop\/web \(grace 30 s\)[\s\S]*host network: kube-system\/proxy[\s\S]*etcd: kube-system\/etcd-n1[\s\S]*containerd: [\s\S]*sync: [\s\S]*power off, at most 300 s; its controller tells when it is off/,
    )
    t.equal(await state(), before)
    t.same(bmc.asked, [])
  })

  await t.test('shutdown, status, poweron', async (t) => {
    const before = await bootId(lab, 'n1')
    const down = await node(['shutdown', 'n1', '--reason', 'new disk'])
    t.equal(down.code, 0, down.stdout)
    t.match(down.stdout, /kubelet: stopped kubelet[\s\S]*n1: done \(\d+ s\): off: command .* says off/)
    t.notOk(lab.isOn('n1'))
    t.same(bmc.asked, [], 'the operating system did it')
    const off = await node(['status', 'n1'])
    t.match(off, { code: 0, stdout: /power off; ssh silent: .*; shutdown of run \S+: it is off, as it was told/ })
    const again = await node(['shutdown', 'n1'])
    t.match(again, { code: 0, stdout: /off: command .* says off/ }, 'off is off')
    const up = await node(['poweron', 'n1'])
    t.equal(up.code, 0, up.stdout)
    await bmc.settled()
    t.not(await bootId(lab, 'n1'), before)
    t.equal(await sh('cat /srv/log/ended'), 'web\nproxy\netcd\n', 'pod network, host network, etcd')
    const status = JSON.parse((await node(['status', 'n1', '--json'])).stdout)
    t.match(status, [
      { node: 'n1', power: { state: 'on' }, ssh: 'up', services: { containerd: 'active', kubelet: 'active' } },
    ])
    t.notOk(status[0].cycle, 'nothing is left to go on with')
  })

  await t.test('maintain with work of the site in between', async (t) => {
    await sh(PODS)
    const before = await bootId(lab, 'n1')
    const playbook = join(folder, 'disk.yml')
    writeFileSync(
      playbook,
      `- hosts: "{{ nodes }}"
  gather_facts: false
  vars: { node_checks: ["test -e /srv/log/boots"] }
  tasks:
    - import_role: { name: node_cycle, tasks_from: down }
    - name: New disk
      copy: { dest: /root/while-off, content: "{{ inventory_hostname }}\\n", mode: '0600' }
      delegate_to: n2
    - import_role: { name: node_cycle, tasks_from: up }
`,
    )
    const { code, stdout } = await node(['maintain', 'n1', '--playbook', playbook, '--json'])
    t.equal(code, 0, stdout)
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.match(events[0], { type: 'cycle_started', verb: 'maintain', nodes: ['n1'] })
    t.match(events.at(-1), { type: 'cycle_ended', nodes: [{ node: 'n1', outcome: 'done' }] })
    t.same(
      events.filter(({ type, status }) => type === 'task_result' && status !== 'skipped').map(({ task }) => task),
      [
        'Look at the node',
        'Stop services and containers',
        'Shut down',
        'New disk',
        'Power on',
        'Check the node',
        'Finish',
      ],
    )
    await bmc.settled()
    t.equal(await inside(lab, 'n2', 'cat /root/while-off'), 'n1\n')
    t.not(await bootId(lab, 'n1'), before)
  })

  await t.test('reboot', async (t) => {
    const before = await bootId(lab, 'n1')
    const { code, stdout } = await node(['reboot', 'n1'])
    t.equal(code, 0, stdout)
    t.not(await bootId(lab, 'n1'), before)
    t.match(stdout, /n1: done \(\d+ s\): boot, systemd, root, /)
  })
})
