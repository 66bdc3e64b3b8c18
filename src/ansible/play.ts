/** Plays, and lists of roles. */
import { isMap, isSeq, type Node, type YAMLMap } from 'yaml'
import { type Entry, entriesOf, entry, isText, pairOf, take } from './document.ts'
import { isTemplate } from './jinja/template.ts'
import { shortModule } from './modules.ts'
import { rewriteValue } from './nodes.ts'
import { Refused } from './refused.ts'
import { keywords, rewriteTasks, type TaskContext } from './task.ts'

const SECTIONS = ['pre_tasks', 'tasks', 'post_tasks', 'handlers']
const VALUES = [
  'hosts',
  'gather_facts',
  'remote_user',
  'port',
  'connection',
  'serial',
  'max_fail_percentage',
  'force_handlers',
  'vars_files',
]
const ROLE_KEYS =
  /^(role|name|vars|environment|become|become_user|become_method|tags|no_log|check_mode|diff|timeout|ignore_errors|ignore_unreachable|any_errors_fatal|throttle|run_once|module_defaults|when|delegate_to|delegate_facts|notify)$/

export function rewritePlaybook(context: TaskContext): void {
  const { contents } = context.doc.root
  if (!isSeq(contents)) return
  for (const play of contents.items) if (isMap(play)) rewritePlay(context, play)
}

function rewritePlay(context: TaskContext, play: YAMLMap): void {
  const { doc, types, report } = context
  const env = types.env(report)
  for (const pair of [...entriesOf(play)]) {
    const name = shortModule(pair.key.value)
    if (name === 'import_playbook') {
      pair.key.value = name
      delete (pair.key as { source?: string }).source
      if (isText(pair.value) && isTemplate(pair.value.value))
        doc.refuse(pair.key, name, new Refused('a playbook whose name is computed', 'name it'))
      keywords(doc, play, env)
      return
    }
  }
  // A group that is missing from the inventory must not match all hosts.
  keywords(doc, play, env)
  for (const pair of [...entriesOf(play)]) {
    const { key, value } = pair
    const name = key.value
    if (SECTIONS.includes(name)) rewriteTasks(context, value)
    else if (name === 'roles') rewriteRoles(context, value)
    else if (VALUES.includes(name)) rewriteValue(doc, value, key, name, env)
    else if (/^(gather_subset|gather_timeout)$/.test(name)) take(play, name)
    else if (name === 'fact_path')
      doc.refuse(key, name, new Refused('facts of files on the host', 'read them with slurp'))
    else if (name === 'user') key.value = 'remote_user'
    else if (name === 'strategy') strategy(context, { key, value } as Entry)
    else if (name === 'vars_prompt') {
      // One question needs no list in Ansible.
      if (isMap(value)) pair.value = doc.root.createNode([value]) as unknown as Node
      prompts(context, pair.value)
    }
    if (name === 'vars_files' && isSeq(value) && value.items.some((item) => isSeq(item)))
      doc.refuse(key, name, new Refused('the first of several files', 'name one'))
  }
  if (!entry(play, 'strategy') && entry(play, 'hosts')) {
    const at = play.items.findIndex((item) => (item as Entry).key.value === 'hosts')
    play.items.splice(at + 1, 0, pairOf(doc, 'strategy', 'linear') as never)
    report.remark(
      'Plays got strategy: linear, which is Ansible’s default: take it away where hosts need not wait for each other.',
    )
  }
}

function strategy({ doc }: TaskContext, { key, value }: Entry): void {
  const name = isText(value) ? value.value.replace(/^ansible\.builtin\./, '') : ''
  if (name === 'linear' || name === 'free') {
    if (isText(value)) value.value = name
  } else if (name === 'host_pinned' && isText(value)) value.value = 'free'
  else if (/^mitogen_(linear|free)$/.test(name) && isText(value)) value.value = name.replace('mitogen_', '')
  else doc.refuse(key, 'strategy', new Refused(`the strategy "${name}"`, 'write linear or free'))
}

function prompts({ doc }: TaskContext, list: unknown): void {
  if (!isSeq(list)) return
  for (const one of list.items) {
    if (!isMap(one)) continue
    take(one, 'unsafe')
    for (const { key } of entriesOf(one))
      if (/^(encrypt|salt|salt_size)$/.test(key.value))
        doc.refuse(key, 'vars_prompt', new Refused('an answer that is hashed', 'ask for the hash'))
  }
}

/** `roles:` of a play, and `dependencies:` of a role: what is no keyword is a variable. */
export function rewriteRoles({ doc, types, report }: TaskContext, list: unknown): void {
  if (!isSeq(list)) return
  const env = types.env(report)
  for (const role of list.items) {
    if (!isMap(role)) continue
    keywords(doc, role, env)
    const vars = entriesOf(role).filter(({ key }) => !ROLE_KEYS.test(key.value))
    if (vars.length === 0) continue
    for (const pair of vars) {
      take(role, pair.key.value)
      if (/^(src|scm|version)$/.test(pair.key.value)) continue
      rewriteValue(doc, pair.value, pair.key, pair.key.value, env)
      let own = entry(role, 'vars')
      if (!own) {
        own = pairOf(doc, 'vars', {})
        role.items.push(own as never)
      }
      ;(own.value as unknown as { items: unknown[] }).items.push(pair)
    }
  }
}

/** `meta/main.yml`. */
export function rewriteMeta(context: TaskContext): void {
  const { contents } = context.doc.root
  if (!isMap(contents)) return
  const dependencies = entry(contents, 'dependencies')
  if (dependencies) rewriteRoles(context, dependencies.value)
  take(contents, 'allow_duplicates')
  take(contents, 'collections')
}

/** A file of variables. */
export function rewriteVars({ doc, types, report }: TaskContext): void {
  const { contents } = doc.root
  if (contents) rewriteValue(doc, contents as Node, contents as Node, 'variables', types.env(report))
}
