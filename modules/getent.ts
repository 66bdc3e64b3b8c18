import { args, defineModule, map, quoteAll, ReadError, read, TaskFailure, z } from '#module'

const word = z.string().regex(/^[^-\s\0][^\s\0]*$/, 'must be one word')

/** Databases whose lines are split at colons, getent(1). */
const COLONS: readonly string[] = ['passwd', 'group', 'shadow', 'gshadow']

export default defineModule({
  summary: 'Facts: entries of the host’s name services',
  description:
    'Users, groups, hosts, services as getent(1) gives them: from files and from directories such as LDAP. They stand in ' +
    '`facts.getent_DATABASE` from then on. Passwords of shadow need `no_log: true`.',
  args: z.strictObject({
    database: word.describe('passwd, group, hosts, services, networks, shadow, …'),
    key: z
      .union([word, z.int().nonnegative()])
      .transform(String)
      .optional()
      .describe('only this entry: a name or a number'),
    service: word.optional().describe('only from this source of /etc/nsswitch.conf, such as files'),
    split: z
      .string()
      .min(1)
      .optional()
      .describe('what stands between fields; default a colon for passwd and its like, else blanks'),
    fail_key: args.boolean.default(true).describe('fail when there is no such key; false gives it as null'),
  }),
  readOnly: true,
  provides: 'facts',
  examples: [
    { name: 'A user, wherever it comes from', yaml: 'getent:\n  database: passwd\n  key: ops\n  fail_key: false' },
    {
      name: 'All groups; facts.getent_group.docker.[2] are then the members of one',
      yaml: 'getent:\n  database: group',
    },
  ],
  returns: {
    'getent_<database>':
      'map of the first field to a list of the others; a list of such lists where a key stands there more than once',
  },
  probe: ({ database, key, service }) => ({
    lines: map(
      read.script(
        `getent ${quoteAll([...(service === undefined ? [] : ['-s', service]), database, ...(key === undefined ? [] : [key])])} 2>&1`,
        [`getent:${database}`, 'user:*', 'group:*', 'file:/etc/*'],
      ),
      ({ out, rc }) => {
        const text = out.toString('utf8').trimEnd()
        // getent(1): 1 unknown database, 2 no such key, 3 the database cannot be listed
        if (rc === 3) throw new ReadError(`${database} cannot be listed as a whole: give a \`key\``)
        if (rc !== 0 && rc !== 2) throw new ReadError(text.split('\n')[0] || `getent ${database} ended with ${rc}`)
        return rc === 2 ? undefined : text.split('\n').filter(Boolean)
      },
    ),
  }),
  plan: ({ database, key, fail_key }, { lines }) => {
    if (!lines && key !== undefined && fail_key) throw new TaskFailure(`${database} has no entry ${key}`)
    return []
  },
  result: ({ database, key, split }, { lines }) => {
    const separator = split ?? (COLONS.includes(database) ? ':' : undefined)
    const entries = new Map<string, string[][]>()
    for (const line of lines ?? []) {
      const [first = '', ...rest] = separator === undefined ? line.trim().split(/\s+/) : line.split(separator)
      entries.set(first, [...(entries.get(first) ?? []), rest])
    }
    const found = [...entries].map(([name, all]) => [name, all.length === 1 ? all[0] : all])
    const missing = lines === undefined && key !== undefined ? [[key, null]] : []
    return { [`getent_${database}`]: Object.fromEntries([...found, ...missing]) }
  },
})
