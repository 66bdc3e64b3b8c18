import { readdirSync, type Stats, statSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { UserError } from '../shared/errors.ts'
import { readSource } from '../shared/yaml.ts'
import { Builder } from './builder.ts'
import { addIni } from './ini-source.ts'
import type { Inventory } from './inventory.ts'
import { parseHosts } from './ranges.ts'
import { addScript } from './script-source.ts'
import { type Decrypt, varsFolders } from './vars-files.ts'
import { addYaml } from './yaml-source.ts'

export interface InventoryOptions {
  /** Folders of the playbooks: their `group_vars` and `host_vars` win over those beside the inventories. */
  readonly playbookFolders?: readonly string[] | undefined
  /** Reads files that SOPS encrypted. */
  readonly decrypt?: Decrypt | undefined
  /** Milliseconds that an executable inventory may take; 10 s without it. */
  readonly timeoutMs?: number | undefined
}

/**
 * Loads inventories, later ones over earlier ones: YAML and INI files, executables, folders of them, and lists of names
 * (`web1,web2,`). Throws UserError with every problem of all of them.
 */
export async function loadInventory(sources: readonly string[], options: InventoryOptions = {}): Promise<Inventory> {
  const builder = new Builder()
  const folders = new Set<string>()
  for (const source of sources) {
    try {
      await addSource(builder, source, folders, options)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      builder.problems.list.push(...error.problems)
    }
  }
  const ofInventories = [...folders].map((folder) => varsFolders(folder, options.decrypt))
  const ofPlaybooks = [...new Set(options.playbookFolders ?? [])].filter((folder) => !folders.has(folder))
  return builder.build([
    joinFolders(ofInventories),
    joinFolders(ofPlaybooks.map((folder) => varsFolders(folder, options.decrypt))),
  ])
}

function joinFolders(all: ReturnType<typeof varsFolders>[]): ReturnType<typeof varsFolders> {
  return {
    group: async (name) => (await Promise.all(all.map((one) => one.group(name)))).flat(),
    host: async (name) => (await Promise.all(all.map((one) => one.host(name)))).flat(),
  }
}

async function addSource(
  builder: Builder,
  source: string,
  folders: Set<string>,
  options: InventoryOptions,
): Promise<void> {
  const stats = statOf(source)
  if (!stats) {
    if (!source.includes(',')) throw new UserError(`the inventory ${source} does not exist`)
    for (const part of source
      .split(',')
      .map((one) => one.trim())
      .filter(Boolean))
      addName(builder, part)
    return
  }
  folders.add(stats.isDirectory() ? source : dirname(source))
  if (stats.isDirectory()) {
    for (const path of filesOf(source)) await addSource(builder, path, folders, options)
  } else await addFile(builder, source, stats, options)
}

/** Undefined when there is no such file; a long list of names is longer than any path can be. */
function statOf(source: string): Stats | undefined {
  try {
    return statSync(source, { throwIfNoEntry: false })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENAMETOOLONG') return undefined
    throw error
  }
}

function addName(builder: Builder, text: string): void {
  const { names, port } = parseHosts(text)
  for (const name of names) {
    builder.host(name, 'ungrouped')
    if (port !== undefined) builder.hostVars(name, { name: 'command line', vars: { ansible_port: port } })
  }
}

/** What a folder of inventories may hold beside them (INVENTORY_IGNORE_EXTS of Ansible, and what editors leave). */
const IGNORED = /^\.|~$|\.(orig|bak|cfg|retry|pyc|pyo|md|swp)$|^(group_vars|host_vars)$/

function filesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !IGNORED.test(name))
    .toSorted()
    .map((name) => join(folder, name))
}

async function addFile(builder: Builder, path: string, stats: Stats, options: InventoryOptions): Promise<void> {
  const extension = extname(path)
  const isData = ['.yml', '.yaml', '.json', '.ini'].includes(extension)
  // Files from other systems are often executable by accident.
  if ((stats.mode & 0o111) !== 0 && !isData) {
    await addScript(builder, path, options.timeoutMs)
    return
  }
  const file = readSource(path)
  const isYaml = isData ? extension !== '.ini' : looksLikeYaml(file.text)
  if (isYaml) addYaml(builder, file)
  else addIni(builder, file)
}

/** A file without a telling name: by its first line that says something. */
function looksLikeYaml(text: string): boolean {
  const line = text.split('\n').find((one) => /^\s*[^\s#;]/.test(one)) ?? ''
  return /^(---|\{|["']?[\w.-]+["']?:(\s|$))/.test(line)
}
