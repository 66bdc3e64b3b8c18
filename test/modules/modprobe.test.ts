import modprobe from '../../modules/modprobe.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const none = { exists: false, text: '', stat: undefined }
const some = (text: string) => ({ exists: true, text, stat: { type: 'file', mode: 0o644 } })
const kernel = { release: '6.1.0', hasModules: true, redhat: false }
const loaded = { present: true, builtIn: false, available: true }
const builtIn = { present: true, builtIn: true, available: true }
const available = { present: false, builtIn: false, available: true }
const missing = { present: false, builtIn: false, available: false }

table(modprobe as Module, [
  {
    name: 'loads and remembers; built in is as good as loaded',
    args: { name: ['overlay', 'br_netfilter'], file: 'kubernetes' },
    state: { kernel, modules: [builtIn, available], load: none },
    changes: ['create /etc/modules-load.d/kubernetes.conf (0644)', 'load br_netfilter'],
  },
  {
    name: 'nothing to do, whatever the dashes',
    args: { name: 'br-netfilter' },
    state: { kernel, modules: [loaded], load: some('# for us\nbr_netfilter\n') },
    changes: [],
  },
  {
    name: 'parameters replace those of before',
    args: { name: 'softdog', params: 'soft_margin=60' },
    state: {
      kernel,
      modules: [loaded],
      load: some('softdog\n'),
      options: some('options softdog soft_margin=1\noptions loop a=1\n'),
    },
    check: ([c]) => {
      if (!c?.script?.includes('options loop a=1\noptions softdog soft_margin=60\n')) throw new Error(c?.script)
    },
  },
  {
    name: 'taken out and unloaded',
    args: { name: 'softdog', state: 'absent' },
    state: { kernel, modules: [loaded], load: some('softdog\nloop\n') },
    changes: ['write /etc/modules-load.d/runbook.conf', 'unload softdog'],
  },
  {
    name: 'built in for good',
    args: { name: 'overlay', state: 'absent' },
    state: { kernel, modules: [builtIn], load: none },
    fails: /built into/,
  },
  {
    name: 'no such module',
    args: { name: 'nope' },
    state: { kernel, modules: [missing], load: none },
    fails: /linux-modules-extra-6\.1\.0/,
  },
  {
    name: 'Red Hat keeps some apart',
    args: { name: 'br_netfilter' },
    state: { kernel: { ...kernel, redhat: true }, modules: [missing], load: none },
    fails: /kernel-modules-extra/,
  },
  {
    name: 'a kernel that was replaced on disk',
    args: { name: 'br_netfilter' },
    state: { kernel: { ...kernel, hasModules: false }, modules: [missing], load: none },
    fails: /reboot first/,
  },
  { name: 'parameters of two', args: { name: ['a', 'b'], params: 'x=1' }, state: {}, invalid: /task of its own/ },
])
