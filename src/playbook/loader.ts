/** What loading a playbook shares: options, files that were read, modules, and the problems found so far. */
import { stat } from 'node:fs/promises'
import type { Action, Module } from '../module/registry.ts'
import * as registry from '../module/registry.ts'
import { Problems, UserError } from '../shared/errors.ts'
import type { Place, SourceFile } from '../shared/source.ts'
import { parseYaml, readSource, type YamlMap, type YamlNode } from '../shared/yaml.ts'
import { makeScope, type Scope, type Vars as ScopeVars, type Value } from '../values/index.ts'

/** Where modules come from; the registry of `modules/`, or a test's own. */
export interface ModuleSource {
  moduleNames(): Promise<readonly string[]>
  loadModule(name: string): Promise<Module | Action | undefined>
}

export interface LoadOptions {
  /** `-e`: the variables that names of imported files, `serial` and the like may use. */
  readonly extraVars?: ScopeVars | undefined
  readonly modules?: ModuleSource | undefined
  /** Playbooks that are on no disk, by their path: `runbook run` makes one. */
  readonly texts?: ReadonlyMap<string, string> | undefined
  /** Decrypts vars files that SOPS encrypted; without it they are an error. */
  readonly decrypt?: ((document: YamlMap) => Promise<YamlNode>) | undefined
}

export class Loader {
  readonly options: LoadOptions
  readonly problems: Problems
  /** Of the playbook that was named, which may import others from other folders. */
  readonly folder: string
  /** Of one playbook, in the order of reading. */
  readonly files: Map<string, SourceFile>
  readonly #modules: ModuleSource

  constructor(options: LoadOptions, folder: string, problems = new Problems(), files = new Map<string, SourceFile>()) {
    this.options = options
    this.folder = folder
    this.problems = problems
    this.files = files
    this.#modules = options.modules ?? registry
  }

  /** One that collects its problems apart, for what is loaded at run time. */
  fork(): Loader {
    return new Loader(this.options, this.folder, new Problems(), this.files)
  }

  /** Reads and parses a file once. Throws UserError. */
  yaml(path: string, place?: Place): YamlNode {
    return parseYaml(this.source(path, place))
  }

  source(path: string, place?: Place): SourceFile {
    const known = this.files.get(path)
    if (known) return known
    const text = this.options.texts?.get(path)
    const file = text === undefined ? readSource(path, place) : { path, text }
    this.files.set(path, file)
    return file
  }

  async vars(path: string, place: Place): Promise<YamlNode> {
    const node = this.yaml(path, place)
    if (node.kind !== 'map' || node.get('sops')?.kind !== 'map') return node
    if (this.options.decrypt) return this.options.decrypt(node)
    throw new UserError({ message: `${path} is encrypted with SOPS and cannot be read here`, place })
  }

  moduleNames(): Promise<readonly string[]> {
    return this.#modules.moduleNames()
  }

  /** A module and its short name: `ansible.builtin.copy` is `copy`. */
  async module(name: string): Promise<{ readonly name: string; readonly module: Module | Action } | undefined> {
    const module = await this.#modules.loadModule(name)
    return module && { name: name.slice(name.lastIndexOf('.') + 1), module }
  }

  /** As `problems.catch`, for what takes time. */
  async catch<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      this.problems.list.push(...error.problems)
      return undefined
    }
  }
}

/** Extra vars over the variables of a play: all that is known before there is a host. */
export function staticScope(
  options: LoadOptions,
  vars: readonly { name: string; vars: ReadonlyMap<string, unknown> }[] = [],
): Scope {
  return makeScope([...vars, { name: 'extra vars', vars: options.extraVars ?? {} }])
}

/** The value of a keyword that is needed before there is a host. Throws UserError. */
export function resolveNow(value: Value, keyword: string, scope: Scope): unknown {
  if (value.static) return value.evaluate(scope)
  try {
    return value.evaluate(scope)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    const [first] = error.problems
    throw new UserError({
      message: `"${keyword}" is needed before any host is known: ${first?.message}`,
      place: value.place,
      hint: 'it can use extra vars (-e) and variables of the play',
    })
  }
}

export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false
}
