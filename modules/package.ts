import { args, type Change, change, defineModule, read, TaskFailure, z } from '#module'

/** Debian policy 5.6.1 and rpm's looser names (`libstdc++`, `python3-PyYAML`), with `:arch` or `.arch`. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?$/

const spec = z
  .string()
  .transform((text) => {
    const at = text.indexOf('=')
    return at === -1 ? { name: text, version: undefined } : { name: text.slice(0, at), version: text.slice(at + 1) }
  })
  .refine(({ name }) => NAME.test(name), 'must be the name of a package, e.g. `curl`, `kubelet=1.34.*`')
  .refine(({ version }) => version === undefined || /^[A-Za-z0-9.+:~^*?-]+$/.test(version), 'is not a version')

export default defineModule({
  summary: 'Packages of the distribution: installed, removed, at a version, held',
  description:
    'For apt, dnf and yum. All packages of a task go into one transaction, and the state of all packages of many tasks is ' +
    'read at once. Package lists are brought up to date when they are older than `cache_valid_time`, or when they do not ' +
    'know what is wanted. Nothing is ever asked, and needrestart does not restart services.',
  args: z
    .strictObject({
      name: args
        .list(spec)
        .describe('package or list of packages; `pkg=1.2*` asks for a version (`*` stands for anything)'),
      state: z
        .enum(['present', 'absent', 'latest'])
        .default('present')
        .describe('present leaves an installed version alone; latest upgrades to what the repositories offer'),
      hold: args.boolean
        .optional()
        .describe(
          'true: upgrades leave it alone from now on, though this task still changes it; false: no longer held',
        ),
      update_cache: args.boolean
        .optional()
        .describe(
          'true: bring the package lists up to date first when older than `cache_valid_time`; absent: only when they do ' +
            'not know a package; false: never',
        ),
      cache_valid_time: z
        .int()
        .min(60, 'must be at least 60 seconds')
        .default(3600)
        .describe('seconds for which package lists are new enough'),
      install_recommends: args.boolean
        .optional()
        .describe('install what the packages recommend (apt) or weakly need (dnf); absent: as the host is configured'),
      allow_downgrade: args.boolean.default(false).describe('may replace an installed version by an older one'),
      purge: args.boolean.default(false).describe('with absent: remove configuration files too (apt)'),
      autoremove: args.boolean.default(false).describe('with absent: remove dependencies that nothing else needs'),
      conffiles: z
        .enum(['keep', 'replace'])
        .default('keep')
        .describe(
          'a configuration file changed both here and by the new package: keep ours, or take the package’s (apt)',
        ),
      repair: args.boolean
        .default(false)
        .describe('when dpkg was interrupted, run `dpkg --configure -a` first instead of failing'),
      lock_timeout: z.int().nonnegative().default(300).describe('seconds to wait for another apt or dpkg'),
    })
    .refine((a) => a.state !== 'latest' || a.name.every((p) => p.version === undefined), {
      message: 'a version and `state: latest` contradict each other',
      path: ['state'],
    })
    .refine((a) => a.state !== 'absent' || a.hold !== true, {
      message: 'what is absent cannot be held',
      path: ['hold'],
    }),
  examples: [
    { name: 'What a node needs', yaml: 'package:\n  name: [conntrack, ethtool, socat]\n  update_cache: true' },
    {
      name: 'Kubernetes at one minor version, held',
      yaml: 'package:\n  name: ["kubelet=1.34.*", "kubeadm=1.34.*", "kubectl=1.34.*"]\n  hold: true',
    },
    {
      name: 'Gone with its configuration',
      yaml: 'package:\n  name: unattended-upgrades\n  state: absent\n  purge: true',
    },
  ],
  returns: { packages: 'map of name to the installed version, "" when it is not installed' },
  probe: ({ name, state }) => ({
    manager: read.packageManager(),
    packages: read.packages(name.map((p) => ({ name: p.name, newest: state === 'latest' || p.version !== undefined }))),
  }),
  plan: (a, { manager, packages }) => {
    const wanted = a.name.map((p): Wanted => ({ ...p, is: packages[p.name]! }))
    const work = a.state === 'absent' ? remove(a, manager, wanted) : install(a, manager, wanted)
    const hold = holds(a, manager, wanted, work.length > 0)
    // What is to be held must be there first; what is no longer to be held can then be changed or removed.
    const changes = a.hold ? [...work, ...hold] : [...hold, ...work]
    if (changes.length === 0 || !manager.interrupted) return changes
    if (!a.repair) {
      throw new TaskFailure(
        'dpkg was interrupted, and installs nothing before it is mended: run `dpkg --configure -a` on the host, or set `repair: true`',
      )
    }
    const repair = change.script('DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a', {
      summary: 'finish what dpkg was interrupted in (dpkg --configure -a)',
    })
    return [repair, ...changes]
  },
  result: ({ name }, { packages }) => ({
    packages: Object.fromEntries(name.map((p) => [p.name, packages[p.name]?.installed ?? ''])),
  }),
})

interface Args {
  readonly state: 'present' | 'absent' | 'latest'
  readonly hold?: boolean | undefined
  readonly update_cache?: boolean | undefined
  readonly cache_valid_time: number
  readonly install_recommends?: boolean | undefined
  readonly allow_downgrade: boolean
  readonly purge: boolean
  readonly autoremove: boolean
  readonly conffiles: 'keep' | 'replace'
  readonly lock_timeout: number
}

interface Wanted {
  readonly name: string
  readonly version: string | undefined
  readonly is: read.PackageState
}

function install(a: Args, manager: read.PackageManager, wanted: readonly Wanted[]): Change[] {
  const needed = wanted.filter((p) => needs(a, p))
  const unknown = needed.filter((p) => p.is.asked && !isOffered(p))
  const old = manager.age === undefined || manager.age > a.cache_valid_time || manager.sourcesChanged
  const refresh = a.update_cache !== false && old && (a.update_cache === true || unknown.length > 0)
  if (unknown.length > 0 && !refresh) throw new TaskFailure(unknownWords(unknown))
  // New lists may bring new versions, so that all have to be looked at.
  const targets = refresh && a.state === 'latest' ? wanted : needed
  const changes = refresh ? [change.refreshLists(manager.manager, a.lock_timeout)] : []
  if (targets.length === 0) return changes
  refuseHeld(a, targets)
  const from = Object.fromEntries(targets.map((p) => [p.name, p.is.installed ?? 'absent']))
  const to = Object.fromEntries(targets.map((p) => [p.name, p.version ?? p.is.candidate ?? 'newest']))
  const options = {
    summary: targets
      .map((p) => {
        const version = p.version ?? p.is.candidate
        if (p.is.installed === undefined) return `install ${p.name}${version ? ` ${version}` : ''}`
        return needed.includes(p) && version
          ? `replace ${p.name} ${p.is.installed} by ${version}`
          : `upgrade ${p.name} if there is a newer version`
      })
      .join(', '),
    diff: { kind: 'value' as const, from, to },
  }
  return [
    ...changes,
    manager.manager === 'apt' ? aptInstall(a, targets, options) : rpmInstall(a, manager.manager, targets, options),
  ]
}

type Words = Parameters<typeof change.apt>[2]

function aptInstall(a: Args, targets: readonly Wanted[], options: Words): Change {
  const argv = [
    'install',
    ...(a.install_recommends === undefined ? [] : ['-o', `APT::Install-Recommends=${a.install_recommends}`]),
    ...(a.allow_downgrade ? ['--allow-downgrades'] : []),
    ...(targets.some((p) => p.is.held) ? ['--allow-change-held-packages'] : []),
    ...targets.map((p) => `${p.name}${p.version === undefined ? '' : `=${chosen(p)}`}`),
  ]
  return change.apt(argv, { lockTimeout: a.lock_timeout, conffiles: a.conffiles }, options)
}

function rpmInstall(a: Args, manager: 'dnf' | 'yum', targets: readonly Wanted[], options: Words): Change {
  const flags = [
    ...(a.install_recommends === undefined || manager === 'yum'
      ? []
      : [`--setopt=install_weak_deps=${a.install_recommends ? 'True' : 'False'}`]),
    ...(targets.some((p) => p.is.held) ? ['--disableplugin=versionlock'] : []),
  ]
  const words = targets.map((p) => `${p.name}${p.version === undefined ? '' : `-${p.version.replace(/^0:/, '')}`}`)
  // `install` also upgrades what is installed; an older version takes `downgrade`, which refuses what is not installed.
  const older = targets.flatMap((p, i) => (isOlder(p) ? [words[i]!] : []))
  const newer = words.filter((w) => !older.includes(w))
  const steps = [
    ...(newer.length > 0 ? [change.rpmManager(manager, [...flags, 'install', ...newer], options)] : []),
    ...(older.length > 0 ? [change.rpmManager(manager, [...flags, 'downgrade', ...older], options)] : []),
  ]
  if (older.length > 0 && !a.allow_downgrade) {
    throw new TaskFailure(
      `${older.join(', ')} is older than what is installed: set \`allow_downgrade: true\` if you mean it`,
    )
  }
  return { ...steps[0]!, script: steps.map((s) => `( ${s.script}\n) || exit`).join('\n') }
}

function remove(a: Args, manager: read.PackageManager, wanted: readonly Wanted[]): Change[] {
  const there = wanted.filter((p) => p.is.installed !== undefined || (a.purge && p.is.leftovers))
  if (there.length === 0) return []
  refuseHeld(a, there)
  const names = there.map((p) => p.name)
  const options = {
    summary: `${a.purge && manager.manager === 'apt' ? 'purge' : 'remove'} ${names.join(', ')}`,
    diff: {
      kind: 'value' as const,
      from: Object.fromEntries(there.map((p) => [p.name, p.is.installed ?? 'configuration files'])),
      to: Object.fromEntries(there.map((p) => [p.name, 'absent'])),
    },
  }
  if (manager.manager === 'apt') {
    const argv = [
      a.purge ? 'purge' : 'remove',
      ...(a.autoremove ? ['--auto-remove'] : []),
      ...(there.some((p) => p.is.held) ? ['--allow-change-held-packages'] : []),
      ...names,
    ]
    return [change.apt(argv, { lockTimeout: a.lock_timeout }, options)]
  }
  const keep =
    manager.manager === 'dnf' ? `--setopt=clean_requirements_on_remove=${a.autoremove ? 'True' : 'False'}` : ''
  return [change.rpmManager(manager.manager, [...(keep ? [keep] : []), 'remove', ...names], options)]
}

function holds(a: Args, manager: read.PackageManager, wanted: readonly Wanted[], changing: boolean): Change[] {
  if (a.hold === undefined) return []
  // Installing a version that is held takes the hold off in some releases of apt, and the old lock is of no use to dnf.
  const names = wanted.filter((p) => p.is.held !== a.hold || (a.hold && changing)).map((p) => p.name)
  if (names.length === 0) return []
  if (!manager.canHold) {
    throw new TaskFailure(
      `${manager.manager} cannot hold packages here: install its versionlock plugin first (python3-dnf-plugin-versionlock, yum-plugin-versionlock)`,
    )
  }
  const options = {
    summary: `${a.hold ? 'hold' : 'no longer hold'} ${names.join(', ')}`,
    touches: names.map((n) => `package:${n}`),
    diff: { kind: 'value' as const, from: a.hold ? 'not held' : 'held', to: a.hold ? 'held' : 'not held' },
  }
  if (manager.manager === 'apt') return [change.run(['apt-mark', a.hold ? 'hold' : 'unhold', ...names], options)]
  const lock = change.rpmManager(manager.manager, ['versionlock', a.hold ? 'add' : 'delete', ...names], options)
  if (!a.hold) return [lock]
  // `add` leaves an older lock as it is, which would hide the new version.
  const drop = change.rpmManager(manager.manager, ['versionlock', 'delete', ...names], options)
  return [{ ...lock, script: `( ${drop.script}\n) >/dev/null 2>&1\n${lock.script}` }]
}

/**
 * Whether an installed package is not as wanted, or not installed. What another package provides is as good where no
 * repository has a package of that name, which is what would be installed.
 */
function needs(a: Args, { version, is }: Wanted): boolean {
  if (is.installed === undefined)
    return is.providedBy === undefined || is.candidate !== undefined || version !== undefined
  if (version !== undefined) return !matches(version, is.installed)
  return a.state === 'latest' && is.candidate !== undefined && is.candidate !== is.installed
}

/** Whether a version matches `1.2*`; an rpm version may leave the release out. */
function matches(pattern: string, version: string): boolean {
  const regex = pattern.replace(/^0:/, '').replace(/[.+^]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.')
  return new RegExp(`^(\\d+:)?${regex}$`).test(version) || new RegExp(`^${regex}-[^-]+$`).test(version)
}

const isOffered = ({ version, is }: Wanted): boolean =>
  version === undefined ? is.candidate !== undefined : is.available.some((v) => matches(version, v))

/** The newest version that matches, as apt-cache lists them, newest first; apt takes the pattern where it is not known. */
const chosen = ({ version, is }: Wanted): string => is.available.find((v) => matches(version!, v)) ?? version!

function isOlder({ version, is }: Wanted): boolean {
  if (version === undefined || is.installed === undefined) return false
  const known = is.available.filter((v) => matches(version, v)).sort(read.compareRpm)
  return read.compareRpm(known.at(-1) ?? version.replace(/\*.*$/, ''), is.installed) < 0
}

function refuseHeld(a: Args, targets: readonly Wanted[]): void {
  const held = targets.filter((p) => p.is.held).map((p) => `${p.name} ${p.is.installed ?? ''}`.trim())
  if (held.length === 0 || a.hold !== undefined) return
  throw new TaskFailure(
    a.state === 'absent'
      ? `${held.join(', ')} is held: say \`hold: false\` to remove it all the same`
      : `${held.join(', ')} is held and would be changed: say \`hold: true\` to change it and hold it again, or \`hold: false\``,
  )
}

function unknownWords(unknown: readonly Wanted[]): string {
  return unknown
    .map(({ name, version, is }) => {
      if (version !== undefined && is.available.length > 0) {
        return `no repository has ${name} ${version}; there is ${is.available.slice(0, 5).join(', ')}`
      }
      return `no repository of this host has a package ${name}: mend the name, or add its repository first`
    })
    .join('; ')
}
