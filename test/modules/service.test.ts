import service from '../../modules/service.ts'
import type { Module } from '../../src/module/index.ts'
import type { UnitState } from '../../src/module/reads/units.ts'
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
