import t from 'tap'
import swap, { editFstab } from '../../modules/swap.ts'
import type { Module } from '../../src/module/index.ts'
import type { SwapState } from '../../src/module/reads/swap.ts'
import { table } from './table.ts'

const off: SwapState = {
  devices: [],
  availableMemory: 1e6,
  systemd: true,
  units: [],
  targetMasked: true,
  zramGenerator: false,
}
const text = (t: string) => ({ exists: true, text: t, stat: { type: 'file', mode: 0o644 } })
const FSTAB = '# /etc/fstab\nUUID=1 / ext4 defaults 0 1\nUUID=2\tnone\tswap\tsw\t0 0\n/swap.img none swap sw 0 0\n'

t.equal(editFstab(FSTAB, true), '# /etc/fstab\nUUID=1 / ext4 defaults 0 1\n')
t.equal(editFstab(editFstab(FSTAB, false), false), FSTAB.replace('UUID=2', '#UUID=2').replace('/swap', '#/swap'))
t.equal(editFstab('/dev/sda1 /swap ext4 swap 0 0', false), '/dev/sda1 /swap ext4 swap 0 0', 'only the type counts')

table(swap as Module, [
  { name: 'off', args: {}, state: { swap: off, fstab: text('# /etc/fstab\n'), makers: [] }, changes: [] },
  {
    name: 'all the ways to swap',
    args: {},
    state: {
      swap: {
        ...off,
        devices: [{ device: '/dev/sda2', size: 1000, used: 10 }],
        units: [
          { name: 'dev-sda2.swap', file: 'generated', source: '/etc/fstab' },
          { name: 'dev-disk-by\\x2dgpt.swap', file: 'generated', source: '' },
          { name: 'old.swap', file: 'masked', source: '' },
        ],
        targetMasked: false,
        zramGenerator: true,
      },
      fstab: text(FSTAB),
      makers: [{ name: 'zramswap.service', load: 'loaded', active: 'active', file: 'enabled' }],
    },
    changes: [
      'write /etc/fstab',
      'turn zram-generator off (empty /etc/systemd/zram-generator.conf)',
      'systemctl daemon-reload',
      'stop zramswap.service',
      'mask zramswap.service',
      'mask dev-disk-by\\x2dgpt.swap, swap.target',
      'turn swap off (/dev/sda2)',
    ],
  },
  {
    name: 'more is swapped out than memory is free',
    args: {},
    state: {
      swap: { ...off, availableMemory: 512 * 1024, devices: [{ device: '/a', size: 9e6, used: 2048 * 1024 }] },
      fstab: text(''),
      makers: [],
    },
    fails: /2048 MiB are swapped out and only 512 MiB/,
  },
  {
    name: 'without systemd',
    args: {},
    state: {
      swap: { ...off, systemd: false, targetMasked: false, devices: [{ device: '/a', size: 1, used: 0 }] },
      fstab: text(FSTAB),
      makers: [],
    },
    changes: ['write /etc/fstab', 'turn swap off (/a)'],
  },
])
