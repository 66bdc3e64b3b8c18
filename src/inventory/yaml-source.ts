/** Inventories in Ansible's YAML shape: groups with `hosts`, `vars` and `children`. */
import { didYouMean, UserError } from '../shared/errors.ts'
import type { SourceFile } from '../shared/source.ts'
import { parseYaml, type YamlEntry, type YamlMap, type YamlNode } from '../shared/yaml.ts'
import type { Builder } from './builder.ts'
import { readConstructed } from './constructed.ts'
import { parseHosts } from './ranges.ts'
import { varsOf } from './vars-files.ts'

const KEYS = ['hosts', 'vars', 'children']

/** Adds the hosts and groups of a file. Problems go to `builder.problems`; a file that is no YAML throws UserError. */
export function addYaml(builder: Builder, file: SourceFile): void {
  const root = parseYaml(file)
  const groups = mapOf(builder, root, 'an inventory is a map of groups')
  const plugin = groups?.get('plugin')
  if (groups && plugin?.kind === 'scalar' && /^(ansible\.builtin\.)?constructed$/.test(String(plugin.value))) {
    builder.construct(readConstructed(groups, builder.problems))
    return
  }
  if (plugin) {
    throw new UserError({
      message: 'inventory plugins are not supported',
      place: plugin.place,
      hint: 'constructed is; for others use an executable inventory',
    })
  }
  for (const entry of groups?.entries.values() ?? []) addGroup(builder, entry, file)
}

function addGroup(builder: Builder, { key: name, keyPlace, value }: YamlEntry, file: SourceFile): void {
  builder.group(name, keyPlace)
  const group = mapOf(builder, value, `the group "${name}" is a map with hosts, vars and children`)
  for (const entry of group?.entries.values() ?? []) {
    if (entry.key === 'hosts') addHosts(builder, name, entry.value, file)
    else if (entry.key === 'vars') addVars(builder, name, entry.value, file)
    else if (entry.key === 'children') addChildren(builder, name, entry.value, file)
    else {
      const hint =
        didYouMean(entry.key, KEYS) ??
        (name === 'all' || entry.value.kind === 'map'
          ? 'a group stands under "children", a host under "hosts"'
          : 'a variable stands under "vars"')
      builder.problems.add(`the group "${name}" cannot have "${entry.key}"`, entry.keyPlace, hint)
    }
  }
}

function addHosts(builder: Builder, group: string, node: YamlNode, file: SourceFile): void {
  // Ansible takes a single name too.
  if (node.kind === 'scalar' && typeof node.value === 'string') {
    for (const name of builder.problems.catch(() => parseHosts(String(node.value), node.place))?.names ?? [])
      builder.host(name, group, node.place)
    return
  }
  const hosts = mapOf(builder, node, '"hosts" is a map of names, each with a colon after it')
  for (const { key, keyPlace, value } of hosts?.entries.values() ?? []) {
    const parsed = builder.problems.catch(() => parseHosts(key, keyPlace))
    const vars = mapOf(builder, value, `the variables of the host "${key}" are a map`)
    const compiled = vars && builder.problems.catch(() => varsOf(vars))
    for (const name of parsed?.names ?? []) {
      builder.host(name, group, keyPlace)
      const layer = `${file.path}, host ${key}`
      if (parsed?.port !== undefined) builder.hostVars(name, { name: layer, vars: { ansible_port: parsed.port } })
      if (compiled && compiled.size > 0) builder.hostVars(name, { name: layer, vars: compiled })
    }
  }
}

function addVars(builder: Builder, group: string, node: YamlNode, file: SourceFile): void {
  const map = mapOf(builder, node, '"vars" is a map of variables')
  if (!map) return
  const priority = map.get('ansible_group_priority')
  if (priority) {
    if (priority.kind === 'scalar' && Number.isInteger(priority.value)) builder.priority(group, Number(priority.value))
    else builder.problems.add('ansible_group_priority is a whole number', priority.place)
  }
  const vars = builder.problems.catch(() => varsOf(map))
  if (vars) builder.groupVars(group, { name: `${file.path}, group ${group}`, vars })
}

function addChildren(builder: Builder, parent: string, node: YamlNode, file: SourceFile): void {
  const children = mapOf(builder, node, '"children" is a map of groups, each with a colon after it')
  for (const entry of children?.entries.values() ?? []) {
    builder.child(parent, entry.key, entry.keyPlace)
    addGroup(builder, entry, file)
  }
}

/** The map, or undefined for nothing (`web1:`) and, with a problem added, for anything else. */
function mapOf(builder: Builder, node: YamlNode, expected: string): YamlMap | undefined {
  if (node.kind === 'map') return node
  if (node.kind !== 'scalar' || node.value !== null) builder.problems.add(expected, node.place)
  return undefined
}
