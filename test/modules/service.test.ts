import service from '../../modules/service.ts'
import systemdUnit from '../../modules/systemd_unit.ts'
import type { Module } from '../../src/module/index.ts'
import type { UnitState } from '../../src/module/reads/units.ts'
import { onLab } from './on-lab.ts'
import { table } from './table.ts'

const unit: UnitState = {
  name: 'a.service',
  load: 'loaded',
  active: 'active',
  sub: 'running',
  file: 'enabled',
  needReload: false,
  fragment: '/etc/systemd/system/a.service',
  dropIns: [],
  mainPid: 7,
  canReload: false,
  passing: false,
}
const units = (over: Partial<UnitState> = {}) => ({ units: [{ ...unit, ...over }] })
const name = 'a'

table(service as Module, [
  { name: 'as wanted', args: { name, state: 'started', enabled: true }, state: units(), changes: [] },
  {
    name: 'enabled before it starts, after a reload of the daemon',
    args: { name, state: 'started', enabled: true },
    state: units({ active: 'failed', file: 'disabled', needReload: true }),
    changes: ['systemctl daemon-reload', 'enable a.service', 'start a.service'],
  },
  {
    name: 'restart is an event',
    args: { name, state: 'restarted' },
    state: units(),
    changes: ['restart a.service'],
    check: ([c]) => {
      if (!c?.transient) throw new Error('not transient')
    },
  },
  { name: 'reload of what cannot', args: { name, state: 'reloaded' }, state: units(), fails: /restart it instead/ },
  {
    name: 'reload starts',
    args: { name, state: 'reloaded' },
    state: units({ active: 'inactive' }),
    changes: ['start a.service'],
  },
  {
    name: 'in a restart loop is not running',
    args: { name, state: 'started' },
    state: units({ active: 'activating', sub: 'auto-restart' }),
    changes: ['start a.service'],
  },
  {
    name: 'nothing to stop',
    args: { name, state: 'stopped', enabled: false },
    state: units({ load: 'not-found', active: 'inactive', file: '' }),
    changes: [],
  },
  {
    name: 'no such unit',
    args: { name, state: 'started' },
    state: units({ load: 'not-found', active: 'inactive', file: '' }),
    fails: /there is no unit a\.service/,
  },
  {
    name: 'masked',
    args: { name, state: 'started' },
    state: units({ load: 'masked', active: 'inactive', file: 'masked' }),
    fails: /is masked/,
  },
  {
    name: 'unmasked and started',
    args: { name, state: 'started', masked: false, enabled: true },
    state: units({ load: 'masked', active: 'inactive', file: 'masked' }),
    changes: ['unmask a.service', 'enable a.service', 'start a.service'],
  },
  { name: 'static', args: { name, enabled: true }, state: units({ file: 'static' }), fails: /no \[Install\] section/ },
  {
    name: 'one daemon-reload for several',
    args: { name: ['a', 'b'], state: 'stopped' },
    state: {
      units: [
        { ...unit, needReload: true },
        { ...unit, name: 'b.service', needReload: true },
      ],
    },
    changes: ['systemctl daemon-reload', 'stop a.service', 'stop b.service'],
  },
  { name: 'nothing wanted', args: { name }, state: {}, invalid: /say what is wanted/ },
])

const UNIT = '[Service]\nExecStart=/usr/bin/sleep 600\n[Install]\nWantedBy=multi-user.target\n'

onLab('service and systemd_unit', async (t, host) => {
  const show = async (u: string) =>
    (await host.sh(`systemctl show -P ActiveState -P UnitFileState ${u}`)).trim().replace(/\n+/g, ' ')
  await t.test('a unit of our own', async (t) => {
    const args = { name: 'rb-own.service', content: UNIT, enabled: true, state: 'started' }
    t.same(await host.converge(t, systemdUnit, args), [
      'create /etc/systemd/system/rb-own.service (0644 root:root)',
      'systemctl daemon-reload',
      'enable rb-own.service',
      'start rb-own.service',
    ])
    t.equal(await show('rb-own'), 'active enabled')
    const drops = { name: 'rb-own.service', drop_ins: { nice: '[Service]\nNice=5' } }
    t.same(await host.converge(t, systemdUnit, drops), [
      'create folder /etc/systemd/system/rb-own.service.d (0755)',
      'create /etc/systemd/system/rb-own.service.d/nice.conf (0644 root:root)',
      'systemctl daemon-reload',
    ])
    t.equal(await host.sh('systemctl show -P Nice rb-own'), '5\n')
    t.same(await host.converge(t, systemdUnit, { name: 'rb-own.service', drop_ins: { nice: null } }), [
      'remove /etc/systemd/system/rb-own.service.d/nice.conf',
      'systemctl daemon-reload',
    ])
  })

  await t.test('service', async (t) => {
    t.same(await host.converge(t, service, { name: 'rb-own', state: 'restarted' }), ['restart rb-own.service'])
    await host.sh('sed -i s/600/601/ /etc/systemd/system/rb-own.service')
    t.same(await host.converge(t, service, { name: 'rb-own', state: 'restarted' }), [
      'systemctl daemon-reload',
      'restart rb-own.service',
    ])
    t.match(await host.sh('systemctl show -P ExecStart rb-own'), /601/)
    await host.converge(t, service, { name: 'rb-own', state: 'stopped', enabled: false })
    t.equal(await show('rb-own'), 'inactive disabled')
    await host.converge(t, service, { name: 'cron', state: 'stopped', enabled: false, masked: true })
    t.equal(await show('cron'), 'inactive masked')
    await t.rejects(host.check(service, { name: 'cron', state: 'started' }), /cron.service is masked/)
    await host.converge(t, service, { name: 'cron', state: 'started', enabled: true, masked: false })
    t.equal(await show('cron'), 'active enabled')
    await host.sh(
      'printf "[Service]\\nType=simple\\nExecStart=/bin/sh -c \\"echo no such disk; exit 3\\"\\n" > /run/systemd/system/rb-bad.service',
    )
    await t.rejects(host.apply(service, { name: 'rb-bad', state: 'started' }), /no such disk|has not converged/)
    await host.sh(
      'printf "[Service]\\nType=notify\\nExecStart=/bin/sh -c \\"echo no such disk; exit 3\\"\\n" > /run/systemd/system/rb-worse.service',
    )
    await t.rejects(host.apply(service, { name: 'rb-worse', state: 'started' }), /no such disk/, 'its last words')
    await t.rejects(host.check(service, { name: 'rb-none', state: 'started' }), /there is no unit rb-none.service/)
  })

  await t.test('masked by hand, and gone', async (t) => {
    await host.converge(t, systemdUnit, { name: 'rb-own.service', state: 'absent' })
    t.match(await show('rb-own'), /^inactive *$/)
    await host.converge(t, systemdUnit, { name: 'rb-own.service', masked: true })
    await t.rejects(host.check(systemdUnit, { name: 'rb-own.service', content: UNIT }), /is masked/)
    await host.converge(t, systemdUnit, {
      name: 'rb-own.service',
      content: UNIT,
      masked: false,
      enabled: true,
      state: 'started',
    })
    t.equal(await show('rb-own'), 'active enabled')
    await host.converge(t, systemdUnit, { name: 'rb-own.service', state: 'absent' })
    t.equal(await host.sh('find /etc/systemd -name "rb-own*"'), '')
  })
})
