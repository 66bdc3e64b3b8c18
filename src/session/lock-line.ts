import { quote } from '../shared/quote.ts'

/** Where root's lock lies, on a host with /run, and on one without. */
const ROOT_FOLDERS = ['/run', '/var/run'] as const

/**
 * One line of sh: says `locked`, `locked beside USER`, `held WORDS`, or what is wrong. Behind `locked` and tabs stand the
 * user's detached commands that still run (src/module/jobs.ts), which hold no lock: `PID ID NAME`.
 *
 * Nobody else may be able to hold a lock, for a lock that any user can hold stops all maintenance of the host. So it lies
 * in a folder of its own user: root's is /run/runbook. Another user's is /run/lock/runbook-UID (Debian) or
 * /tmp/runbook-UID, and where somebody has taken that name, one with a random end. Whoever is not root respects root's
 * lock, too, as far as /proc shows them root's processes: which one holds it stands in root's folder, that all may read.
 * (/proc/locks would not do: in a container it leaves out what flock(1) has locked.) Root does not wait for other users' locks, which may be anybody's, but says that they are held.
 */
export function lockLine(holder: string, roots: readonly string[] = ROOT_FOLDERS): string {
  const words = quote(holder.replace(/\s+/g, ' '))
  return [
    // Who owns / is root: one program less to start.
    'if [ -O / ]; then u=0; else u=$(id -u); fi; beside=',
    'die() { printf "%s\\n" "$1"; exit 1; }',
    'own() { [ -d "$1" ] && [ ! -h "$1" ] && [ -O "$1" ]; }',
    'start() { IFS= read -r s <"/proc/$1/stat" && set -- ${s##*) } && printf %s "${20}"; }',
    // A link, for root reads those of others, and nothing that is read can keep it waiting.
    'is_held() { l=$(readlink -- "$1/alive") || return 1; case ${l#*:} in ""|*[!0-9]*) return 1 ;; esac; [ "$(start "${l%:*}" 2>/dev/null)" = "${l#*:}" ]; }',
    // Nothing is started for it where there are none.
    'j=${XDG_STATE_HOME:-$HOME/.local/state}; [ "$u" != 0 ] || j=/var/lib',
    'look() { jobs=; for i in "$j"/runbook/jobs/*/pid; do if [ -f "$i" ] && [ ! -f "${i%pid}rc" ] && read -r a b o x <"$i" && [ -n "$b" ] && [ "$(start "$a" 2>/dev/null)" = "$b" ]; then IFS= read -r w <"${i%pid}name"; i=${i%/pid}; jobs=$jobs$(printf "\\t%s %s %s" "$a" "${i##*/}" "$w"); fi; done; }',
    'wait_for_end() { look; printf "%s\\n" "locked$beside$jobs"; exec >/dev/null 2>&1; p=; while read -r a b; do [ "$a" != end ] || exit 0; p="$p $a:$b"; done',
    // Shells that run no script end with the connection, in the same moment as this one.
    'for a in $p; do while [ "$(start "${a%:*}")" = "${a#*:}" ]; do sleep 0.2 || sleep 1; done; done; exit 0; }',
    `r=${quote(roots[0]!)}`,
    `[ -d "$r" ] || r=${quote(roots.at(-1)!)}`,
    'b=$r/lock',
    '[ -k "$b" ] && [ -w "$b" ] || b=/tmp',
    'r=$r/runbook d=$r',
    'mine() { for d in "$b/runbook-$u" "$b/runbook-$u".*; do own "$d" && return; done; return 1; }',
    'if [ "$u" = 0 ]; then [ -d "$d" ] || mkdir -m 755 -- "$d" || die "cannot make $d"',
    'own "$d" || die "$d is not a folder of root"',
    'for o in "$b"/runbook-*; do if [ -d "$o" ] && is_held "$o"; then beside=" beside $(stat -c %U -- "$o")"; fi; done',
    'else mine || mkdir -m 700 -- "$b/runbook-$u" 2>/dev/null || mktemp -d "$b/runbook-$u.XXXXXX" >/dev/null || die "cannot make a folder in $b"',
    'mine || die "cannot make a folder in $b"',
    'n=5; while is_held "$r"; do n=$((n - 1)); [ $n -gt 0 ] || { IFS= read -r w <"$r/holder"; die "held $w"; }; sleep 0.2 || sleep 1; done',
    'fi',
    'f=$d/lock h=$d/holder',
    'n=root; [ "$u" = 0 ] || n=$(id -un)',
    `me=${words}", since ${new Date().toISOString().replace('T', ' ').slice(0, 19)} UTC (on the host: $n, process $$)"`,
    'tell() { umask 022; printf "%s\\n" "$me" >"$h"; ln -sfn "$$:$(start $$)" "$d/alive"; }',
    `command -v flock >/dev/null || { ${LOCK_BY_LINK}; }`,
    'umask 077; exec 9>>"$f" || die "cannot open $f"',
    // A run that ended just now may need a moment to let go.
    'n=5; until flock -n 9; do n=$((n - 1)); [ $n -gt 0 ] || { IFS= read -r w <"$h"; die "held $w"; }; sleep 0.2 || sleep 1; done',
    'tell',
    'wait_for_end',
  ].join('; ')
}

/**
 * Without flock(1), which Debian's busybox lacks: a symbolic link whose text is the holder's process id and its start time
 * (so that a recycled id is not taken for the holder). `ln -s` is atomic; a link of a dead holder is moved away.
 */
const LOCK_BY_LINK = [
  'f=$f.link',
  'my="$$ $(start $$)"',
  'trap \'[ "$(readlink "$f")" != "$my" ] || rm -f "$f"\' EXIT',
  "trap 'exit 1' HUP INT TERM PIPE",
  'for i in 1 2 3 4 5; do if ln -sn "$my" "$f" 2>/dev/null; then tell; wait_for_end; fi; l=$(readlink "$f"); set -- $l',
  '[ "$(start "$1" 2>/dev/null)" != "$2" ] || { [ $i -lt 5 ] || { IFS= read -r w <"$h"; die "held $w"; }; sleep 0.2 || sleep 1; continue; }',
  'mv -f "$f" "$f.$$" && [ "$(readlink "$f.$$")" = "$l" ] || die "$f is left behind by a dead process and cannot be removed"',
  'rm -f "$f.$$"',
  'done',
  'die "cannot create $f"',
].join('; ')
