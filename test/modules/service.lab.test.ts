import service from '../../modules/service.ts'
import systemdUnit from '../../modules/systemd_unit.ts'
import { onLab } from './on-lab.ts'

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

  await t.test('a template of units, and an instance of it', async (t) => {
    const content = UNIT.replace('600', '%i')
    t.same(await host.converge(t, systemdUnit, { name: 'rb-of@.service', content }), [
      'create /etc/systemd/system/rb-of@.service (0644 root:root)',
      'systemctl daemon-reload',
    ])
    await host.converge(t, systemdUnit, { name: 'rb-of@.service', drop_ins: { nice: '[Service]\nNice=5' } })
    await host.converge(t, service, { name: ['cron', 'rb-of@700'], state: 'started', enabled: true })
    t.equal(await show('rb-of@700'), 'active enabled')
    t.equal(await host.sh('systemctl show -P Nice rb-of@700'), '5\n')
    t.same(await host.converge(t, service, { name: ['cron', 'rb-of@.service'], masked: false }), [])
    await t.rejects(host.check(service, { name: 'rb-non@.service', enabled: true }), /there is no unit rb-non@.service/)
    await host.converge(t, service, { name: 'rb-of@700', state: 'stopped', enabled: false })
    await host.converge(t, systemdUnit, { name: 'rb-of@.service', state: 'absent' })
    await host.converge(t, systemdUnit, { name: 'rb-of@.service', masked: true })
    t.equal((await host.sh('systemctl is-enabled rb-of@.service || :')).trim(), 'masked')
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
