import { args, type Change, change, defineModule, ini, read, z } from '#module'

const line = z.string().regex(/^[^\r\n\0]*$/, 'must be one line')
const text = z.union([line, z.int()]).transform(String)
const lines = args.list(line.min(1))
const url = z.string().regex(/^[a-z][a-z0-9+.-]*:[^\s]+$/, 'must be a URI without blanks')

/** Options of a repository, dnf.conf(5), with Ansible's names; `name` of the file is `description` here. */
const OPTIONS = {
  baseurl: args.list(url).optional().describe('where it is; several are tried in turn'),
  metalink: url.optional().describe('where the list of its mirrors can be had'),
  mirrorlist: url.optional().describe('the same, as a plain list'),
  enabled: args.boolean.optional().describe('false keeps the file but takes nothing from it'),
  gpgcheck: args.boolean.optional().describe('check the signatures of packages; absent: what dnf.conf says'),
  repo_gpgcheck: args.boolean.optional().describe('check the signature of the lists'),
  gpgkey: args
    .list(url)
    .optional()
    .describe('where the keys are: file:///etc/pki/rpm-gpg/… for one that is on the host'),
  priority: text.optional().describe('a smaller number wins; default 99'),
  cost: text.optional().describe('which is taken where two have the same package; default 1000'),
  exclude: lines.optional().describe('packages to take nothing of'),
  includepkgs: lines.optional().describe('only these packages'),
  module_hotfixes: args.boolean.optional().describe('its packages are there in spite of modules'),
  enablegroups: args.boolean.optional().describe('groups of packages'),
  skip_if_unavailable: args.boolean.optional().describe('go on without it when it cannot be reached'),
  metadata_expire: text.optional().describe('seconds, or 6h, 2d, never'),
  bandwidth: text.optional().describe('bytes a second there are, for `throttle`'),
  throttle: text.optional().describe('bytes a second to take at most, or a share such as 50%'),
  ip_resolve: z.enum(['4', '6', 'IPv4', 'IPv6', 'whatever']).optional().describe('kind of address to connect to'),
  retries: text.optional().describe('how often a download is tried'),
  timeout: text.optional().describe('seconds without an answer'),
  proxy: line.optional().describe('URL of a proxy; _none_: no proxy'),
  proxy_username: line.optional().describe('user for the proxy'),
  proxy_password: line.optional().describe('password for the proxy; give the file a `mode`'),
  username: line.optional().describe('user for the repository'),
  password: line.optional().describe('password for the repository; give the file a `mode`'),
  sslverify: args.boolean.optional().describe('check the certificate of the server'),
  sslcacert: line.optional().describe('file of the CA on the host'),
  sslclientcert: line.optional().describe('file of the client’s certificate on the host'),
  sslclientkey: line.optional().describe('file of its key on the host'),
} as const

export default defineModule({
  summary: 'A repository of dnf or yum',
  description:
    'Writes one section of /etc/yum.repos.d/FILE.repo; other repositories of the file stay as they are. A section that says the ' +
    'same in other words is left alone. The next task with package reads the lists of packages again. For apt: apt_repository.',
  args: z
    .strictObject({
      name: z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9_.:-]*$/, 'may hold letters, digits, `_`, `-`, `.`, `:` only')
        .describe('id of the repository, in brackets in the file'),
      state: z
        .enum(['present', 'absent'])
        .default('present')
        .describe('absent removes it, and a file that holds no other'),
      description: line.min(1).optional().describe('its name for people'),
      file: z
        .string()
        .regex(/^[^/\s\0]+$/, 'must be the name of a file, without its ending')
        .optional()
        .describe('name of the file, without .repo; default: that of the repository'),
      reposdir: args.path.default('/etc/yum.repos.d').describe('the folder'),
      ...OPTIONS,
      ...args.attributes,
    })
    .refine(
      (a) => a.state === 'absent' || a.baseurl !== undefined || a.metalink !== undefined || a.mirrorlist !== undefined,
      'say where it is: `baseurl`, `metalink` or `mirrorlist`',
    )
    .refine((a) => a.state === 'absent' || a.description !== undefined, '`description` is needed'),
  examples: [
    {
      name: 'Kubernetes',
      yaml:
        'yum_repository:\n  name: kubernetes\n  description: Kubernetes\n  baseurl: https://pkgs.k8s.io/core:/stable:/v1.34/rpm/\n' +
        '  gpgcheck: true\n  gpgkey: https://pkgs.k8s.io/core:/stable:/v1.34/rpm/repodata/repomd.xml.key\n' +
        '  exclude: [kubelet, kubeadm, kubectl, cri-tools, kubernetes-cni]',
    },
  ],
  returns: { path: 'the file of the repository' },
  probe: (a) => ({ file: read.text(pathOf(a)) }),
  plan: (a, { file }): Change[] => {
    const path = pathOf(a)
    const parsed = ini.parseIni(file.text)
    const mine = parsed.sections.filter(({ name }) => name === a.name)
    const changed = (section: ini.IniSection[]): string => {
      const sections = parsed.sections.flatMap((one) => {
        if (!mine.includes(one)) return [one]
        const rest = { name: undefined, lines: commentsBehind(one) }
        return one === mine[0] ? [...section, rest] : [rest]
      })
      return ini.formatIni({ ...parsed, sections })
    }
    if (a.state === 'absent') {
      if (mine.length === 0) return []
      const others = parsed.sections.some((s) => s.name !== undefined && !mine.includes(s))
      if (others) return change.editText(path, file, changed([]), a)
      return [change.run(['rm', '-f', '--', path], { summary: `remove ${path}`, touches: [`file:${path}`] })]
    }
    const wanted = optionsOf(a)
    if (mine.length === 1 && isSame(ini.optionsOf(mine[0]!), wanted)) return change.editText(path, file, file.text, a)
    const section = { name: a.name, lines: render(a.name, wanted).map((line) => line + parsed.end) }
    if (mine.length === 0) {
      const last = parsed.sections.at(-1)!.lines
      if (last.length > 0 && last.at(-1)!.trim() !== '') last.push(parsed.end)
      parsed.sections.push(section)
    }
    const mode = a.mode ?? (file.exists ? undefined : '0644')
    return change.editText(path, file, changed([section]), { ...a, mode })
  },
  result: (a) => ({ path: pathOf(a) }),
})

const pathOf = ({ reposdir, file, name }: { reposdir: string; file?: string | undefined; name: string }): string =>
  `${reposdir}/${file ?? name}.repo`

type Values = { readonly [N in keyof typeof OPTIONS]?: z.output<(typeof OPTIONS)[N]> }

/** dnf splits these at line breaks, blanks and commas. */
const LISTS: readonly string[] = ['baseurl', 'gpgkey', 'exclude', 'includepkgs']

/** What the section is to say, by name. */
function optionsOf(a: Values & { readonly description?: string | undefined }): ReadonlyMap<string, string> {
  const options = new Map([['name', a.description!]])
  for (const key of Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]) {
    const value = a[key]
    if (value === undefined) continue
    const separator = key === 'baseurl' || key === 'gpgkey' ? '\n' : ' '
    options.set(key, Array.isArray(value) ? value.join(separator) : String(typeof value === 'boolean' ? +value : value))
  }
  return new Map([...options].sort(([x], [y]) => (x < y ? -1 : 1)))
}

function isSame(found: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, string>): boolean {
  const plain = (key: string, value: string): string => (LISTS.includes(key) ? value.replace(/[\s,]+/g, ' ') : value)
  return (
    found.size === wanted.size &&
    [...wanted].every(([key, value]) => found.has(key) && plain(key, found.get(key)!) === plain(key, value))
  )
}

/** As Python's configparser writes it, and Ansible with it: a line more behind the section. */
function render(name: string, options: ReadonlyMap<string, string>): string[] {
  const lines = [...options].flatMap(([key, value]) => `${key} = ${value.replaceAll('\n', '\n\t')}`.split('\n'))
  return [`[${name}]`, ...lines, '']
}

/** Comments behind the last option belong to what follows. */
function commentsBehind({ lines }: ini.IniSection): string[] {
  const rest = lines.slice(lines.findLastIndex((one) => !ini.isIdle(one)) + 1)
  const first = rest.findIndex((one) => one.trim() !== '')
  return first === -1 ? [] : rest.slice(first)
}
