/** Defaults beside the argument specs of their role: a text of digits passes for an `int` in Ansible, and fails here. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMap } from 'yaml'
import { parseYaml, toPlain } from '../shared/yaml.ts'
import { entriesOf, isText, type YamlDocument } from './document.ts'

const NUMBER: Readonly<Record<string, RegExp>> = { int: /^[+-]?\d+$/, float: /^[+-]?\d+(\.\d+)?$/ }

/** `folder` is the role's. Throws UserError when its argument specs are no YAML. */
export function checkDefaults(doc: YamlDocument, folder: string): void {
  const path = ['yml', 'yaml'].map((ending) => join(folder, `meta/argument_specs.${ending}`)).find(existsSync)
  const { contents } = doc.root
  if (path === undefined || !isMap(contents)) return
  const specs = toPlain(parseYaml({ path, text: readFileSync(path, 'utf8') })) as Specs | null
  const options = specs?.argument_specs?.main?.options ?? {}
  for (const { key, value } of entriesOf(contents)) {
    const type = Object.hasOwn(options, key.value) ? options[key.value]?.type : undefined
    if (type === undefined || !isText(value) || !NUMBER[type]?.test(value.value)) continue
    doc.check(key, key.value, `a text where the role's arguments want ${type}: the run fails`, 'take the quotes off')
  }
}

interface Specs {
  readonly argument_specs?: {
    readonly main?: { readonly options?: Readonly<Record<string, { type?: string } | null>> }
  }
}
