import { args, change, defineModule, map, read, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Groups of the host',
  args: z.strictObject({
    name: args.accountName.describe('name of the group'),
    state: z.enum(['present', 'absent']).default('present').describe('absent removes it'),
    gid: z.int().nonnegative().optional().describe('numeric id; files keep the old one when it changes'),
    system: args.boolean.default(false).describe('a new group gets an id from the range of system groups'),
  }),
  examples: [{ name: 'For a daemon', yaml: 'group:\n  name: etcd\n  system: true' }],
  returns: { gid: 'numeric id' },
  probe: ({ name }) => ({
    group: read.group(name),
    local: map(read.text('/etc/group'), ({ text }) => text.split('\n').some((line) => line.startsWith(`${name}:`))),
  }),
  plan: ({ name, state, gid, system }, { group, local }) => {
    if (group && !local) {
      throw new TaskFailure(
        `${name} does not stand in /etc/group but comes from another name service: it is changed there`,
      )
    }
    const options = {
      touches: ['group:*', 'user:*', 'file:/etc/group', 'file:/etc/gshadow'],
      // exit statuses of groupadd(8), groupmod(8), groupdel(8)
      explain: { 4: 'the gid is that of another group', 8: 'it is the primary group of a user' },
    }
    if (state === 'absent')
      return group ? [change.run(['groupdel', name], { summary: `remove group ${name}`, ...options })] : []
    const id = gid === undefined ? [] : ['-g', String(gid)]
    if (!group) {
      const summary = `create group ${name}${gid === undefined ? '' : ` (gid ${gid})`}`
      return [change.run(['groupadd', ...id, ...(system ? ['-r'] : []), name], { summary, ...options })]
    }
    if (gid === undefined || group.gid === gid) return []
    const summary = `change the gid of group ${name} to ${gid}`
    return [
      change.run(['groupmod', ...id, name], { summary, diff: { kind: 'value', from: group.gid, to: gid }, ...options }),
    ]
  },
  result: ({ name }, { group }) => (group ? { name, gid: group.gid } : { name }),
})
