/** What scripts that change files call on the host. */

/** Status of a write that found another file than it expects: to be probed and planned again (EX_TEMPFAIL, sysexits.h). */
export const STALE = 75

/**
 * `rb_write PATH MODE OWNER GROUP BACKUP VALIDATE EXPECT TEXT [FORMAT]`: the temporary name (it holds a part of the request's nonce: the
 * whole must stay unknown) is opened with noclobber (O_EXCL), so nobody can plant a link there; a link at PATH is
 * followed, as editors do. `rb_trust PATH`: root follows no link that another user has made, unless to what is theirs: in
 * a home folder or /tmp it would have root write, chown or chmod what its maker wants.
 * `rb_place TEMP PATH MODE OWNER GROUP BACKUP VALIDATE EXPECT` puts a file that stands beside PATH in its place. A PATH that is a
 * mount point of its own (/etc/hosts in a container) cannot be renamed over and is written in place. `restorecon` runs
 * only where SELinux is on. `rb_keep` takes over access control lists and extended attributes. All work with coreutils and with
 * busybox, and start as few programs as they can: two for a new file, five for one that is replaced.
 */
export const FILE_PRELUDE = `
if [ -O / ]; then RB_U=0; else RB_U=$(id -u); fi
rb_trust() (
  at= to=$1 n=0 e=
  while [ -n "$to" ]; do
    c=\${to%%/*}
    case $to in */*) to=\${to#*/} ;; *) to= ;; esac
    case $c in ''|.) continue ;; ..) at=\${at%/*}; continue ;; esac
    if ! [ -L "$at/$c" ]; then at=$at/$c; continue; fi
    if [ -z "$e" ]; then
      [ "$RB_U" = 0 ] && r=$(readlink -f -- "$1") || exit 0
      e=$(stat -c %u -- "$r" 2>/dev/null) || e=$(stat -c %u -- "\${r%/*}/") || exit 1
    fi
    u=$(stat -c %u -- "$at/$c") || exit 1
    n=$((n + 1))
    if [ $n -gt 40 ] || { [ "$u" != 0 ] && [ "$u" != "$e" ]; }; then
      echo "$at/$c is a link of user $u to $r, which is not theirs: root does not follow it. Remove it, or become_user that user" >&2
      exit 1
    fi
    l=$(readlink -- "$at/$c") || exit 1
    case $l in /*) at= ;; esac
    to=$l\${to:+/$to}
  done
)
rb_target() {
  rb_trust "$1" || return 1
  p=$1
  if [ -L "$p" ]; then p=$(readlink -f -- "$p") || { echo "$1 is a link into a folder that does not exist" >&2; return 1; }; fi
  if [ -d "$p" ]; then echo "$p is a directory" >&2; return 1; fi
  if ! [ -d "\${p%/*}/" ]; then echo "the folder \${p%/*} does not exist" >&2; return 1; fi
}
rb_write() (
  rb_target "$1" || exit 1
  t=\${p%/*}/.rb-\${RB_N%??????????}-\${p##*/}
  trap 'rm -f -- "$t"' EXIT
  (set -C; umask 077; if [ $# = 8 ]; then printf %s "$8"; else printf "$9"; fi > "$t") || {
    # All that a shell says of a full disk is "I/O error".
    [ ! -e "$t" ] || echo "cannot write into \${p%/*}: is the file system full, or over a quota? The file is as it was" >&2
    exit 1
  }
  rb_replace "$2" "$3" "$4" "$5" "$6" "$7"
)
rb_place() (
  t=$1
  trap 'rm -f -- "$t"' EXIT
  rb_target "$2" || exit 1
  rb_replace "$3" "$4" "$5" "$6" "$7" "$8"
)
rb_replace() {
  m=$1 u=$2 g=$3
  if [ -e "$p" ]; then rb_keep $(stat -c '%h %u %g %a' -- "$p") || exit 1; fi
  [ -z "$u$g" ] || chown -- "$u\${g:+:$g}" "$t" || exit 1
  chmod "\${m:-$(printf %o $((0666 & ~$(umask))))}" "$t" || exit 1
  if [ -n "$5" ]; then rb_validate "$5" "$t" || { echo "validate refused the new content of $p: $5" >&2; exit 1; }; fi
  if [ -n "$6" ]; then
    h=-
    [ ! -e "$p" ] || h=$(sha256sum < "$p") || exit 1
    [ "\${h%% *}" = "$6" ] || { echo "$p has changed since it was read" >&2; exit ${STALE}; }
  fi
  if [ -n "$4" ] && [ -e "$p" ]; then
    b=$p.$(date +%Y-%m-%d@%H:%M:%S) n=
    until (set -C; umask 077; : > "$b$n~") 2>/dev/null; do
      [ "$n" != -9 ] || { echo "cannot write $b~" >&2; exit 1; }
      n=-$((\${n#-} + 1))
    done
    cp -p -- "$p" "$b$n~" && printf '%s\\n' "$b$n~" || exit 1
  fi
  if mv -f -- "$t" "$p" 2>/dev/null; then trap - EXIT
  elif grep -qsF -- " $p " /proc/self/mountinfo; then cat -- "$t" > "$p" || exit 1
  else mv -f -- "$t" "$p" || exit 1; fi
  [ ! -e /sys/fs/selinux/enforce ] || restorecon "$p" 2>/dev/null || :
}
rb_keep() {
  [ $# = 4 ] || return 1
  [ "$1" = 1 ] || echo "note: $p has other names (hard links); they keep the old content" >&2
  # Root's file gets the owner of the old one: chown(2) also takes capabilities off, as a write would have.
  if [ "$RB_U" = 0 ]; then u=\${u:-$2} g=\${g:-$3}; fi
  m=\${m:-$4}
  cp --attributes-only --preserve=mode,xattr -- "$p" "$t" 2>/dev/null && return
  if command -v getfacl >/dev/null && command -v setfacl >/dev/null; then
    getfacl -cE -- "$p" 2>/dev/null | setfacl --set-file=- -- "$t" 2>/dev/null && return
  fi
  case $(ls -ld -- "$p") in ??????????+*) echo "note: the access control list of $p is lost: this host has neither GNU cp nor setfacl" >&2 ;; esac
}
rb_validate() {
  case $1 in *%s*) ;; *) echo "validate must contain %s" >&2; return 1 ;; esac
  sh -c "\${1%%%s*}\\"\\$1\\"\${1#*%s}" sh "$2" </dev/null >&2
}
rb_mkdir() {
  [ ! -d "$1" ] || return 0
  case \${1%/*} in ?*) rb_mkdir "\${1%/*}" "$2" "$3" || return 1 ;; esac
  mkdir -- "$1" || return 1
  [ -z "$3" ] || chown -- "$3" "$1" || return 1
  [ -z "$2" ] || chmod "$2" "$1" || return 1
}
`
