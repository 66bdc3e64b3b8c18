import { quote } from '../shared/quote.ts'
import { SessionError } from './session.ts'
import type { OpenChannel } from './shell.ts'

/**
 * Takes the host's run lock and holds it until the channel dies: `flock` on a descriptor of a shell that waits for the
 * end of its standard input.
 *
 * The place must not depend on who logs in: /run/lock where everybody may write to it (Debian), else /tmp. The file is
 * created with O_EXCL, opened without O_CREAT (fs.protected_regular refuses even root otherwise), must be a plain file
 * that is no symbolic link, and is everybody's to lock; the holder's words go through the descriptor, never the path.
 */
export async function takeLock(
  host: string,
  open: (line: string) => Promise<OpenChannel>,
  holder: string,
): Promise<void> {
  const { channel, ready } = await open(lockLine(holder))
  await ready
  const said = await new Promise<string>((resolve) => {
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
  })
  const line = said.trim()
  if (line === 'locked') return
  channel.close()
  const held = /^held (.*)/.exec(line)
  if (held) {
    const who = held[1]!.replace(/[^\x20-\x7e]/g, '?').slice(0, 300) || 'somebody'
    throw new SessionError('locked', host, `another run holds this host: ${who}`, {
      hint: 'wait until it has ended; the lock goes with its connection',
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
    'wait_for_end() { echo locked; exec >/dev/null 2>&1; while read -r l; do :; done; exit 0; }',
    `command -v flock >/dev/null || { ${lockByLink(words)}; }`,
    '[ -e "$f" ] || [ -h "$f" ] || ( umask 0; set -C; : >"$f" ) 2>/dev/null',
    '[ -f "$f" ] && [ ! -h "$f" ] || die "$f is not a plain file"',
    'exec 9<"$f" || die "cannot open $f"',
    '[ "$f" -ef /proc/self/fd/9 ] && [ ! -h "$f" ] || die "$f was changed while it was opened"',
    'if flock -n 9; then :; else IFS= read -r w <&9; die "held $w"; fi',
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
    'start() { IFS= read -r s <"/proc/$1/stat" && set -- ${s##*) } && printf %s "${20}"; }',
    `me="$$ $(start $$) "${words}`,
    'trap \'[ "$(readlink "$f")" != "$me" ] || rm -f "$f"\' EXIT',
    "trap 'exit 1' HUP INT TERM PIPE",
    'for i in 1 2 3; do ln -sn "$me" "$f" 2>/dev/null && wait_for_end; l=$(readlink "$f"); set -- $l',
    '[ "$(start "$1" 2>/dev/null)" != "$2" ] || { shift 2; die "held $*"; }',
    'mv -f "$f" "$f.$$" && [ "$(readlink "$f.$$")" = "$l" ] || die "$f is left behind by a dead process and cannot be removed"',
    'rm -f "$f.$$"',
    'done',
    'die "cannot create $f"',
  ].join('; ')
}
