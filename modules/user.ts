import { args, type Change, change, defineModule, each, quote, quoteAll, read, TaskFailure, z } from '#module'

/** crypt(5): `$id$…`, DES in 13 characters, or nothing that any password hashes to. */
const HASH = /^(\$[A-Za-z0-9]+\$[^:\n]+|[./A-Za-z0-9]{13}|[!*]{1,2})$/
const DAY_MS = 86_400_000

const agingDays = z.int().min(-1).max(99_999).optional()

/** `usermod -G` takes them so, too; no name of a group has a comma. */
const groups = args
  .list(z.union([z.string().regex(/^[^:/\n]*$/, 'must be names or numeric ids'), z.int().nonnegative()]))
  .transform((items) => items.flatMap((one) => String(one).split(',')).flatMap((one) => one.trim() || []))

export default defineModule({
  summary: 'Users of the host',
  description:
    'Local accounts, by useradd and usermod. What is not given stays as it is. The password is a hash, and neither it nor ' +
    'the one before is ever shown.',
  args: z
    .strictObject({
      name: args.accountName.describe('login name'),
      state: z.enum(['present', 'absent']).default('present').describe('absent removes the account'),
      uid: z.int().nonnegative().optional().describe('numeric id'),
      group: args.principal.optional().describe('primary group; absent: for a new user a group of its own'),
      groups: groups.optional().describe('further groups, as a list or with commas between them; empty: none'),
      append: args.boolean
        .default(true)
        .describe('false: `groups` are all, and it leaves the others (Ansible’s default is false)'),
      comment: z
        .string()
        .regex(/^[^:\n]*$/, 'may hold neither a colon nor a line break')
        .optional()
        .describe('full name or purpose'),
      home: args.path.optional().describe('home folder'),
      shell: args.path.optional().describe('login shell'),
      create_home: args.boolean.optional().describe('make the home folder; absent: unless `system`'),
      move_home: args.boolean.default(false).describe('when `home` changes, move what is in the old one'),
      system: args.boolean.default(false).describe('a new user gets an id from the range of system accounts'),
      password: z
        .string()
        .regex(
          HASH,
          'must be a hash (`mkpasswd -m yescrypt`, `openssl passwd -6`), or `*` for none; never the password itself',
        )
        .optional()
        .describe('hash of the password; `*`: none, log in by key'),
      update_password: z
        .enum(['always', 'on_create'])
        .default('always')
        .describe('on_create leaves the password of an account that exists alone'),
      password_lock: args.boolean.optional().describe('true: the password opens nothing (keys still do)'),
      expires: z
        .union([z.literal('never'), z.iso.date()])
        .optional()
        .describe('last day of the account as YYYY-MM-DD, or never'),
      password_expire_min: agingDays.describe('days before the password may be changed again'),
      password_expire_max: agingDays.describe('days for which the password is good; -1: for ever'),
      password_expire_warn: agingDays.describe('days before its end on which the user is warned'),
      password_expire_account_disable: agingDays.describe('days after its end until the account is closed; -1: never'),
      remove: args.boolean.default(false).describe('with absent: remove the home folder and the mail too'),
      force: args.boolean.default(false).describe('with absent: even when it is logged in'),
    })
    .transform((a) => ({ ...a, create_home: a.create_home ?? !a.system })),
  examples: [
    {
      name: 'An operator who logs in by key',
      yaml: 'user:\n  name: ops\n  groups: [sudo]\n  shell: /bin/bash\n  password: "*"',
    },
    {
      name: 'For a daemon',
      yaml: 'user:\n  name: etcd\n  system: true\n  home: /var/lib/etcd\n  shell: /usr/sbin/nologin',
    },
    { name: 'Gone', yaml: 'user:\n  name: installer\n  state: absent\n  remove: true' },
  ],
  returns: { uid: 'numeric id', group: 'numeric id of the primary group', home: 'home folder', shell: 'login shell' },
  probe: ({ name, group, groups }) => ({
    account: read.account(name),
    own: read.group(name),
    primary: group === undefined ? undefined : read.group(group),
    further: each((groups ?? []).map((g) => read.group(g))),
  }),
  plan: (a, { account, own, primary, further }) => {
    const { entry } = account
    if (a.state === 'absent' && !entry) return []
    if (entry && !account.local) {
      throw new TaskFailure(
        `${a.name} does not stand in /etc/passwd but comes from another name service: it is changed there`,
      )
    }
    if (!account.tools)
      throw new TaskFailure('this host has no useradd and usermod: install the package shadow or passwd')
    if (a.state === 'absent') return [remove(a)]
    const unknown = [
      ...(a.group !== undefined && !primary ? [a.group] : []),
      ...(a.groups ?? []).filter((_, i) => !further[i]),
    ]
    if (unknown.length > 0)
      throw new TaskFailure(`there is no group ${unknown.join(', ')}: make it first (module group)`)
    const wanted = { ...a, gid: primary?.gid, groups: a.groups && [...new Set(further.map((g) => g!.name))] }
    return entry
      ? modify(wanted, entry, account)
      : [...create(wanted, own !== undefined), ...secrets(wanted, undefined), ...aging(wanted, undefined)]
  },
  result: ({ name }, { account: { entry } }) =>
    entry ? { name, uid: entry.uid, group: entry.gid, home: entry.home, shell: entry.shell } : { name },
})

interface Wanted {
  readonly name: string
  readonly uid?: number | undefined
  readonly group?: string | undefined
  readonly gid: number | undefined
  readonly groups: readonly string[] | undefined
  readonly append: boolean
  readonly comment?: string | undefined
  readonly home?: string | undefined
  readonly shell?: string | undefined
  readonly create_home: boolean
  readonly move_home: boolean
  readonly system: boolean
  readonly password?: string | undefined
  readonly update_password: 'always' | 'on_create'
  readonly password_lock?: boolean | undefined
  readonly expires?: string | undefined
  readonly password_expire_min?: number | undefined
  readonly password_expire_max?: number | undefined
  readonly password_expire_warn?: number | undefined
  readonly password_expire_account_disable?: number | undefined
}

/** A new or changed user can own files and be a member of groups, and brings a home folder. */
const TOUCHES = ['user:*', 'group:*', 'file:/etc/passwd', 'file:/etc/group', 'file:/etc/shadow', 'file:/home/*']

/** Exit statuses of useradd(8), usermod(8) and userdel(8). */
const EXPLAIN = {
  4: 'the uid is that of another user',
  8: 'it is logged in or runs processes: end them, or set `force: true`',
  9: 'a group of this name exists: give it as `group`',
  12: 'its home folder cannot be made or removed',
}

function create(a: Wanted, groupExists: boolean): Change[] {
  const words = ['useradd', a.create_home ? '-m' : '-M']
  const option = (flag: string, value: string | number | undefined) => {
    if (value !== undefined) words.push(flag, String(value))
  }
  if (a.system) words.push('-r')
  option('-u', a.uid)
  // useradd refuses to make a group that is there already
  option('-g', a.group ?? (groupExists ? a.name : undefined))
  option('-G', a.groups && a.groups.length > 0 ? a.groups.join(',') : undefined)
  option('-c', a.comment)
  option('-d', a.home)
  option('-s', a.shell)
  option('-e', a.expires === 'never' ? undefined : a.expires)
  const more = [
    a.uid === undefined ? '' : `uid ${a.uid}`,
    a.groups?.length ? `groups ${a.groups.join(', ')}` : '',
  ].filter(Boolean)
  const summary = `create user ${a.name}${more.length > 0 ? ` (${more.join('; ')})` : ''}`
  return [change.run([...words, a.name], { summary, touches: homeOf(a, a.home), explain: EXPLAIN })]
}

function modify(a: Wanted, entry: read.UserEntry, account: read.Account): Change[] {
  const changes: Change[] = []
  const words: string[] = []
  const from: Record<string, unknown> = {}
  const to: Record<string, unknown> = {}
  const set = (what: string, before: unknown, after: unknown, ...flags: string[]) => {
    if (after === undefined || before === after) return
    from[what] = before
    to[what] = after
    words.push(...flags)
  }
  set('uid', entry.uid, a.uid, '-u', String(a.uid))
  set('group', entry.gid, a.gid, '-g', String(a.gid))
  set('comment', entry.comment, a.comment, '-c', a.comment ?? '')
  set('home', entry.home, a.home, ...(a.move_home ? ['-m'] : []), '-d', a.home ?? '')
  set('shell', entry.shell, a.shell, '-s', a.shell ?? '')
  const days = a.expires === undefined || a.expires === 'never' ? undefined : Date.parse(a.expires) / DAY_MS
  if (a.expires !== undefined)
    set('expires', dateOf(account.expires), dateOf(days), '-e', days === undefined ? '' : a.expires)
  if (a.groups) {
    const have = [...account.groups].sort()
    const want = a.append ? [...new Set([...have, ...a.groups])].sort() : [...a.groups].sort()
    set('groups', have.join(','), want.join(','), '-G', want.join(','))
  }
  if (words.length > 0) {
    changes.push(
      change.run(['usermod', ...words, a.name], {
        summary: `change user ${a.name}: ${Object.keys(to).join(', ')}`,
        diff: { kind: 'value', from, to },
        touches: homeOf(a, a.home),
        explain: EXPLAIN,
      }),
    )
  }
  const moved = a.home !== undefined && a.home !== entry.home
  if (a.create_home && (moved ? !a.move_home : !account.homeExists))
    changes.push(makeHome(a.name, a.home ?? entry.home))
  return [...changes, ...secrets(a, account), ...aging(a, account)]
}

/** Arguments by chage(1)'s options and the names of shadow(5)'s fields. */
const AGING = [
  ['password_expire_min', 'min', '-m'],
  ['password_expire_max', 'max', '-M'],
  ['password_expire_warn', 'warn', '-W'],
  ['password_expire_account_disable', 'inactive', '-I'],
] as const

function aging(a: Wanted, account: read.Account | undefined): Change[] {
  const wanted = AGING.filter(([name]) => a[name] !== undefined)
  if (wanted.length > 0 && account && account.password === undefined)
    throw new TaskFailure('the age of passwords can be seen and set by root only: use `become: true`')
  // An empty field is what chage writes for -1.
  const differ = account ? wanted.filter(([name, field]) => (account.aging[field] ?? -1) !== a[name]) : wanted
  if (differ.length === 0) return []
  const argv = ['chage', ...differ.flatMap(([name, , flag]) => [flag, String(a[name])]), a.name]
  const values = (of: (row: (typeof AGING)[number]) => unknown) =>
    Object.fromEntries(differ.map((row) => [row[1], of(row)]))
  return [
    change.run(argv, {
      summary: `change the age of the password of ${a.name}: ${differ.map(([name, field]) => `${field} ${a[name]}`).join(', ')}`,
      diff: {
        kind: 'value',
        from: values(([, field]) => account?.aging[field] ?? -1),
        to: values(([name]) => a[name]),
      },
      touches: ['user:*', 'file:/etc/shadow'],
    }),
  ]
}

const dateOf = (days: number | undefined): string =>
  days === undefined ? 'never' : new Date(days * DAY_MS).toISOString().slice(0, 10)

const homeOf = ({ name }: Wanted, home: string | undefined): string[] => [
  ...TOUCHES,
  `file:${home ?? `/home/${name}`}`,
  `file:${home ?? `/home/${name}`}/*`,
]

/** As useradd -m does it for a new user. The folder is closed until it belongs to the user. */
function makeHome(name: string, home: string): Change {
  const [user, path] = [quote(name), quote(home)]
  return {
    summary: `create home folder ${home} of ${name}`,
    touches: [`file:${home}`, `file:${home}/*`, 'user:*'],
    script: `[ -d ${path} ] || { rb_trust ${path} && mkdir -p -- ${path} && chmod 0700 ${path} && { [ ! -d /etc/skel ] || cp -R /etc/skel/. ${path}; } && chown -R ${user}: ${path}; }`,
  }
}

/** Password and lock. The hash goes to chpasswd's standard input: a command line can be read by every user of the host. */
function secrets(a: Wanted, account: read.Account | undefined): Change[] {
  const changes: Change[] = []
  const touches = ['user:*', 'file:/etc/shadow']
  const now = account?.password
  if (account && now === undefined && (a.password !== undefined || a.password_lock !== undefined)) {
    throw new TaskFailure('passwords can be seen and set by root only: use `become: true`')
  }
  const locked = now?.startsWith('!') ?? false
  const sets =
    a.password !== undefined &&
    (!account ||
      (a.update_password === 'always' && now!.replace(/^!+(?=.)/, '') !== a.password.replace(/^!+(?=.)/, '')))
  if (sets) {
    const line = quote(`${a.name}:${a.password}`)
    changes.push({ summary: `set the password of ${a.name}`, touches, script: `printf '%s\\n' ${line} | chpasswd -e` })
  }
  const willBeLocked = sets ? a.password!.startsWith('!') : locked
  if (a.password_lock !== undefined && a.password_lock !== willBeLocked) {
    const verb = a.password_lock ? 'lock' : 'unlock'
    const words = ['usermod', a.password_lock ? '-L' : '-U', a.name]
    changes.push({ summary: `${verb} the password of ${a.name}`, touches, script: quoteAll(words) })
  } else if (sets && locked && a.password_lock === undefined && account) {
    // chpasswd takes the lock off with the old hash
    changes.push({
      summary: `lock the password of ${a.name} as before`,
      touches,
      script: quoteAll(['usermod', '-L', a.name]),
    })
  }
  return changes
}

function remove(a: { name: string; remove: boolean; force: boolean }): Change {
  const words = ['userdel', ...(a.remove ? ['-r'] : []), ...(a.force ? ['-f'] : []), a.name]
  const summary = `remove user ${a.name}${a.remove ? ' and its home folder' : ''}`
  return change.run(words, { summary, touches: ['user:*', 'group:*', 'file:*'], explain: EXPLAIN })
}
