import { quote } from '../../shared/quote.ts'
import { type AskKind, ask, type Read } from '../read.ts'
import { fileTree } from '../resources.ts'

/** What was unpacked into a folder, as the manifest that unpacking left on the host says. */
export interface Unpacked {
  /** Which archive, and how it was unpacked. */
  readonly key: string
  /** Files that are not any more as they were unpacked (size, time, permissions), the first of them. */
  readonly differing: readonly string[]
}

interface ManifestKey {
  readonly name: string
  readonly dest: string
  /** Whose the files are counts too. */
  readonly owned: boolean
}

/** Names listed in a failure or a diff. */
const LISTED = 20

/**
 * `rb_manifest NAME` sets rb_m to the manifest's path. A manifest has the key in its first line, then `TYPE+MODE SIZE
 * MTIME NAME` of each file (`TYPE+MODE/UID/GID` with `owned`): rsync's quick check, for reading gigabytes at each run to hash
 * them is too slow.
 */
export const MANIFEST_PRELUDE = `
rb_manifest() {
  rb_m=/var/lib/runbook/unarchive
  [ "$(id -u)" = 0 ] || rb_m=\${XDG_STATE_HOME:-$HOME/.local/state}/runbook/unarchive
  rb_m=$rb_m/$1
}
rb_statall() { tr '\\n' '\\0' | xargs -0 stat -c "%f$1 %s %Y %n" -- 2>/dev/null | grep -v '^4[0-9a-f][0-9a-f]*[ /]'; }
`

const manifestKind: AskKind<ManifestKey, Unpacked | undefined> = {
  name: 'unpacked',
  reads: ({ dest }) => fileTree(dest),
  sections: (keys) => keys.length,
  prelude: `${MANIFEST_PRELUDE}
rb_unpacked() (
  rb_manifest "$1"
  [ -f "$rb_m" ] || return 0
  head -n 1 -- "$rb_m"
  now=$(cd -- "$2" 2>/dev/null && sed 1d "$rb_m" | cut -d ' ' -f 4- | rb_statall "$3")
  [ "$now" = "$(sed 1d "$rb_m")" ] || printf '%s\\n' "$now" | grep -vxFf - "$rb_m" | sed 1d | cut -d ' ' -f 4- | head -n ${LISTED}
)
`,
  id: ({ name, owned }) => `${name} ${owned}`,
  script: (keys) =>
    keys
      .map(({ name, dest, owned }) => `rb_unpacked ${name} ${quote(dest)} '${ownerFormat(owned)}'; rb_mark\n`)
      .join(''),
  parse: (sections) =>
    sections.map(({ out }) => {
      const [key, ...differing] = out.toString('utf8').split('\n').filter(Boolean)
      return key === undefined ? undefined : { key, differing }
    }),
}

/** What `rb_statall` is to say of owners. */
export const ownerFormat = (owned: boolean): string => (owned ? '/%u/%g' : '')

/** What unpacking under `name` into `dest` left there; undefined when it was not done yet. `owned`: owners count. */
export function unpacked(name: string, dest: string, owned: boolean): Read<Unpacked | undefined> {
  return ask(manifestKind, { name, dest, owned })
}
