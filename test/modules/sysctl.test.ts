import sysctl from '../../modules/sysctl.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

table(sysctl as Module, [
  {
    name: 'sets and saves what differs',
    args: { values: { 'net.ipv4.ip_forward': 1, 'vm.swappiness': '10' } },
    state: { live: { 'net.ipv4.ip_forward': '0', 'vm.swappiness': '10' }, saved: 'vm.swappiness = 10\n' },
    changes: ['write /etc/sysctl.d/90-runbook.conf', 'set net.ipv4.ip_forward = 1'],
  },
  {
    name: 'nothing to do, whatever the spacing and the slashes',
    args: { name: 'net/ipv4/ip_local_port_range', value: '1024  65000' },
    state: {
      live: { 'net/ipv4/ip_local_port_range': '1024 65000' },
      saved: '# kept\nnet.ipv4.ip_local_port_range=1024 65000\n',
    },
    changes: [],
  },
  {
    name: 'a parameter that the kernel lacks',
    args: { values: { 'net.bridge.bridge-nf-call-iptables': 1 } },
    state: { live: {}, saved: '' },
    fails: /no parameter net\.bridge.*br_netfilter/s,
  },
  {
    name: 'at_least raises, now and in the file',
    args: { at_least: { 'fs.inotify.max_user_instances': 8192 } },
    state: { live: { 'fs.inotify.max_user_instances': '128' }, saved: 'fs.inotify.max_user_instances = 512\n' },
    changes: ['write /etc/sysctl.d/90-runbook.conf', 'set fs.inotify.max_user_instances = 8192'],
  },
  {
    name: 'at_least never lowers: neither the kernel nor what it boots with',
    args: { at_least: { 'fs.inotify.max_user_instances': 8192 } },
    state: { live: { 'fs.inotify.max_user_instances': '65536' }, saved: '' },
    changes: ['write /etc/sysctl.d/90-runbook.conf'],
    check: ([c]) => {
      if (!c?.script?.includes('max_user_instances = 65536')) throw new Error(c?.script)
    },
  },
  {
    name: 'at_least leaves a larger number in the file alone',
    args: { at_least: { 'fs.inotify.max_user_instances': 8192 } },
    state: {
      live: { 'fs.inotify.max_user_instances': '9000' },
      saved: 'fs.inotify.max_user_instances = 10000\n',
    },
    changes: [],
  },
  { name: 'nothing at all', args: {}, state: {}, invalid: /say which/ },
  { name: 'name needs a value', args: { name: 'vm.swappiness' }, state: {}, invalid: /needs a `value`/ },
  {
    name: 'absent leaves the kernel alone and keeps the other lines',
    args: { name: 'vm.swappiness', state: 'absent' },
    state: { live: {}, saved: '# c\nvm.swappiness = 1\nkernel.panic = 10\n' },
    check: ([c]) => {
      if (!c?.script?.includes('# c\nkernel.panic = 10')) throw new Error(c?.script)
    },
  },
])
