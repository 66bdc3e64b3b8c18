import t from 'tap'
import upgrade from '../../modules/package_upgrade.ts'
import type { Module } from '../../src/module/index.ts'
import { parseUpgradable } from '../../src/module/reads/upgradable.ts'
import { table } from './table.ts'

const manager = { manager: 'apt', age: 60, sourcesChanged: false, interrupted: false, canHold: true }
const newer = { packages: [{ name: 'a', from: '1', to: '2' }], rebootRequired: false }
const none = { packages: [], rebootRequired: false }

table(upgrade as Module, [
  { name: 'nothing newer', args: {}, state: { manager, upgrades: none }, changes: [] },
  { name: 'something newer', args: {}, state: { manager, upgrades: newer }, changes: ['upgrade a 2'] },
  {
    name: 'nobody knows before the lists are new',
    args: {},
    state: { manager: { ...manager, age: 4000 }, upgrades: none },
    changes: ['update the package lists', 'upgrade all packages if there are newer versions'],
  },
  {
    name: 'old lists by request',
    args: { update_cache: false },
    state: { manager: { ...manager, age: undefined }, upgrades: none },
    changes: [],
  },
])

t.same(
  parseUpgradable(
    'Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.10/stable [amd64]) []\nInst linux-image-6.1.0-32-amd64 (6.1.129-1 Debian:12.10/stable [amd64])\nConf libc6 (2.36-9+deb12u10 Debian:12.10/stable [amd64])\nreboot\n',
  ),
  {
    packages: [
      { name: 'libc6', from: '2.36-9+deb12u9', to: '2.36-9+deb12u10' },
      { name: 'linux-image-6.1.0-32-amd64', from: 'absent', to: '6.1.129-1' },
    ],
    rebootRequired: true,
  },
)
// the form that dnf(8) describes for `list`
t.same(
  parseUpgradable(
    'h bash.x86_64 0:5.1.8-6.el9\nu Available Upgrades\nu bash.x86_64                 5.1.8-9.el9                 baseos\nu Last metadata expiration check: 0:01:00 ago\n',
  ),
  { packages: [{ name: 'bash.x86_64', from: '5.1.8-6.el9', to: '5.1.8-9.el9' }], rebootRequired: false },
)
