/**
 * The daemon as a service under a real systemd: installed from what is published, ready, ended in the middle of a window,
 * killed, hanging.
 */
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { bootLab } from '../../lab/index.ts'
import { skipWithoutLab } from '../../lab/skip.ts'
import { stagePackage } from '../../stage.ts'
import { inside } from '../cycle/site.ts'

const ROOT = join(import.meta.dirname, '../../..')
const PACKAGE = '/usr/lib/node_modules/runbook'
const SERVICE = 'runbook-schedule.service'

const FILES: Readonly<Record<string, string>> = {
  'inventory.yml':
    'all:\n  vars: { ansible_connection: local }\n  hosts: { w1: { ansible_host: 127.0.0.1 }, w2: { ansible_host: 127.0.0.1 } }\n',
  'maintenance.yml': `windows:
  - name: workers
    start: "0 3 29 2 *"
    timezone: Europe/Berlin
    duration: 3h
    last_start_margin: 1m
    hosts: all
    playbook: cycle.yml
`,
  // Each node waits until the test lets it go.
  'cycle.yml': `- hosts: '{{ nodes }}'
  gather_facts: false
  tasks:
    - shell: echo {{ inventory_hostname }} >>/srv/site/begun
    - shell: until [ -e /srv/site/go-{{ inventory_hostname }} ]; do sleep 0.1; done
      changed_when: false
    - shell: echo {{ inventory_hostname }} >>/srv/site/worked
`,
}

t.setTimeout(290_000)

t.test('a service of systemd', { skip: skipWithoutLab() }, async (t) => {
  const modules = realpathSync(join(ROOT, 'node_modules'))
  await using lab = await bootLab({ hosts: 1, readOnly: [modules] })
  const sh = (script: string) => inside(lab, 'n1', script)
  const until = async (what: string, condition: string, seconds = 90): Promise<void> => {
    for (const end = Date.now() + seconds * 1000; (await lab.exec('n1', ['sh', '-c', condition])).rc !== 0; )
      if (Date.now() > end) throw new Error(`never: ${what}\n${await sh(`journalctl -u ${SERVICE} -n 40 --no-pager`)}`)
      else await sleep(200)
  }
  const show = async (...names: string[]): Promise<Record<string, string>> =>
    Object.fromEntries(
      (await sh(`systemctl show -p ${names.join(',')} ${SERVICE}`))
        .trim()
        .split('\n')
        .map((line) => /^(\w+)=(.*)$/.exec(line)!.slice(1, 3) as [string, string]),
    )
  const said = (): Promise<string> => sh(`journalctl -u ${SERVICE} --no-pager -o cat`)

  // What `npm install -g` puts there: the built files, and the libraries that it depends on.
  const { rootfs } = lab.hosts[0]!
  stagePackage(join(rootfs, PACKAGE), modules)
  symlinkSync(join(modules, 'node/bin/node'), join(rootfs, 'usr/local/bin/node'))
  symlinkSync(`${PACKAGE}/bin/runbook.js`, join(rootfs, 'usr/local/bin/runbook'))
  for (const [name, text] of Object.entries(FILES)) {
    const path = join(rootfs, 'srv/site', name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  // As it is for everybody but the one who installed it.
  await sh(`mount --bind ${PACKAGE} ${PACKAGE} && mount -o remount,bind,ro ${PACKAGE}`)

  await t.test('installed and ready', async (t) => {
    const wrote = await sh('cd /srv/site && runbook schedule install')
    const command = /start it: (.*)/.exec(wrote)?.[1]
    t.match(wrote, /wrote \/etc\/systemd\/system\/runbook-schedule.service/)
    t.equal(
      await sh(`systemd-analyze verify --man=no /etc/systemd/system/${SERVICE} 2>&1`),
      '',
      'nothing to complain of',
    )
    // Returns when the daemon has said READY=1, and not before.
    await sh(command!)
    t.match(await show('ActiveState', 'SubState', 'Type', 'StatusText', 'NRestarts'), {
      ActiveState: 'active',
      SubState: 'running',
      Type: 'notify',
      StatusText: 'http://127.0.0.1:9640/',
      NRestarts: '0',
    })
    t.match(JSON.parse(await sh('curl -fsS http://127.0.0.1:9640/healthz')), { status: 'ok' })
    t.match(await said(), /daemon: started with 1 windows/)
  })

  await t.test('stopped in the middle of a window: the node under way comes to its end', async (t) => {
    await sh('cd /srv/site && runbook schedule trigger workers')
    await until('w1 under way', 'grep -q w1 /srv/site/begun')
    await sh(`systemctl stop --no-block ${SERVICE}`)
    await until('it is told', `journalctl -u ${SERVICE} -o cat | grep -q 'ends as soon as the nodes under way'`)
    t.match(await show('ActiveState'), { ActiveState: 'deactivating' })
    await sh('touch /srv/site/go-w1')
    await until(
      'stopped',
      `! systemctl is-active -q ${SERVICE} && [ "$(systemctl show -p SubState --value ${SERVICE})" = dead ]`,
    )
    t.match(await show('Result', 'ExecMainStatus', 'ExecMainCode'), {
      Result: 'success',
      ExecMainStatus: '0',
      ExecMainCode: '1', // CLD_EXITED
    })
    t.equal(await sh('cat /srv/site/begun /srv/site/worked'), 'w1\nw1\n', 'w1 to its end, w2 not begun')
  })

  await t.test('killed in the middle of a window: started again, it takes up what lives', async (t) => {
    await sh(`systemctl start ${SERVICE}`)
    await until('w2 under way', 'grep -q w2 /srv/site/begun')
    await sh(`systemctl kill -s KILL --kill-whom=main ${SERVICE}`)
    await until('a second daemon', `journalctl -u ${SERVICE} -o cat | grep -c 'goes on with workers' | grep -qx 2`)
    t.match(await show('ActiveState', 'NRestarts'), { ActiveState: 'active', NRestarts: '1' })
    await sh('touch /srv/site/go-w2')
    await until('closed', `journalctl -u ${SERVICE} -o cat | grep -q 'closed: workers: 2 of 2 nodes done'`)
    t.equal(await sh('cat /srv/site/begun /srv/site/worked'), 'w1\nw2\nw1\nw2\n', 'nothing was begun twice')
  })

  await t.test('a daemon that hangs is ended and started again by the watchdog', async (t) => {
    await sh(`mkdir -p /etc/systemd/system/${SERVICE}.d
printf '[Service]\\nWatchdogSec=6\\n' >/etc/systemd/system/${SERVICE}.d/soon.conf
systemctl daemon-reload; systemctl restart ${SERVICE}`)
    const { MainPID: before } = await show('MainPID')
    // Longer than the watchdog waits: its signs of life come.
    await sleep(9000)
    t.match(await show('MainPID', 'NRestarts'), { MainPID: before, NRestarts: '0' }, 'one that works is left alone')
    await sh(`kill -STOP ${before}`)
    await until(
      'another one',
      `[ "$(systemctl show -p NRestarts --value ${SERVICE})" = 1 ] && systemctl is-active -q ${SERVICE}`,
    )
    t.not((await show('MainPID')).MainPID, before)
    t.match(await said(), /Watchdog timeout/)
    t.match(JSON.parse(await sh('curl -fsS http://127.0.0.1:9640/healthz')), { status: 'ok' })
  })

  await t.test('reload reads maintenance.yml again', async (t) => {
    await sh(`cd /srv/site && sed -i s/Europe/Eurpoe/ maintenance.yml && systemctl reload ${SERVICE}`)
    await until('left out', `journalctl -u ${SERVICE} -o cat | grep -q 'trouble: workers is left out: .*no time zone'`)
    t.match(JSON.parse(await sh('curl -fsS http://127.0.0.1:9640/healthz')), { status: 'degraded' })
  })

  await t.test('nothing is written into the package; a run of a shipped playbook is remembered here', async (t) => {
    const { rc, stderr } = await lab.exec('n1', [
      'sh',
      '-c',
      `cd /srv/site && runbook plan ${PACKAGE}/playbooks/node.yml -i inventory.yml`,
    ])
    t.equal(rc, 0, stderr)
    t.match(await sh('cd /srv/site && runbook history'), /plan .*playbooks\/node.yml/)
    t.equal(await sh(`find ${PACKAGE}/ -name .runbook`), '')
  })
})
