import { quote } from '../../shared/quote.ts'
import { type Change, script as changeScript } from '../change.ts'
import { map, type Read } from '../read.ts'
import { script } from '../reads/script.ts'

export interface Plugin {
  readonly path: string
  /** Where it points to, for a link. */
  readonly target: string | undefined
  readonly dangling: boolean
}

const pluginsScript = (dirs: readonly string[]): string => `
for d in ${dirs.map(quote).join(' ')}; do
  for f in "$d"/*; do
    if [ -L "$f" ]; then
      if [ -e "$f" ]; then printf 'link %s %s\\n' "$f" "$(readlink "$f")"; else printf 'dangling %s %s\\n' "$f" "$(readlink "$f")"; fi
    elif [ -f "$f" ]; then printf 'file %s\\n' "$f"; fi
  done
done
exit 0`

/** The plugins in folders of CNI plugins. */
export function cniPlugins(dirs: readonly string[]): Read<readonly Plugin[]> {
  const reads = dirs.flatMap((dir) => [`file:${dir}`, `file:${dir}/*`])
  return map(script(pluginsScript(dirs), reads), ({ out }) => parse(out.toString('utf8')))
}

const parse = (text: string): Plugin[] =>
  [...text.matchAll(/^(file|link|dangling) (\S+)(?: (\S+))?$/gm)].map(([, kind, path, target]) => ({
    path: path!,
    target,
    dangling: kind === 'dangling',
  }))

const folderOf = (path: string): string => path.replace(/\/[^/]*$/, '')
const nameOf = (path: string): string => path.replace(/^.*\//, '')

/** Links in the first folder to plugins that only the others have; links of ours that lead nowhere any more go. */
export function linkPlugins([first, ...others]: readonly string[], plugins: readonly Plugin[]): Change[] {
  const have = new Set(plugins.filter((p) => folderOf(p.path) === first && !p.dangling).map((p) => nameOf(p.path)))
  const missing = new Map<string, string>()
  for (const dir of others) {
    for (const p of plugins.filter((one) => folderOf(one.path) === dir && !one.dangling)) {
      const name = nameOf(p.path)
      if (!have.has(name) && !missing.has(name)) missing.set(name, p.path)
    }
  }
  const away = plugins.filter(({ path, target, dangling }) => {
    const ours = dangling && folderOf(path) === first && others.includes(folderOf(target!))
    return ours && !missing.has(nameOf(path))
  })
  if (missing.size === 0 && away.length === 0) return []
  const summary = [
    missing.size > 0
      ? `link ${missing.size} CNI plugins of ${[...new Set([...missing.values()].map(folderOf))].join(', ')} into ${first}`
      : '',
    away.length > 0 ? `remove ${away.length} links to CNI plugins that are gone` : '',
  ]
  const commands = [
    `mkdir -p -- ${quote(first!)}`,
    ...away.map((p) => `rm -f -- ${quote(p.path)}`),
    ...[...missing].map(([name, target]) => `ln -sfn -- ${quote(target)} ${quote(`${first}/${name}`)}`),
  ].join(' && ')
  const names = [...missing.keys()].join(', ')
  return [
    changeScript(commands, {
      summary: summary.filter(Boolean).join(', '),
      diff: { kind: 'value', from: `${first} without ${names || 'them'}`, to: names || 'removed' },
      touches: [`file:${first}`, `file:${first}/*`],
    }),
  ]
}
