import type { Command } from 'commander'
import { moduleNames } from '../../module/registry.ts'
import { EXIT } from '../exit.ts'

export type Shell = 'bash' | 'zsh' | 'fish'

/** Words that may follow a path of commands: `''` is the beginning, `inventory` after that word. */
interface Words {
  readonly path: string
  readonly commands: readonly { name: string; summary: string }[]
  readonly options: readonly { flags: readonly string[]; summary: string }[]
}

/** `runbook completion SHELL`: a script on stdout, made from the commands themselves; files complete where no word does. */
export async function completion(program: Command, shell: Shell): Promise<number> {
  const all = wordsOf(program, '')
  const modules = await moduleNames()
  process.stdout.write(shell === 'fish' ? fish(all, modules) : bash(all, modules, shell === 'zsh'))
  return EXIT.done
}

function wordsOf(command: Command, path: string): Words[] {
  const help = command.createHelp()
  const commands = help
    .visibleCommands(command)
    .map((c) => ({ name: c.name(), summary: c.summary() || c.description() }))
  const options = help
    .visibleOptions(command)
    .map((o) => ({ flags: [o.short, o.long].filter((f) => f !== undefined), summary: o.description }))
  const below = command.commands.flatMap((c) => wordsOf(c, `${path} ${c.name()}`.trim()))
  return [{ path, commands, options }, ...below]
}

const wordList = ({ commands, options }: Words): string =>
  [...commands.map((c) => c.name), ...options.flatMap((o) => o.flags)].join(' ')

function bash(all: readonly Words[], modules: readonly string[], zsh: boolean): string {
  const cases = all.map(
    (w) => `    '${w.path}') words='${wordList(w)}${w.path === 'modules' ? ` ${modules.join(' ')}` : ''}' ;;`,
  )
  const known = all.filter((w) => w.path !== '').map((w) => `'${w.path}'`)
  return `# runbook completion ${zsh ? 'zsh' : 'bash'}: load with  source <(runbook completion ${zsh ? 'zsh' : 'bash'})
${zsh ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_runbook() {
  local path= word words next cur=\${COMP_WORDS[COMP_CWORD]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next=\${path:+$path }$word
    case $next in ${known.join('|')}) path=$next ;; esac
  done
  case $path in
${cases.join('\n')}
  esac
  if [ "$path" = run ] && [ "$COMP_CWORD" = 3 ]; then words='${modules.join(' ')}'; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _runbook runbook
`
}

function fish(all: readonly Words[], modules: readonly string[]): string {
  const q = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`
  const lines = all.flatMap(({ path, commands, options }) => {
    const words = path.split(' ').filter(Boolean)
    const top = all[0]!.commands.map((c) => c.name).join(' ')
    const when =
      words.length === 0
        ? `not __fish_seen_subcommand_from ${top}`
        : words.map((w) => `__fish_seen_subcommand_from ${w}`).join('; and ')
    const head = `complete -c runbook -n ${q(when)}`
    return [
      ...commands.map((c) => `${head} -f -a ${q(c.name)} -d ${q(c.summary)}`),
      ...options.map(
        (o) =>
          `${head} ${o.flags.map((f) => (f.startsWith('--') ? `-l ${f.slice(2)}` : `-s ${f.slice(1)}`)).join(' ')} -d ${q(o.summary)}`,
      ),
    ]
  })
  const names = `complete -c runbook -n '__fish_seen_subcommand_from modules run' -f -a ${q(modules.join(' '))}`
  return `# runbook completion fish: load with  runbook completion fish | source\n${[...lines, names].join('\n')}\n`
}
