import group from '../../modules/group.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const there = { group: { name: 'ops', gid: 1000, members: [] }, local: true }
const gone = { group: undefined, local: false }

table(group as Module, [
  { name: 'there', args: { name: 'ops' }, state: there, changes: [] },
  { name: 'made', args: { name: 'ops', gid: 7 }, state: gone, changes: ['create group ops (gid 7)'] },
  { name: 'another gid', args: { name: 'ops', gid: 7 }, state: there, changes: ['change the gid of group ops to 7'] },
  { name: 'removed', args: { name: 'ops', state: 'absent' }, state: there, changes: ['remove group ops'] },
  { name: 'nothing to remove', args: { name: 'ops', state: 'absent' }, state: gone, changes: [] },
  { name: 'from a directory', args: { name: 'ops' }, state: { ...there, local: false }, fails: /another name service/ },
])
