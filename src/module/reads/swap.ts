import { map, type Read } from '../read.ts'
import { script } from './script.ts'

export interface SwapUnit {
  readonly name: string
  /** `generated`, `enabled`, `static`, `masked` …, as systemd has it. */
  readonly file: string
  /** /etc/fstab for what comes from there; '' for partitions that systemd found by itself. */
  readonly source: string
}

/** What a host swaps to now, and what would make it swap after the next boot. Sizes in KiB. */
export interface SwapState {
  readonly devices: readonly { readonly device: string; readonly size: number; readonly used: number }[]
  /** Memory that is free or can be freed at once (MemAvailable). */
  readonly availableMemory: number
  readonly systemd: boolean
  readonly units: readonly SwapUnit[]
  readonly targetMasked: boolean
  /** zram-generator is installed and not turned off: it makes compressed swap in memory, without any unit file. */
  readonly zramGenerator: boolean
}

/**
 * Where systemd looks for units, what comes first wins (systemd.unit(5)); one that is empty or /dev/null is masked. Looked at
 * here, for `systemctl list-unit-files` makes systemd read every unit of the host: a second on a busy one.
 */
const UNIT_PATHS = [
  '/etc/systemd/system.control',
  '/run/systemd/system.control',
  '/run/systemd/transient',
  '/run/systemd/generator.early',
  '/etc/systemd/system',
  '/etc/systemd/system.attached',
  '/run/systemd/system',
  '/run/systemd/system.attached',
  '/run/systemd/generator',
  '/usr/local/lib/systemd/system',
  '/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/run/systemd/generator.late',
]

const SCRIPT = `
{ read -r l; while read -r d t s u p; do echo "device $d $s $u"; done; } < /proc/swaps
while read -r k v r; do case $k in MemAvailable:) echo "memory $v" ;; esac; done < /proc/meminfo
g=/usr/lib/systemd/system-generators/zram-generator
if [ -e $g ] || [ -e /lib/systemd/system-generators/zram-generator ]; then
  if ! [ -e /etc/systemd/zram-generator.conf ] || [ -s /etc/systemd/zram-generator.conf ]; then echo zram; fi
fi
[ -d /run/systemd/system ] || exit 0
echo systemd
for d in ${UNIT_PATHS.join(' ')}; do
  if [ -e $d/swap.target ] || [ -L $d/swap.target ]; then
    # Below /run it is masked until the next boot only.
    case $d in /run/*) ;; *) [ -s $d/swap.target ] || echo masked ;; esac
    break
  fi
done
n=
for d in ${UNIT_PATHS.join(' ')}; do
  for p in $d/*.swap; do
    u=\${p##*/}
    if [ -e "$p" ] || [ -L "$p" ]; then case "$n " in *" $u "*) ;; *) n="$n $u" ;; esac; fi
  done
done
for u in $n; do
  s=; f=
  while IFS='=' read -r k v; do case $k in SourcePath) s=$v ;; UnitFileState) f=$v ;; esac; done <<EOT
$(systemctl show -p SourcePath -p UnitFileState -- "$u" 2>/dev/null)
EOT
  printf 'unit %s %s %s\\n' "$u" "\${f:--}" "$s"
done
`

/** See SwapState. */
export function swap(): Read<SwapState> {
  return map(script(SCRIPT, ['swap', 'file:/etc/fstab', 'unit:*']), ({ out }) => parseSwap(out.toString('utf8')))
}

export function parseSwap(text: string): SwapState {
  const lines = text.split('\n')
  const of = (word: string): string[][] =>
    lines.filter((l) => l.startsWith(`${word} `)).map((l) => l.slice(word.length + 1).split(' '))
  return {
    devices: of('device').map(([device, size, used]) => ({ device: device!, size: Number(size), used: Number(used) })),
    availableMemory: Number(of('memory')[0]?.[0] ?? 0),
    systemd: lines.includes('systemd'),
    units: of('unit').map(([name, file, source]) => ({
      name: name!,
      file: file === '-' ? '' : file!,
      source: source ?? '',
    })),
    targetMasked: lines.includes('masked'),
    zramGenerator: lines.includes('zram'),
  }
}
