/** When a phase of the node cycle does not come to its end: services, the shutdown, the controller; and what is refused. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runbook } from '../../acceptance/support.ts'
import { bootLab } from '../../lab/index.ts'
import { skipWithoutLab } from '../../lab/skip.ts'
import { bootId, inside, NODE, nodeCommand, powerSwitch } from './site.ts'

t.setTimeout(600_000)

t.test('trouble', { skip: skipWithoutLab(), timeout: 600_000 }, async (t) => {
  await using lab = await bootLab({ hosts: 1 })
  const folder = t.testdir({})
  await using bmc = await powerSwitch(lab, folder)
  const node = nodeCommand(lab, folder, { runbook_power: bmc.power })
  const sh = (script: string) => inside(lab, 'n1', script)
  await sh(NODE)

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

  await t.test('a controller that says off while the host runs: nothing is touched', async (t) => {
    bmc.lie = 'off'
    const before = bmc.asked.length
    const { code, stdout } = await node(['shutdown', 'n1'])
    bmc.lie = undefined
    t.equal(code, 2)
    t.match(stdout, /it runs, and its controller says off \(command [\s\S]*nothing of it was touched/)
    t.equal(bmc.asked.length, before)
    t.ok(lab.isOn('n1'))
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
