/** `module_defaults`: for modules of which no task gets an argument from the import that a default may give. */
import { isMap, type YAMLMap } from 'yaml'
import { nameArguments } from './argument-names.ts'
import { Call } from './call.ts'
import { type Entry, entriesOf, entry, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { isTemplate } from './jinja/template.ts'
import { MODULES, shortModule } from './modules.ts'
import { rewriteValue } from './nodes.ts'
import { Refused } from './refused.ts'

/** Ours and Ansible's, one for one, with what the import writes on tasks that do not say it. */
const SAME: Readonly<Record<string, readonly string[]>> = {
  authorized_key: [],
  copy: [],
  fetch: [],
  file: ['state'],
  get_url: ['timeout'],
  group: [],
  ini_file: ['value'],
  reboot: [],
  replace: [],
  script: [],
  slurp: [],
  stat: ['get_checksum'],
  template: [],
  uri: ['follow_redirects'],
  user: ['append', 'groups'],
  wait_for_connection: [],
}

export function moduleDefaults(doc: YamlDocument, { key, value }: Entry, task: YAMLMap, env: Env): void {
  if (!isMap(value)) {
    doc.refuse(key, key.value, new Refused('computed module_defaults', 'write a map of modules'))
    return
  }
  for (const pair of entriesOf(value)) {
    const name = shortModule(pair.key.value)
    const written = Object.hasOwn(SAME, name) ? SAME[name]! : undefined
    const args = pair.value
    try {
      if (name.startsWith('group/') || name.includes('/')) throw new Refused('a group of modules', 'name the modules')
      if (!written) throw new Refused(`defaults of ${name}`, 'write them on the tasks, by the names of our module')
      if (!isMap(args)) throw new Refused('computed defaults', 'write a map of arguments')
      const other = written.find((one) => entry(args, one))
      if (other !== undefined)
        throw new Refused(`"${other}", which tasks get where they do not say it`, 'write it on the tasks')
      const call = new Call(doc, env, task, pair, args, name)
      nameArguments(call, MODULES[name]!.args)
      pair.key.value = name
      delete (pair.key as { source?: string }).source
      for (const one of entriesOf(args)) {
        if (isTemplate(one.key.value)) throw new Refused('an argument with a template', 'write its name')
        rewriteValue(doc, one.value, one.key, `module_defaults.${name}.${one.key.value}`, env)
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      doc.refuse(pair.key, 'module_defaults', error)
      pair.key.value = `unfinished_${name.replace(/\W/g, '_')}`
      delete (pair.key as { source?: string }).source
    }
  }
}
