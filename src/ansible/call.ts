/** A task's module and arguments while they are being rewritten. */
import { isMap, isScalar, isSeq, type Node, type YAMLMap } from 'yaml'
import { type Entry, entriesOf, entry, isText, pairOf, scalar, take, textOf, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { isTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'

export class Call {
  readonly doc: YamlDocument
  readonly env: Env
  readonly task: YAMLMap
  /** The pair whose key is the module. */
  readonly pair: Entry
  readonly args: YAMLMap
  /** Ansible's short name. */
  readonly module: string

  constructor(doc: YamlDocument, env: Env, task: YAMLMap, pair: Entry, args: YAMLMap, module: string) {
    this.doc = doc
    this.env = env
    this.task = task
    this.pair = pair
    this.args = args
    this.module = module
  }

  get names(): string[] {
    return entriesOf(this.args).map(({ key }) => key.value)
  }

  has(name: string): boolean {
    return entry(this.args, name) !== undefined
  }

  /** Whether an argument is given as `default(omit)` or its like, and so may not be there when the task runs. */
  mayBeOmitted(name: string): boolean {
    const node = this.node(name)
    return isText(node) && isTemplate(node.value) && /\bomit\b/.test(node.value)
  }

  /** Ansible's default, in Jinja's words, where ours is another one: said when nothing is, or when that is omitted. */
  meant(name: string, jinja: string): void {
    const node = this.node(name)
    if (isText(node) && this.mayBeOmitted(name)) node.value = node.value.replace(/\bomit\b/g, () => jinja)
  }

  /** A scalar argument as text. */
  text(name: string): string | undefined {
    return textOf(this.args, name)
  }

  node(name: string): Node | null | undefined {
    return entry(this.args, name)?.value
  }

  isTemplate(name: string): boolean {
    const node = this.node(name)
    return isText(node) && isTemplate(node.value)
  }

  set(name: string, value: unknown): void {
    const found = entry(this.args, name)
    if (found)
      found.value = (
        typeof value === 'object' && value !== null ? this.doc.root.createNode(value) : scalar(value as string)
      ) as Node
    else this.args.items.push(pairOf(this.doc, name, value) as never)
  }

  drop(...names: readonly string[]): void {
    for (const name of names) take(this.args, name)
  }

  rename(from: string, to: string): void {
    const found = entry(this.args, from)
    if (!found) return
    if (this.has(to)) throw new Refused(`both "${from}" and "${to}"`, 'keep one of them')
    found.key.value = to
    delete (found.key as { source?: string }).source
  }

  /** The module that does it here. */
  become(module: string): void {
    this.pair.key.value = module
    delete (this.pair.key as { source?: string }).source
  }

  flag(name: string): boolean | undefined {
    const text = this.text(name)
    return text === undefined || this.isTemplate(name) ? undefined : /^(yes|on|1|true)$/i.test(text)
  }

  /** A keyword of the task, set where it is not there. */
  keyword(name: string, value: unknown): void {
    if (!entry(this.task, name)) this.task.items.push(pairOf(this.doc, name, value) as never)
  }

  hasKeyword(name: string): boolean {
    return entry(this.task, name) !== undefined
  }

  refuseArgument(name: string, why: string, todo: string): void {
    const found = entry(this.args, name)
    this.doc.refuse(found ? found.key : this.pair.key, `${this.module}: ${name}`, { message: why, hint: todo })
    if (found && !name.startsWith('unfinished_')) {
      found.key.value = `unfinished_${name}`
      delete (found.key as { source?: string }).source
    }
  }

  /** The whole module stays, under a name that nothing has. */
  refuse(why: string, todo: string): void {
    this.doc.refuse(this.pair.key, this.module, { message: why, hint: todo })
    this.become(`unfinished_${this.module}`)
  }

  check(why: string, todo: string): void {
    this.doc.check(this.pair.key, this.module, why, todo)
  }

  /** A list, or a text with commas, as items. */
  items(name: string): string[] | undefined {
    const node = this.node(name)
    if (isSeq(node)) return node.items.map((item) => (isScalar(item) ? String(item.value) : ''))
    if (isScalar(node) && node.value !== null)
      return String(node.value)
        .split(',')
        .map((one) => one.trim())
    return undefined
  }

  get isComplete(): boolean {
    return isMap(this.args)
  }
}

const PAIR = /\s*([A-Za-z_]\w*)=((?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}|[^\s"'])*)/gy

/** `src=a dest="b c"`, the old way to give arguments; undefined when it is none. */
export function keyValues(text: string): Record<string, string> | undefined {
  const values: Record<string, string> = {}
  let at = 0
  PAIR.lastIndex = 0
  for (let m = PAIR.exec(text); m; m = PAIR.exec(text)) {
    values[m[1]!] = unquoted(m[2]!)
    at = PAIR.lastIndex
  }
  return text.slice(at).trim() === '' && at > 0 ? values : undefined
}

function unquoted(text: string): string {
  const m = /^(["'])([\s\S]*)\1$/.exec(text)
  return m ? m[2]!.replace(/\\(["'\\])/g, '$1') : text
}

const FREE =
  /(^|\s)(creates|removes|chdir|executable|warn|stdin|stdin_add_newline|strip_empty_ends|expand_argument_vars|argv)=("[^"]*"|'[^']*'|(?:\{\{[\s\S]*?\}\}|\S)+)/g

/** A command with `creates=x` and its like among its words: Ansible takes them out wherever they stand. */
export function freeForm(text: string): { cmd: string; args: Record<string, string> } {
  const args: Record<string, string> = {}
  const cmd = text.replace(FREE, (_, _space: string, name: string, value: string) => {
    args[name] = unquoted(value)
    return ''
  })
  return { cmd: Object.keys(args).length > 0 ? cmd.trim() : text, args }
}
