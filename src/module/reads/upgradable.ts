import { map, type Read } from '../read.ts'
import { bareEpoch, MANAGER, words } from './packages.ts'
import { script } from './script.ts'

/** What an upgrade of all packages would do, from the package lists that the host has now. */
export interface Upgradable {
  readonly packages: readonly { readonly name: string; readonly from: string; readonly to: string }[]
  /** A package asked for a reboot, or a newer kernel is installed than the one that runs. */
  readonly rebootRequired: boolean
}

const UPGRADABLE = `${MANAGER}
case $(rb_pm) in
  apt) LC_ALL=C apt-get -s -o Debug::NoLocking=1 --with-new-pkgs upgrade 2>/dev/null | grep '^Inst ' ;;
  dnf) rpm -qa --qf 'h %{NAME}.%{ARCH} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n'; LC_ALL=C dnf -q -C list --upgrades 2>/dev/null | sed 's/^/u /' ;;
  yum) rpm -qa --qf 'h %{NAME}.%{ARCH} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n'; LC_ALL=C yum -q -C list updates 2>/dev/null | sed 's/^/u /' ;;
esac
rb_k=$(uname -r)
rb_n=$(ls /boot/vmlinuz-* 2>/dev/null | grep -v rescue | sed 's/.*vmlinuz-//' | sort -V | tail -n 1)
if [ -e /run/reboot-required ] || { [ -e "/boot/vmlinuz-$rb_k" ] && [ "$rb_n" != "$rb_k" ]; }; then echo reboot; fi
`

/** See Upgradable. */
export function upgradable(): Read<Upgradable> {
  return map(script(UPGRADABLE, ['package-lists', 'package:*', 'reboot']), ({ out }) =>
    parseUpgradable(out.toString('utf8')),
  )
}

/** Lines of `apt-get -s upgrade` (`Inst NAME [OLD] (NEW …`), or of `dnf list --upgrades` (`NAME.ARCH NEW REPOSITORY`). */
export function parseUpgradable(output: string): Upgradable {
  const all = output.split('\n')
  const apt = all.flatMap((line) => {
    const m = /^Inst (\S+) (?:\[(\S+)\] )?\((\S+)/.exec(line)
    return m ? [{ name: m[1]!, from: m[2] ?? 'absent', to: m[3]! }] : []
  })
  const have = new Map(words(all, 'h').map(([name, version]) => [name!, bareEpoch(version!)]))
  const rpm = all.flatMap((line) => {
    const m = /^u (\S+\.[a-z0-9_]+)\s+(\S*\d\S*)\s+\S+\s*$/.exec(line)
    return m ? [{ name: m[1]!, from: have.get(m[1]!) ?? 'absent', to: m[2]! }] : []
  })
  return { packages: [...apt, ...rpm], rebootRequired: all.includes('reboot') }
}
