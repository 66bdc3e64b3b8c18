/**
 * sh function `said PROGRAM [ARG…]`: prints what the program prints, for questions whose answer stands in the program
 * alone, as its version does. kubelet and kubeadm take a tenth of a second of processor time for that, each time, so root
 * keeps a good answer in /run/runbook (where its lock lies; gone at the next boot) for as long as the program is the same
 * file: device, inode, size, times. Scripts and snaps are launchers of what may change without them, and are asked.
 */
export const said = (folder: string): string => `
said() {
  rb_p=$(command -v "$1") && rb_p=$(readlink -f "$rb_p") && [ -w ${folder} ] && [ "$(head -c 4 "$rb_p" | tr -cd ELF)" = ELF ] &&
    [ "\${rb_p##*/}" != snap ] && rb_k="$* $rb_p $(stat -c '%d %i %s %y %z' "$rb_p")" || { "$@"; return; }
  rb_f=${folder}/said-$(printf %s "$*" | tr -c 'A-Za-z0-9.-' _ | head -c 200)
  if [ -f "$rb_f" ] && IFS= read -r rb_l <"$rb_f" && [ "$rb_l" = "$rb_k" ]; then sed 1d "$rb_f"; return; fi
  rb_o=$("$@") || return
  printf '%s\\n' "$rb_o"
  ( umask 077; printf '%s\\n' "$rb_k" "$rb_o" >"$rb_f.$$" && mv -f "$rb_f.$$" "$rb_f" ) 2>/dev/null || :
}
`

export const SAID = said('/run/runbook')
