import { quoteAll } from '../../shared/quote.ts'
import { type AskKind, ask, each, map, type Read, ReadError, type Section } from '../read.ts'
import { compareRpm } from './rpm-version.ts'

export type Manager = 'apt' | 'dnf' | 'yum'

/** The host's package manager and the state of its database. */
export interface PackageManager {
  readonly manager: Manager
  /** Seconds since the package lists were last brought up to date; undefined when there are none. */
  readonly age: number | undefined
  /** A list of sources is newer than the package lists. */
  readonly sourcesChanged: boolean
  /** dpkg was stopped half-way: nothing can be installed before `dpkg --configure -a`. */
  readonly interrupted: boolean
  /** dnf's or yum's plugin for holding versions is there; true for apt. */
  readonly canHold: boolean
}

/** What is known of one package. */
export interface PackageState {
  /** Version that is installed and configured; for rpm `[epoch:]version-release`. */
  readonly installed: string | undefined
  /** Removed, its configuration files left (apt). */
  readonly leftovers: boolean
  readonly held: boolean
  /** The installed package that provides it under another name. */
  readonly providedBy: string | undefined
  /** Version that would be installed; undefined when no repository has it. Only known when `asked`. */
  readonly candidate: string | undefined
  /** Versions that the repositories have. Only known when `asked`. */
  readonly available: readonly string[]
  /** Whether the repositories were asked: for what is not installed, and where the key wants it. */
  readonly asked: boolean
}

export interface PackageKey {
  readonly name: string
  /** Ask the repositories even if it is installed: for `latest`, or for a version. */
  readonly newest: boolean
}

/** Who writes these decides what can be installed. */
const SOURCES = ['file:/etc/apt/*', 'file:/etc/yum.repos.d/*', 'file:/etc/dnf/*']

/**
 * Debian's own tools may be installed on an RPM host and the other way round, so the one with a database counts. apt's
 * stamp is the one that Ubuntu's update-notifier and our own `apt-get update` touch; Debian alone leaves the folder's time.
 */
export const MANAGER = `
rb_pm() {
  if [ -s /var/lib/dpkg/status ] && command -v apt-get >/dev/null; then echo apt
  elif command -v dnf >/dev/null; then echo dnf
  elif command -v yum >/dev/null; then echo yum
  fi
}
rb_pm_age() {
  [ -e "$1" ] && rb_t=$(stat -c %Y "$1") && printf 'age %s\\n' "$(($(date +%s) - rb_t))"
}
rb_pm_apt() {
  rb_s=/var/lib/apt/periodic/update-success-stamp
  [ -e $rb_s ] || rb_s=/var/lib/apt/lists
  set -- /var/lib/apt/lists/*Packages* /var/lib/apt/lists/*Sources*
  if [ -e "$1" ] || [ -e /var/lib/apt/periodic/update-success-stamp ]; then rb_pm_age $rb_s; fi
  [ -z "$(find /etc/apt/sources.list /etc/apt/sources.list.d -newer $rb_s 2>/dev/null)" ] || echo changed
  for rb_f in /var/lib/dpkg/updates/[0-9]*; do if [ -e "$rb_f" ]; then echo interrupted; break; fi; done
  echo hold
}
rb_pm_rpm() {
  rb_s=/var/cache/$1/last_makecache
  rb_pm_age $rb_s || :
  [ ! -e $rb_s ] || [ -z "$(find /etc/yum.repos.d -newer $rb_s 2>/dev/null)" ] || echo changed
  for rb_f in /etc/dnf/plugins/versionlock.conf /etc/yum/pluginconf.d/versionlock.conf /etc/dnf/libdnf5-plugins/*; do
    if [ -e "$rb_f" ]; then echo hold; break; fi
  done
}
`

const managerKind: AskKind<'', PackageManager> = {
  name: 'package_manager',
  prelude: MANAGER,
  reads: () => ['package-lists', 'package:*', ...SOURCES],
  sections: () => 1,
  script: () =>
    'rb_m=$(rb_pm); echo "$rb_m"; case $rb_m in apt) rb_pm_apt ;; dnf|yum) rb_pm_rpm $rb_m ;; esac; rb_mark\n',
  parse: ([section]) => {
    const [manager, ...rest] = lines(section)
    if (manager !== 'apt' && manager !== 'dnf' && manager !== 'yum') {
      throw new ReadError('the host has none of the package managers apt, dnf and yum')
    }
    const age = rest.find((line) => line.startsWith('age '))
    return [
      {
        manager,
        age: age === undefined ? undefined : Number(age.slice(4)),
        sourcesChanged: rest.includes('changed'),
        interrupted: rest.includes('interrupted'),
        canHold: rest.includes('hold'),
      },
    ]
  },
}

/**
 * `rb_packages NEWEST… -- NAME…`: one dpkg-query or rpm for all; the repositories are only asked about what is not installed
 * and about NEWEST, for that takes a tenth of a second and more.
 */
const QUERY = `${MANAGER}
rb_packages() {
  rb_new=' '
  while [ "$1" != -- ]; do rb_new="$rb_new$1 "; shift; done
  shift
  rb_m=$(rb_pm); echo "m $rb_m"
  case $rb_m in
    apt) rb_packages_apt "$@" ;;
    dnf|yum) rb_packages_rpm "$@" ;;
  esac
}
rb_packages_apt() {
  printf 'a %s\\n' "$(dpkg --print-architecture)"
  rb_q=$(dpkg-query -W -f='i \${Package} \${Architecture} \${Version} \${db:Status-Want} \${db:Status-Status}\\n' -- "$@" 2>/dev/null)
  printf '%s\\n' "$rb_q"
  rb_in=$(printf '%s\\n' "$rb_q" | awk '$NF == "installed" { printf " %s %s:%s ", $2, $2, $3 }')
  rb_no=
  for rb_n; do
    case $rb_in in *" $rb_n "*) continue ;; esac
    rb_no="$rb_no $rb_n"
  done
  [ -z "$rb_no" ] || dpkg-query -W -f='p \${db:Status-Status} \${Package} \${Provides}\\n' |
    awk -v want="$rb_no" 'BEGIN { n = split(want, w, " ") } $2 == "installed" && NF > 3 {
      gsub(/ *\\([^)]*\\)/, ""); gsub(/,/, " ")
      for (i = 4; i <= NF; i++) for (k = 1; k <= n; k++) if ($i == w[k]) print "w", w[k], $3 }'
  set -- $rb_no $rb_new
  [ $# = 0 ] || { for rb_n; do printf 'q %s\\n' "$rb_n"; done; LC_ALL=C apt-cache policy -- "$@" 2>/dev/null | sed 's/^/c /'; }
}
rb_packages_rpm() {
  rb_q=$(rpm -q --qf 'i %{NAME} %{ARCH} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n' -- "$@" 2>/dev/null | grep '^i ')
  printf '%s\\n' "$rb_q"
  rb_in=$(printf '%s\\n' "$rb_q" | awk '{ printf " %s %s.%s ", $2, $2, $3 }')
  rb_no=
  for rb_n; do
    case $rb_in in *" $rb_n "*) continue ;; esac
    rb_w=$(rpm -q --qf '%{NAME}\\n' --whatprovides -- "$rb_n" 2>/dev/null | head -n 1) 
    case $rb_w in ''|*' '*) rb_no="$rb_no $rb_n" ;; *) printf 'w %s %s\\n' "$rb_n" "$rb_w" ;; esac
  done
  sed 's/^/l /' /etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list 2>/dev/null
  sed -n 's/^name *= *"\\(.*\\)"/l \\1-0:/p' /etc/dnf/versionlock.toml 2>/dev/null
  set -- $rb_no $rb_new
  [ $# != 0 ] && [ "$rb_m" = dnf ] || return 0
  rb_q=$(dnf -q -C --disableplugin=versionlock repoquery --qf 'r %{name} %{arch} %{epoch}:%{version}-%{release}
' "$@" 2>/dev/null) || return 0
  for rb_n; do printf 'q %s\\n' "$rb_n"; done
  printf '%s\\n' "$rb_q"
}
`

const packageKind: AskKind<PackageKey, PackageState> = {
  name: 'package',
  prelude: QUERY,
  id: ({ name }) => name,
  merge: (a, b) => ({ name: a.name, newest: a.newest || b.newest }),
  reads: ({ name }) => [`package:${name}`, 'package-lists', ...SOURCES],
  sections: () => 1,
  script: (keys) =>
    `rb_packages ${quoteAll(keys.filter((k) => k.newest).map((k) => k.name))} -- ${quoteAll(keys.map((k) => k.name))}; rb_mark\n`,
  parse: ([section], keys) => {
    const [first, ...rest] = lines(section)
    return first === 'm apt' ? parseApt(rest, keys) : parseRpm(rest, keys)
  },
}

function lines(section: Section | undefined): string[] {
  return (section?.out.toString('utf8') ?? '').split('\n').filter(Boolean)
}

/** Lines of one letter's words. */
export const words = (all: readonly string[], letter: string): string[][] =>
  all.filter((line) => line.startsWith(`${letter} `)).map((line) => line.slice(2).split(' '))

function parseApt(all: readonly string[], keys: readonly PackageKey[]): PackageState[] {
  const native = words(all, 'a')[0]?.[0]
  const entries = words(all, 'i')
  const provided = words(all, 'w')
  const asked = new Set(words(all, 'q').map(([name]) => name))
  const policy = parsePolicy(all.filter((line) => line.startsWith('c ')).map((line) => line.slice(2)))
  return keys.map(({ name }) => {
    const [bare, arch] = name.split(':')
    const entry = entries.find(
      ([pkg, a]) => pkg === bare && (arch === undefined ? a === native || a === 'all' : a === arch || a === 'all'),
    )
    const [, , version, want, status] = entry ?? []
    // config-files is removed but not purged; what is unpacked or half-configured is not installed either: apt mends it
    const known = policy.get(name) ?? policy.get(bare!)
    return {
      installed: status === 'installed' ? version : undefined,
      leftovers: status !== undefined && status !== 'installed' && status !== 'not-installed',
      held: want === 'hold',
      providedBy: provided.find(([of]) => of === name)?.[1],
      candidate: known?.candidate,
      available: known?.available ?? [],
      asked: asked.has(name),
    }
  })
}

interface Policy {
  candidate: string | undefined
  available: string[]
}

/** `apt-cache policy`: the candidate, and the versions that stand in a list other than dpkg's own. */
function parsePolicy(all: readonly string[]): Map<string, Policy> {
  const packages = new Map<string, Policy>()
  let current: Policy = { candidate: undefined, available: [] }
  let version = ''
  for (const line of all) {
    const head = /^(\S+):$/.exec(line)
    if (head) {
      current = { candidate: undefined, available: [] }
      packages.set(head[1]!, current)
      continue
    }
    const candidate = /^ {2}Candidate: (\S+)/.exec(line)
    if (candidate && candidate[1] !== '(none)') current.candidate = candidate[1]
    const row = /^ (?:\*\*\*| {3}) (\S+) -?\d+/.exec(line)
    if (row) version = row[1]!
    else if (/^ {8,9}-?\d+ (?!\/var\/lib\/dpkg\/status)/.test(line) && !current.available.includes(version))
      current.available.push(version)
  }
  return packages
}

function parseRpm(all: readonly string[], keys: readonly PackageKey[]): PackageState[] {
  const entries = words(all, 'i')
  const provided = words(all, 'w')
  const locks = words(all, 'l').map(([lock]) => lock!)
  const asked = new Set(words(all, 'q').map(([name]) => name))
  const remote = words(all, 'r')
  return keys.map(({ name }) => {
    const matches = ([pkg, arch]: string[]): boolean => name === pkg || name === `${pkg}.${arch}`
    const mine = entries.filter(matches)
    // several versions of a kernel are installed side by side: the newest counts
    const newest = mine.map(([, , version]) => version!).sort(compareRpm)
    const available = remote.filter(matches).map(([, , version]) => version!)
    const pkg = mine[0]?.[0] ?? name
    return {
      installed: newest.at(-1) === undefined ? undefined : bareEpoch(newest.at(-1)!),
      leftovers: false,
      held: locks.some((lock) => isLockOf(lock, pkg)),
      providedBy: provided.find(([of]) => of === name)?.[1],
      candidate: available.length === 0 ? undefined : bareEpoch([...available].sort(compareRpm).at(-1)!),
      available: available.map(bareEpoch),
      asked: asked.has(name),
    }
  })
}

/** A line of versionlock.list: `name-epoch:version-release.arch`; `!` excludes rather than holds. */
function isLockOf(lock: string, name: string): boolean {
  if (lock.startsWith('!') || lock.startsWith('#')) return false
  const rest = lock.startsWith(`${name}-`) ? lock.slice(name.length + 1) : ''
  return /^\d+:/.test(rest)
}

/** rpm writes epoch 0 where there is none. */
export const bareEpoch = (version: string): string => version.replace(/^(0|\(none\)):/, '')

/** The host's package manager. Fails on a host that has none we know. */
export function packageManager(): Read<PackageManager> {
  return ask(managerKind, '')
}

/** State of packages by name, as few processes as the manager allows for all of a window. */
export function packages(keys: readonly PackageKey[]): Read<Record<string, PackageState>> {
  return map(each(keys.map((key) => ask(packageKind, key))), (states) =>
    Object.fromEntries(keys.map(({ name }, i) => [name, states[i]!])),
  )
}
