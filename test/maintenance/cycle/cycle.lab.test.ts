/** The node cycle on real systemd hosts with containerd, by the program as a user runs it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runbook } from '../../acceptance/support.ts'
import { bootLab, type Lab } from '../../lab/index.ts'
import { skipWithoutLab } from '../../lab/skip.ts'
import { bootId, inside, NODE, PODS, powerSwitch } from './site.ts'

t.setTimeout(600_000)

/** `runbook node VERB n1 …`; what was said. */
function nodeCommand(lab: Lab, folder: string, vars: object) {
  return (args: readonly string[], during?: Parameters<typeof runbook>[1]) =>
    runbook(['node', ...args, '-i', lab.inventoryFile, '-e', JSON.stringify(vars)], { cwd: folder, ...during })
}

t.test('the node cycle', { skip: skipWithoutLab(), timeout: 600_000 }, async (t) => {
  await using lab = await bootLab({ hosts: 1 })
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
      copy: { dest: ${folder}/while-off, content: "{{ inventory_hostname }}\\n", mode: '0600' }
      delegate_to: localhost
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
    t.not(await bootId(lab, 'n1'), before)
  })

  await t.test('reboot', async (t) => {
    const before = await bootId(lab, 'n1')
    const { code, stdout } = await node(['reboot', 'n1'])
    t.equal(code, 0, stdout)
    t.not(await bootId(lab, 'n1'), before)
    t.match(stdout, /n1: done \(\d+ s\): boot, systemd, root, /)
  })

  await t.test('a service that does not stop ends it; the controller helps, and only then the switch', async (t) => {
    await sh(`cat >/etc/systemd/system/stubborn.service <<'END'
[Service]
ExecStart=/bin/sh -c 'trap "" TERM; while :; do sleep 1; done'
TimeoutStopSec=infinity
END
systemctl daemon-reload; systemctl start stubborn`)
    const before = await bootId(lab, 'n1')
    const stuck = nodeCommand(lab, folder, {
      runbook_power: bmc.power,
      node_services: ['stubborn'],
      node_service_timeout: 2,
      node_off_timeout: 6,
      node_controller_timeout: 4,
    })
    const stopped = await stuck(['shutdown', 'n1'])
    t.equal(stopped.code, 2)
    t.match(
      stopped.stdout,
      /stubborn is deactivating after 2 s\. Nothing was powered off[\s\S]*go on: runbook node shutdown n1 /,
    )
    t.equal(await bootId(lab, 'n1'), before)
    t.same(
      bmc.asked.filter((one) => /off/.test(one)),
      [],
    )
    const hung = await stuck(['shutdown', 'n1', '--on-timeout', 'continue'])
    t.equal(hung.code, 2)
    t.match(
      hung.stdout,
      /is not off after 6 s: .*soft-off was accepted, but [\s\S]*The power is cut only with --force-off/,
    )
    t.ok(lab.isOn('n1'))
    const cut = await stuck(['shutdown', 'n1', '--on-timeout', 'continue', '--force-off'])
    t.equal(cut.code, 0, cut.stdout)
    t.match(cut.stdout, /its power was cut/)
    t.notOk(lab.isOn('n1'))
    t.equal(bmc.asked.filter((one) => one === 'n1 hard-off').length, 1)
  })

  await t.test('a controller that says yes and does nothing', async (t) => {
    bmc.broken.add('on')
    const { code, stdout } = await nodeCommand(lab, folder, { runbook_power: bmc.power, node_boot_timeout: 3 })([
      'poweron',
      'n1',
    ])
    bmc.broken.clear()
    t.equal(code, 2)
    t.match(
      stdout,
      /on was accepted, but after 3 s the host is off[\s\S]*it is off\n {2}go on: runbook node poweron n1 /,
    )
    t.match(await node(['poweron', 'n1']), { code: 0 })
    await bmc.settled()
  })

  await t.test('without a controller it is off, probably', async (t) => {
    const plain = nodeCommand(lab, folder, {})
    const { code, stdout } = await plain(['shutdown', 'n1', '--by-hand'])
    t.equal(code, 0, stdout)
    t.match(stdout, /n1: done \(\d+ s\): probably off: nothing was heard for \d+ s: ssh: /)
    t.notOk(lab.isOn('n1'))
    const waiting = plain(['poweron', 'n1'], {
      during: (_, said) => {
        if (/turn n1 on by hand/.test(said) && !lab.isOn('n1')) turned ??= lab.powerOn('n1')
      },
    })
    let turned: Promise<void> | undefined
    t.match(await waiting, { code: 0 })
    await turned
  })

  await t.test('refusals', async (t) => {
    const unknown = await node(['shutdown', 'n9'])
    t.equal(unknown.code, 3)
    const own = await runbook(['node', 'shutdown', 'here', '--dry-run', '-i', join(folder, 'own.yml')], {
      cwd: t.testdir({}),
      during: () => writeFileSync(join(folder, 'own.yml'), 'all: { hosts: { here: { ansible_connection: local } } }\n'),
    })
    t.match(own, { code: 2, stdout: /here is the machine that runbook runs on/ })
    await lab.kill('n1')
    const gone = await node(['maintain', 'n1'])
    t.equal(gone.code, 4, gone.stdout)
    t.match(gone.stdout, /nothing of it was touched/)
  })
})
