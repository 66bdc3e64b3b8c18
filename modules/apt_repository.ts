import {
  args,
  type Change,
  change,
  defineModule,
  type LoadedFile,
  map,
  quote,
  quoteAll,
  read,
  sourcesList,
  TaskFailure,
  z,
} from '#module'

const words = (what: RegExp, message: string) => args.list(z.string().regex(what, message))

export default defineModule({
  summary: 'An apt repository with the key that signs it',
  description:
    'Writes /etc/apt/sources.list.d/NAME.sources (deb822 form, apt 1.1 and later) and the key that is trusted for this ' +
    'repository alone, then reads the package lists of this one repository. An older NAME.list is removed. With `repo` it is ' +
    'the one line of sources.list(5), in a .list file: there who signs it is for the line to say.',
  args: z
    .strictObject({
      name: z
        .string()
        .regex(
          /^[A-Za-z0-9][A-Za-z0-9_.-]*$/,
          'may hold letters, digits, `_`, `-`, `.` only, or apt would skip the file',
        )
        .optional()
        .describe('name of the file, without its ending'),
      repo: z
        .string()
        .regex(
          /^\s*(deb|deb-src)\s[^\n#\0]*$/,
          'must be a line such as `deb [signed-by=/etc/apt/keyrings/k.gpg] URI SUITE main`',
        )
        .transform((line) => sourcesList.activeSource(line)!)
        .optional()
        .describe('instead of `name`, `uris` and all that: one line, put where no list has it yet'),
      filename: z
        .string()
        .regex(/^(\/[^\0\n\\]*|[A-Za-z0-9_.-]+)$/, 'may hold letters, digits, `_`, `-`, `.` only')
        .optional()
        .describe('of `repo`: the file, without folder and `.list`; absent: made of the URI, as Ansible does'),
      mode: args.mode.optional().describe("of `repo`: permissions of a new file, '0644' if not given"),
      state: z.enum(['present', 'absent']).default('present').describe('absent removes the repository and its key'),
      uris: words(/^[a-z][a-z0-9+.-]*:[^\s]+$/, 'must be a URI without blanks')
        .optional()
        .describe('where it is'),
      suites: words(/^\S+$/, 'may not hold blanks')
        .optional()
        .describe('distributions such as bookworm; `/` or `./` for a repository without them'),
      components: words(/^\S+$/, 'may not hold blanks').default([]).describe('such as main'),
      types: words(/^(deb|deb-src)$/, 'must be deb or deb-src')
        .default(['deb'])
        .describe('deb, deb-src or both'),
      architectures: words(/^[a-z0-9-]+$/, 'must be an architecture such as amd64')
        .default([])
        .describe('only these; absent: those of the host'),
      enabled: args.boolean.default(true).describe('false keeps the file but takes nothing from it'),
      signed_by: z
        .string()
        .refine((v) => v.startsWith('/') || v.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----'), {
          message: 'must be the path of a keyring on the host, or the text of an armoured key',
        })
        .optional()
        .describe('path of a keyring that is on the host, or the armoured key itself'),
      key_file: z.string().min(1).optional().describe('key file of the controller, armoured or binary'),
      key_url: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe('where the key can be had; needs `key_checksum`'),
      key_checksum: z
        .string()
        .regex(/^sha256:[0-9a-f]{64}$/, 'must be `sha256:` and 64 hexadecimal digits')
        .optional()
        .describe('the SHA-256 of what `key_url` gives: who can change a key on its way can change packages too'),
      key_via: z
        .enum(['host', 'controller'])
        .default('host')
        .describe('who fetches `key_url`: controller, when the hosts have no way out'),
      trusted: args.boolean
        .default(false)
        .describe('accept the repository without a signature: only for one that came over another trusted way'),
      update_cache: args.boolean
        .default(true)
        .describe('read the package lists of this repository when they are not there'),
      lock_timeout: z.int().nonnegative().default(300).describe('seconds to wait for another apt'),
    })
    .superRefine((a, ctx) => {
      const fail = (message: string) => ctx.addIssue({ code: 'custom', message, input: a })
      if ((a.key_url === undefined) !== (a.key_checksum === undefined)) fail('`key_url` and `key_checksum` go together')
      if ((a.repo === undefined) === (a.name === undefined)) fail('give `name`, or `repo` for one line')
      if (a.repo === undefined && (a.filename !== undefined || a.mode !== undefined))
        fail('`filename` and `mode` need `repo`')
      if (a.repo !== undefined && (a.uris ?? a.suites ?? a.signed_by ?? a.key_file ?? a.key_url) !== undefined)
        fail('`repo` has all in its one line')
      if (a.state === 'absent' || a.repo !== undefined) return
      if (!a.uris || !a.suites) fail('`uris` and `suites` are needed')
      const keys = [a.signed_by, a.key_file, a.key_url].filter((k) => k !== undefined).length
      if (keys > 1) fail('give only one of `signed_by`, `key_file` and `key_url`')
      if (keys === 0 && !a.trusted) fail('say who signs it: `signed_by`, `key_file` or `key_url` (or `trusted: true`)')
      const flat = a.suites?.every((s) => s.endsWith('/'))
      if (a.suites && flat !== (a.components.length === 0)) {
        fail('`components` are needed, except for suites that end in `/`, which have none')
      }
    })
    .transform((a) => ({ ...a, name: a.name ?? '', files: [] as readonly LoadedFile[] })),
  examples: [
    {
      name: 'Kubernetes',
      yaml:
        'apt_repository:\n  name: kubernetes\n  uris: https://pkgs.k8s.io/core:/stable:/v1.34/deb/\n  suites: /\n' +
        '  key_file: kubernetes.asc',
    },
    {
      name: 'A mirror on the site, its key on the host already',
      yaml:
        'apt_repository:\n  name: site\n  uris: http://mirror.example.org/debian\n  suites: [bookworm, bookworm-updates]\n' +
        '  components: main\n  signed_by: /usr/share/keyrings/debian-archive-keyring.gpg',
    },
    {
      name: 'One line, in docker.list',
      yaml:
        'apt_repository:\n  repo: deb [signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian bookworm stable\n' +
        '  filename: docker',
    },
  ],
  returns: { path: 'the file of the repository', key: 'the file of its key, "" when there is none of its own' },
  files: ({ key_file }) => (key_file === undefined ? [] : [{ path: key_file, kind: 'file' }]),
  withFiles: (a, files) => ({ ...a, files }),
  probe: (a) => ({
    manager: read.packageManager(),
    lines:
      a.repo === undefined
        ? undefined
        : map(read.script(LISTS, ['file:/etc/apt/sources.list', 'file:/etc/apt/sources.list.d/*']), ({ out }) =>
            sourcesList.parseLines(out.toString('utf8')),
          ),
    list: a.repo === undefined ? undefined : read.text(sourcePath(a)),
    source: read.file(sourcePath(a)),
    old: read.stat(oldPath(a)),
    key: keyPath(a) === undefined ? undefined : read.file(keyPath(a)!, a.key_url === undefined ? {} : { limit: 0 }),
    keyFolder: read.stat(KEYRINGS),
    keys: map(
      read.script(
        `ls ${KEY_ENDINGS.map((e) => quote(keyringPath(a, e))).join(' ')} 2>/dev/null`,
        KEY_ENDINGS.map((e) => `file:${keyringPath(a, e)}`),
      ),
      ({ out }) => out.toString('utf8').split('\n').filter(Boolean),
    ),
    // Lists of sources that apt has read; a compressed one has an ending that FILENAME does not tell.
    listed: map(
      read.script(
        `apt-get indextargets --format '$(SOURCESENTRY) $(FILENAME)' 'Created-By: Packages' 2>/dev/null | while read -r s f; do
          case $s in ${quote(sourcePath(a))}:*) for g in "$f" "$f".*; do if [ -e "$g" ]; then echo yes; break 2; fi; done ;; esac
        done`,
        ['package-lists', `file:${sourcePath(a)}`],
      ),
      ({ out }) => out.length > 0,
    ),
  }),
  plan: (a, state) => {
    if (state.manager.manager !== 'apt') {
      throw new TaskFailure(
        `this host's package manager is ${state.manager.manager}, not apt: use \`when: facts.os.family == "debian"\``,
      )
    }
    if (a.repo !== undefined) return planLine(a, a.repo, state.lines!, state.list!, state.listed)
    if (a.state === 'absent')
      return remove(a, [
        ...(state.source.stat ? [sourcePath(a)] : []),
        ...(state.old ? [oldPath(a)] : []),
        ...state.keys,
      ])
    const key = keyPath(a)
    const keyChanges = key === undefined ? [] : putKey(a, state.key!, state.keyFolder !== undefined)
    const changes = [
      ...keyChanges,
      ...remove(a, [...(state.old ? [oldPath(a)] : []), ...state.keys.filter((k) => k !== key && k !== a.signed_by)]),
      ...change.put(render(a), state.source, { mode: '0644', owner: 'root', group: 'root' }),
    ]
    const wanted = a.update_cache && a.enabled && a.types.includes('deb')
    return wanted && (changes.length > 0 || !state.listed) ? [...changes, update(a)] : changes
  },
  result: (a) => ({ path: sourcePath(a), key: keyPath(a) ?? '' }),
})

interface Args {
  readonly name: string
  readonly state: 'present' | 'absent'
  readonly repo?: string | undefined
  readonly filename?: string | undefined
  readonly mode?: string | undefined
  readonly update_cache: boolean
  readonly uris?: readonly string[] | undefined
  readonly suites?: readonly string[] | undefined
  readonly components: readonly string[]
  readonly types: readonly string[]
  readonly architectures: readonly string[]
  readonly enabled: boolean
  readonly signed_by?: string | undefined
  readonly key_url?: string | undefined
  readonly key_checksum?: string | undefined
  readonly key_via: 'host' | 'controller'
  readonly trusted: boolean
  readonly lock_timeout: number
  readonly files: readonly LoadedFile[]
}

/** Where sources.list(5) says that keys of single repositories belong. */
const KEYRINGS = '/etc/apt/keyrings'
/** apt reads an armoured key from .asc and a binary one from .gpg, and goes by the ending (apt 1.4 and later). */
const KEY_ENDINGS = ['asc', 'gpg'] as const

/** Every line of every list; a file that cannot be read is none of apt's. */
const LISTS = "grep -Hn '' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || :"

function sourcePath({ name, repo, filename }: Pick<Args, 'name' | 'repo' | 'filename'>): string {
  if (repo === undefined) return `/etc/apt/sources.list.d/${name}.sources`
  const file = `${filename ?? sourcesList.suggestedName(repo)}.list`
  return file.startsWith('/') ? file : `/etc/apt/sources.list.d/${file}`
}
const oldPath = ({ name }: Pick<Args, 'name'>): string => `/etc/apt/sources.list.d/${name}.list`
const keyringPath = ({ name }: Pick<Args, 'name'>, ending: string): string => `${KEYRINGS}/${name}.${ending}`

/** The file of a key that this task brings; undefined when it brings none. */
function keyPath(a: Args): string | undefined {
  if (a.files[0]) {
    const armoured = a.files[0].content?.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')
    return keyringPath(a, armoured ? 'asc' : 'gpg')
  }
  if (a.key_url !== undefined) return keyringPath(a, new URL(a.key_url).pathname.endsWith('.gpg') ? 'gpg' : 'asc')
  return a.signed_by === undefined || a.signed_by.startsWith('/') ? undefined : keyringPath(a, 'asc')
}

function putKey(a: Args, key: read.FileState, folderExists: boolean): Change[] {
  const attributes = { mode: '0644', owner: 'root', group: 'root' }
  const folder = folderExists ? [] : [change.makeFolder(KEYRINGS, { mode: '0755' })]
  if (a.key_url === undefined) {
    const content = a.files[0] ?? `${a.signed_by!.trim()}\n`
    const changes = change.put(content, key, attributes)
    return changes.length === 0 ? [] : [...folder, ...changes]
  }
  const digest = a.key_checksum!.slice('sha256:'.length)
  if (key.content?.sha256 === digest) return change.attributes(key.path, attributes, key.stat!)
  const from = {
    url: a.key_url,
    headers: {},
    checksum: { algorithm: 'sha256' as const, digest },
    timeout: 30,
    validateCerts: true,
    via: a.key_via,
  }
  return [...folder, change.download(from, change.asidePath(key.path, digest), key.path, key.stat, attributes)]
}

/** A line that some list has already stays where it is. */
function planLine(
  a: Args,
  repo: string,
  lines: readonly sourcesList.SourceLine[],
  list: Parameters<typeof change.editText>[1],
  listed: boolean,
): Change[] {
  const path = sourcePath(a)
  const there = lines.filter(({ text }) => sourcesList.activeSource(text) === repo)
  if (a.state === 'absent')
    return [...new Set(there.map((one) => one.path))].map((file) => sourcesList.dropSource(file, repo, lines))
  const elsewhere = there.some((one) => one.path !== path)
  if (there.length > 0) return a.update_cache && !elsewhere && !listed && repo.startsWith('deb ') ? [update(a)] : []
  const edit = change.editText(
    path,
    list,
    sourcesList.addSource(list.text, repo),
    list.exists ? {} : { mode: a.mode ?? '0644' },
  )
  return [...edit, ...(a.update_cache && repo.startsWith('deb ') ? [update(a)] : [])]
}

function render(a: Args): string {
  const signer = keyPath(a) ?? a.signed_by
  const fields: [string, string | undefined][] = [
    ['Enabled', a.enabled ? undefined : 'no'],
    ['Types', a.types.join(' ')],
    ['URIs', a.uris!.join(' ')],
    ['Suites', a.suites!.join(' ')],
    ['Components', a.components.join(' ')],
    ['Architectures', a.architectures.join(' ')],
    ['Signed-By', signer],
    ['Trusted', a.trusted ? 'yes' : undefined],
  ]
  return fields.map(([name, value]) => (value ? `${name}: ${value}\n` : '')).join('')
}

function remove(a: Args, paths: readonly string[]): Change[] {
  if (paths.length === 0) return []
  const touches = [...paths.map((p) => `file:${p}`), `file:${sourcePath(a)}`, 'package-lists', 'package:*']
  return [change.run(['rm', '-f', '--', ...paths], { summary: `remove ${paths.join(', ')}`, touches })]
}

/** Reads the lists of this repository alone; the time of the last whole update stays what it was. */
function update(a: Args): Change {
  const argv = ['update', '-o', `Dir::Etc::sourcelist=${sourcePath(a)}`]
  argv.push('-o', 'Dir::Etc::sourceparts=-', '-o', 'APT::Get::List-Cleanup=0')
  const { script, ...rest } = change.apt(
    argv,
    { lockTimeout: a.lock_timeout },
    {
      summary: `read the package lists of ${a.repo === undefined ? a.name : sourcePath(a)}`,
      touches: ['package-lists', 'package:*'],
    },
  )
  const stamp = '/var/lib/apt/periodic/update-success-stamp'
  const keep = `[ -e ${stamp} ] || { mkdir -p ${quoteAll(['/var/lib/apt/periodic'])} && touch -r /var/lib/apt/lists ${stamp}; }`
  return { ...rest, script: `${keep}\n${script}` }
}
