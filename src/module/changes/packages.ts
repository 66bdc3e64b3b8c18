import { quoteAll } from '../../shared/quote.ts'
import type { Change, ChangeOptions } from '../change.ts'
import type { Manager } from '../reads/packages.ts'
import { EVERYTHING } from '../resources.ts'

export interface AptOptions {
  /** Seconds to wait for another apt or dpkg. */
  readonly lockTimeout: number
  /** What becomes of a configuration file that both the administrator and the new package have changed. */
  readonly conffiles?: 'keep' | 'replace'
}

/**
 * `rb_apt SECONDS WORD…`: apt-get that asks nothing and restarts nothing by itself, waits for locks (its own
 * DPkg::Lock::Timeout does not cover the locks of the lists and of the archive), and tells by its status what is wrong.
 * Messages are in English to be recognised, but LC_CTYPE stays: PostgreSQL's package makes a cluster of that encoding.
 */
const APT = `
rb_apt() {
  rb_e=$(mktemp) || return 1
  trap 'rm -f -- "$rb_e"' EXIT
  rb_until=$(($(date +%s) + $1)); rb_wait=$1; shift
  if [ -n "$LC_ALL" ]; then export LC_CTYPE="$LC_ALL"; unset LC_ALL; fi
  export LC_MESSAGES=C LANGUAGE= DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none
  export NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l
  while :; do
    apt-get -y -q -o DPkg::Lock::Timeout="$rb_wait" -o Dpkg::Use-Pty=0 "$@" 2>"$rb_e" </dev/null
    rb_r=$?
    cat -- "$rb_e" >&2
    rb_said() { grep -qE "$1" "$rb_e"; }
    if rb_said '^W: (Failed to fetch|Some index files failed)'; then return 206; fi
    [ $rb_r != 0 ] || return 0
    if rb_said 'Could not get lock|Unable to (lock|acquire)'; then
      [ "$(date +%s)" -lt "$rb_until" ] || return 203
      sleep 2
      continue
    fi
    if rb_said 'Unable to locate package|has no installation candidate|Version .* was not found'; then return 201; fi
    if rb_said 'dpkg was interrupted'; then return 202; fi
    if rb_said 'Held packages were changed|held broken packages'; then return 204; fi
    if rb_said 'Packages were downgraded'; then return 205; fi
    if rb_said 'Unable to fetch|Failed to fetch|is not signed|NO_PUBKEY|does not have a Release file'; then return 206; fi
    if rb_said "don't have enough free space|No space left on device"; then return 207; fi
    return $rb_r
  done
}
`

const APT_EXPLAIN: Readonly<Record<number, string>> = {
  201: 'no repository of this host has it: mend the name or the version, or add the repository (apt_repository) first',
  202: 'dpkg was interrupted: run `dpkg --configure -a` on the host, or set `repair: true`',
  203: 'another apt or dpkg held the lock for longer than `lock_timeout` (unattended-upgrades?)',
  204: 'it depends on packages that are held, or would change them: see `apt-mark showhold`',
  205: 'it would install an older version: set `allow_downgrade: true` if you mean it',
  206: 'a repository could not be read: see the lines that begin with E: or W:',
  207: 'the disk is full: `apt-get clean` frees /var/cache/apt/archives',
}

/** Runs apt-get. It can touch everything: packages bring files, users and services. */
export function apt(
  argv: readonly string[],
  { lockTimeout, conffiles = 'keep' }: AptOptions,
  options: ChangeOptions & { summary: string },
): Change {
  const force = conffiles === 'keep' ? 'confold' : 'confnew'
  const words = ['-o', 'Dpkg::Options::=--force-confdef', '-o', `Dpkg::Options::=--force-${force}`, ...argv]
  return {
    touches: [EVERYTHING],
    explain: APT_EXPLAIN,
    ...options,
    script: `${APT}\nrb_apt ${lockTimeout} ${quoteAll(words)}`,
  }
}

/** Brings the package lists up to date. Fails when any of the repositories cannot be read: apt itself would not say so. */
export function refreshLists(manager: Manager, lockTimeout: number): Change {
  const options = { summary: 'update the package lists', touches: ['package-lists', 'package:*'] }
  if (manager !== 'apt') {
    const stamp = `/var/cache/${manager}/last_makecache`
    const { script, ...rest } = rpmManager(manager, ['makecache', ...(manager === 'dnf' ? ['--refresh'] : [])], options)
    return { ...rest, script: `{ ${script}\n} && mkdir -p /var/cache/${manager} && touch ${stamp}` }
  }
  const update = apt(['update'], { lockTimeout }, options)
  const stamp = '/var/lib/apt/periodic/update-success-stamp'
  return { ...update, script: `${update.script} && mkdir -p /var/lib/apt/periodic && touch ${stamp}` }
}

/** `rb_rpm WORD…`: dnf or yum that asks nothing and tells by its status what is wrong. It waits for locks by itself. */
const RPM = `
rb_rpm() {
  rb_e=$(mktemp) || return 1
  trap 'rm -f -- "$rb_e"' EXIT
  LC_ALL=C.UTF-8 "$@" 2>"$rb_e" </dev/null
  rb_r=$?
  cat -- "$rb_e" >&2
  [ $rb_r != 0 ] || return 0
  rb_said() { grep -qE "$1" "$rb_e"; }
  if rb_said '[Uu]nable to find a match|No match for argument|No package .* available|Nothing to do'; then return 201; fi
  if rb_said 'Failed to download metadata|Cannot (retrieve|download)|Curl error|GPG check FAILED'; then return 206; fi
  if rb_said 'At least .* more space needed|No space left on device'; then return 207; fi
  return $rb_r
}
`

const RPM_EXPLAIN: Readonly<Record<number, string>> = {
  201: 'no enabled repository of this host has it, or a version lock or `exclude` hides it: mend the name or the version, or add the repository',
  206: 'a repository could not be read or its signature is wrong: see the error above',
  207: 'the disk is full',
}

/** Runs dnf or yum. */
export function rpmManager(
  manager: 'dnf' | 'yum',
  argv: readonly string[],
  options: ChangeOptions & { summary: string },
): Change {
  return {
    touches: [EVERYTHING],
    explain: RPM_EXPLAIN,
    ...options,
    script: `${RPM}\nrb_rpm ${manager} -y -q ${quoteAll(argv)}`,
  }
}
