import timezone from '../../modules/timezone.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const none = { exists: false, text: '', stat: undefined }
const zone = { type: 'file' }

table(timezone as Module, [
  {
    name: 'as wanted, by either way to write the link',
    args: { name: 'Etc/UTC' },
    state: { link: '../usr/share/zoneinfo/Etc/UTC', zone, named: none },
    changes: [],
  },
  {
    name: 'another',
    args: { name: 'Etc/UTC' },
    state: { link: undefined, zone, named: none },
    changes: ['set the time zone to Etc/UTC'],
  },
  {
    name: 'unknown',
    args: { name: 'Europe/Atlantis' },
    state: { link: undefined, zone: undefined, named: none },
    fails: /tzdata/,
  },
  {
    name: 'a folder of zones',
    args: { name: 'Europe' },
    state: { link: undefined, zone: { type: 'directory' }, named: none },
    fails: /no time zone Europe/,
  },
  { name: 'a way out', args: { name: '../../etc/shadow' }, state: {}, invalid: /name of a zone/ },
])
