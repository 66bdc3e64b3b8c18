import { quote } from '../shared/quote.ts'
import type { Booted } from './boot.ts'
import { SessionError } from './session.ts'
import type { OpenChannel } from './shell.ts'

/** How long the host may take to say whether the lock is ours. */
const LOCK_MS = 30_000

/** The lock is held until the channel dies, and longer when shells that it watches are not at their end by then. */
export interface Lock {
  /** The lock outlives the connection as long as this shell still runs a script. */
  watch(shell: Booted): void
  /** All scripts have ended: the lock goes at once. */
  release(): void
}

/**
 * Takes the host's run lock and holds it until the channel dies: `flock` on a descriptor of a shell that waits for the
 * end of its standard input. A script goes on when its connection is lost, and another run must not begin beside it: so
 * the shell is told of the shells that run scripts, and waits for those too. (Where /proc hides other users' processes,
 * it sees only its own user's.)
 *
 * The place must not depend on who logs in: /run/lock where everybody may write to it (Debian), else /tmp. The file is
 * created with O_EXCL, opened without O_CREAT (fs.protected_regular refuses even root otherwise), must be a plain file
 * that is no symbolic link, and is everybody's to lock; the holder's words go through the descriptor, never the path.
 */
export async function takeLock(
  host: string,
  open: (line: string) => Promise<OpenChannel>,
  holder: string,
): Promise<Lock> {
  const { channel, ready } = await open(lockLine(holder))
  await ready
  let timer: NodeJS.Timeout | undefined
  const said = await new Promise<string | undefined>((resolve) => {
    let text = ''
    channel.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      if (text.includes('\n')) resolve(text)
    })
    channel.stderr.on('data', (chunk: Buffer) => {
      text += chunk
    })
    channel.stdout.resume()
    channel.stderr.resume()
    channel.exit.then(() => setImmediate(() => resolve(text)))
    timer = setTimeout(resolve, LOCK_MS, undefined)
  })
  clearTimeout(timer)
  const line = said?.trim()
  if (line === 'locked') {
    return {
      watch: ({ pid, started }) => {
        if (started) channel.stdin.write(`${pid} ${started}\n`)
      },
      release: () => channel.stdin.write('end\n'),
    }
  }
  channel.close()
  if (line === undefined) {
    throw new SessionError('timeout', host, `the host did not say within ${LOCK_MS / 1000} s whether its lock is free`)
  }
  const held = /^held (.*)/.exec(line)
  if (held) {
    const who = held[1]!.replace(/[^\x20-\x7e]/g, '?').slice(0, 300) || 'somebody'
    throw new SessionError('locked', host, `another run holds this host: ${who}`, {
      hint: 'wait until it has ended; the lock goes with its connection, or with the last step that the connection left behind',
    })
  }
  throw new SessionError('locked', host, `cannot take the run lock: ${line || 'the channel ended'}`)
}

/** One line of sh: says `locked`, or `held WORDS`, or what is wrong. */
export function lockLine(holder: string): string {
  const words = quote(holder.replace(/\s+/g, ' '))
  return [
    'd=/run/lock',
    '[ -k "$d" ] && [ -w "$d" ] || d=/tmp',
    'f=$d/runbook.lock',
    'die() { printf "%s\\n" "$1"; exit 1; }',
    'start() { IFS= read -r s <"/proc/$1/stat" && set -- ${s##*) } && printf %s "${20}"; }',
    'wait_for_end() { echo locked; exec >/dev/null 2>&1; p=; while read -r a b; do [ "$a" != end ] || exit 0; p="$p $a:$b"; done',
    // Shells that run no script end with the connection, in the same moment as this one.
    'for a in $p; do while [ "$(start "${a%:*}")" = "${a#*:}" ]; do sleep 0.2 || sleep 1; done; done; exit 0; }',
    `command -v flock >/dev/null || { ${lockByLink(words)}; }`,
    '[ -e "$f" ] || [ -h "$f" ] || ( umask 0; set -C; : >"$f" ) 2>/dev/null',
    '[ -f "$f" ] && [ ! -h "$f" ] || die "$f is not a plain file"',
    'exec 9<"$f" || die "cannot open $f"',
    '[ "$f" -ef /proc/self/fd/9 ] && [ ! -h "$f" ] || die "$f was changed while it was opened"',
    // A run that ended just now may need a moment to let go.
    'n=5; until flock -n 9; do n=$((n - 1)); [ $n -gt 0 ] || { IFS= read -r w <&9; die "held $w"; }; sleep 0.2 || sleep 1; done',
    // No truncation: readers take the first line, which ends the words.
    `printf "%s\\n" ${words} 1<>/proc/self/fd/9`,
    'wait_for_end',
  ].join('; ')
}

/**
 * Without flock(1), which Debian's busybox lacks: a symbolic link whose text is the holder's process id, its start time
 * (so that a recycled id is not taken for the holder) and words. `ln -s` is atomic; a link of a dead holder is moved away.
 */
function lockByLink(words: string): string {
  return [
    'f=$f.link',
    `me="$$ $(start $$) "${words}`,
    'trap \'[ "$(readlink "$f")" != "$me" ] || rm -f "$f"\' EXIT',
    "trap 'exit 1' HUP INT TERM PIPE",
    'for i in 1 2 3 4 5; do ln -sn "$me" "$f" 2>/dev/null && wait_for_end; l=$(readlink "$f"); set -- $l',
    '[ "$(start "$1" 2>/dev/null)" != "$2" ] || { shift 2; [ $i -lt 5 ] || die "held $*"; sleep 0.2 || sleep 1; continue; }',
    'mv -f "$f" "$f.$$" && [ "$(readlink "$f.$$")" = "$l" ] || die "$f is left behind by a dead process and cannot be removed"',
    'rm -f "$f.$$"',
    'done',
    'die "cannot create $f"',
  ].join('; ')
}
