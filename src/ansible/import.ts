/** `runbook import ansible`: a playbook with all that it names, or a role, rewritten into another folder. */
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { UserError } from '../shared/errors.ts'
import { readSource } from '../shared/yaml.ts'
import { openMarked, YamlDocument } from './document.ts'
import { Files } from './files.ts'
import { type Gathered, gatherPlaybook, gatherRoles, gatherTasks, gatherVars, noneGathered } from './gather.ts'
import { rewriteMeta, rewritePlaybook, rewriteVars } from './play.ts'
import { type ImportReport, Report } from './report.ts'
import { checkDefaults } from './role-specs.ts'
import { VariableTypes } from './scope.ts'
import { rewriteTasks } from './task.ts'
import { rewriteTemplate } from './template-file.ts'

type Kind = 'playbook' | 'tasks' | 'vars' | 'meta'

interface Source {
  readonly kind: Kind
  /** Below the root of the input, and of the output. */
  readonly name: string
  readonly doc: YamlDocument
  readonly files: Files
}

interface Template {
  readonly name: string
  readonly path: string
  readonly files: Files
}

export interface ImportResult {
  readonly report: ImportReport
  readonly kind: 'playbook' | 'role'
  /** What `validate` should look at: the playbook, or the role's folder. */
  readonly made: string
}

/** Rewrites `source` into the folder `output`, which must be empty or new. Throws UserError. */
export async function importAnsible(
  source: string,
  output: string,
  validate: (result: Omit<ImportResult, 'report'>) => Promise<readonly string[]>,
): Promise<ImportResult> {
  if (!existsSync(source))
    throw new UserError({ message: `${source} does not exist`, hint: 'name a playbook or the folder of a role' })
  if (existsSync(output) && readdirSync(output).length > 0)
    throw new UserError({ message: `${output} is not empty`, hint: 'name a new folder with -o' })
  const isRole = statSync(source).isDirectory()
  const work = new Import(isRole ? source : dirname(source))
  if (isRole) work.role(resolve(source), '')
  else work.playbook(basename(source))
  await work.write(output)
  const result = {
    kind: isRole ? ('role' as const) : ('playbook' as const),
    made: isRole ? output : join(output, basename(source)),
  }
  return { ...result, report: work.report.finish(await validate(result)) }
}

class Import {
  readonly report = new Report()
  readonly #root: string
  readonly #types = new VariableTypes()
  readonly #sources = new Map<string, Source>()
  readonly #templates = new Map<string, Template>()
  readonly #copies = new Map<string, string>()
  readonly #gathered = noneGathered()
  readonly #prefixes = new Set<string>()
  readonly #roles = new Set<string>()
  readonly #roleFolders = new Map<string, string>()

  constructor(root: string) {
    this.#root = resolve(root)
  }

  role(folder: string, name: string): void {
    if (
      !['tasks', 'handlers', 'defaults', 'vars', 'meta', 'templates', 'files'].some((part) =>
        existsSync(join(folder, part)),
      )
    )
      throw new UserError({
        message: `${folder} is no role`,
        hint: 'a role has folders such as tasks, handlers, defaults, templates',
      })
    const files = new Files(folder)
    this.#roleFolders.set(folder, name === '' ? basename(folder) : relative('roles', name))
    const parts: readonly [string, Kind][] = [
      ['defaults', 'vars'],
      ['vars', 'vars'],
      ['meta', 'meta'],
      ['tasks', 'tasks'],
      ['handlers', 'tasks'],
    ]
    for (const [part, kind] of parts) {
      for (const file of globSync('**/*.{yml,yaml}', { cwd: join(folder, part) }).sort()) {
        const isSpec = part === 'meta' && !file.startsWith('main.')
        if (isSpec) this.#copies.set(join(name, part, file), join(folder, part, file))
        else {
          const gathered = this.#read(join(folder, part, file), join(name, part, file), kind, files)
          for (const one of gathered.taskFiles) this.#taskOfOther(folder, name, join(folder, part, dirname(file)), one)
        }
      }
    }
    this.#beside(folder, name, files)
    if (name !== '') this.#wanted(folder)
    else this.#others()
  }

  /** A file of tasks that a role takes out of another one: that role is wanted, too. */
  #taskOfOther(folder: string, name: string, from: string, file: string): void {
    if (!file.startsWith('..') || file.includes('{{')) return
    const path = [join(from, file), join(folder, 'tasks', file)].find((one) => existsSync(one))
    const role = path && /^(.*)\/tasks\//.exec(path)?.[1]
    if (role === undefined || !relative(folder, role).startsWith('..')) return
    const all = folder.slice(0, folder.length - relative('roles', name).length)
    const other = relative(all, role)
    if (name !== '' && !other.startsWith('..')) this.#gathered.roles.add(other)
  }

  playbook(name: string): void {
    if (this.#sources.has(name)) return
    const folder = join(this.#root, dirname(name))
    const files = new Files(folder)
    const gathered = this.#read(join(this.#root, name), name, 'playbook', files)
    for (const kind of ['group_vars', 'host_vars']) {
      for (const file of globSync(`${kind}/**/*`, { cwd: folder }).sort()) {
        const path = join(folder, file)
        if (statSync(path).isFile()) this.#read(path, join(dirname(name), file), 'vars', files)
      }
    }
    for (const file of gathered.varsFiles) this.#named(file, folder, dirname(name), 'vars', files)
    for (const file of gathered.taskFiles) this.#tasksFile(file, folder, dirname(name), files)
    this.#beside(folder, dirname(name), files)
    for (const file of gathered.playbooks)
      if (!file.includes('{{') && existsSync(join(folder, file))) this.playbook(join(dirname(name), file))
    this.#wanted(folder)
  }

  #tasksFile(file: string, folder: string, name: string, files: Files): void {
    const gathered = this.#named(file, folder, name, 'tasks', files)
    for (const one of gathered?.taskFiles ?? [])
      this.#tasksFile(one, join(folder, dirname(file)), join(name, dirname(file)), files)
  }

  #named(file: string, folder: string, name: string, kind: Kind, files: Files): Gathered | undefined {
    if (/\{[{%]/.test(file) || !existsSync(join(folder, file))) return undefined
    const made = join(name, file)
    if (made.startsWith('..') || this.#sources.has(made)) return undefined
    return this.#read(join(folder, file), made, kind, files)
  }

  /** Roles that are named, from where Ansible would take them. */
  #wanted(folder: string): void {
    for (const name of [...this.#gathered.roles]) {
      if (this.#roles.has(name) || name.includes('{{')) continue
      this.#roles.add(name)
      const places = [
        join(folder, 'roles'),
        join(this.#root, 'roles'),
        join(dirname(this.#root), 'roles'),
        folder,
        dirname(folder),
      ]
      const found = places
        .map((place) => join(place, name))
        .find(
          (path) =>
            existsSync(join(path, 'tasks')) || existsSync(join(path, 'defaults')) || existsSync(join(path, 'meta')),
        )
      if (found === undefined)
        this.report.check(
          relative(this.#root, folder) || '.',
          1,
          `role ${name}`,
          'it was not found',
          'import it on its own into roles/',
        )
      else if (resolve(found) !== this.#root) this.role(found, join('roles', name))
    }
  }

  /** Of one role only that one is wanted. */
  #others(): void {
    for (const name of this.#gathered.roles)
      this.report.check(
        '.',
        1,
        `role ${name}`,
        'another role, which was not imported',
        'import it on its own beside this one',
      )
  }

  /** templates/ and files/ of a role or playbook. */
  #beside(folder: string, name: string, files: Files): void {
    for (const file of globSync('templates/**/*', { cwd: folder }).sort()) {
      const path = join(folder, file)
      if (!statSync(path).isFile()) continue
      const made = join(name, file.replace(/\.j2$/, '.hbs'))
      if (isBinary(path)) this.#copies.set(made, path)
      else this.#templates.set(made, { name: join(name, file), path, files })
    }
    for (const file of globSync('files/**/*', { cwd: folder })) {
      const path = join(folder, file)
      if (statSync(path).isFile()) this.#copies.set(join(name, file), path)
    }
  }

  #read(path: string, name: string, kind: Kind, files: Files): Gathered {
    const doc = new YamlDocument(readSource(path), name, this.report)
    this.#sources.set(name, { kind, name, doc, files })
    const data: unknown = doc.root.toJS({ maxAliasCount: 10_000 })
    const gathered = noneGathered()
    if (kind === 'playbook') gatherPlaybook(this.#types, data, gathered)
    else if (kind === 'tasks') gatherTasks(this.#types, data, gathered)
    else if (kind === 'vars') gatherVars(this.#types, data)
    else gatherRoles(this.#types, (data as { dependencies?: unknown } | null)?.dependencies, gathered)
    for (const role of gathered.roles) this.#gathered.roles.add(role)
    this.#gathered.templates.push(...gathered.templates)
    // Templates that stand anywhere beside a playbook.
    for (const { src } of gathered.templates) {
      const at = join(files.folder, src)
      if (
        kind !== 'vars' &&
        !src.includes('{{') &&
        !src.startsWith('/') &&
        !existsSync(join(files.folder, 'templates', src)) &&
        existsSync(at)
      ) {
        this.#templates.set(relative(this.#root, at).replace(/\.j2$/, '.hbs'), {
          name: relative(this.#root, at),
          path: at,
          files,
        })
      }
    }
    return gathered
  }

  /** A handler of the play takes the place of a role's in Ansible, and that of a later role that of an earlier one. */
  #sameHandlers(): void {
    const owners = new Map<string, Set<string>>()
    for (const { doc, kind, files } of this.#sources.values()) {
      const data = doc.root.toJS({ maxAliasCount: 10_000 }) as unknown
      for (const name of handlerNames(kind, doc.path, data))
        owners.set(name, (owners.get(name) ?? new Set()).add(files.folder))
    }
    const shared = [...owners].filter(([, folders]) => folders.size > 1).map(([name]) => `"${name}"`)
    if (shared.length > 0)
      this.report.remark(
        `Handlers of one name in several places: ${shared.join(', ')}. A role's notification means its own here; in Ansible that ` +
          'of the play, else that of the role that was read last.',
      )
  }

  /** The name of the role that has these files: its folder's. */
  #roleOf({ folder }: Files): string | undefined {
    return this.#roleFolders.get(folder)
  }

  /** How the variables of a template begin: no two of one role or playbook alike (`a.conf`, `a@.conf`). */
  #prefixOf(files: Files, local: string): string {
    const word = basename(local)
      .replace(/\.hbs$/, '')
      .replace(/\W+/g, '_')
      .replace(/^(?=\d)/, '_')
    let prefix = word
    for (let i = 2; this.#prefixes.has(`${files.folder} ${prefix}`); i++) prefix = `${word}_${i}`
    this.#prefixes.add(`${files.folder} ${prefix}`)
    return prefix
  }

  async write(output: string): Promise<void> {
    this.#sameHandlers()
    const made = new Map<string, string>()
    for (const [name, { path, files, name: shown }] of this.#templates) {
      this.#types.role = this.#roleOf(files)
      const local = name.slice(name.indexOf('templates/') + 'templates/'.length)
      const prefix = this.#prefixOf(files, local)
      const given = this.#gathered.templates.find(({ src }) => basename(src) === basename(path))
      const options = {
        ...(given?.trimBlocks !== undefined && { trimBlocks: given.trimBlocks }),
        ...(given?.lstripBlocks !== undefined && { lstripBlocks: given.lstripBlocks }),
      }
      const { text, computed } = rewriteTemplate(
        { path: shown, text: readFileSync(path, 'utf8') },
        prefix,
        options,
        this.#types.env(this.report),
        this.report,
      )
      if (computed.length > 0) files.computed.set(local, [...computed])
      made.set(name, text)
    }
    for (const { kind, doc, files } of this.#sources.values()) {
      this.#types.role = this.#roleOf(files)
      const context = { doc, types: this.#types, report: this.report, files }
      if (kind === 'playbook') rewritePlaybook(context)
      else if (kind === 'tasks') rewriteTasks(context, doc.root.contents)
      else if (kind === 'vars') {
        if (/(^|\/)defaults\//.test(doc.path)) checkDefaults(doc, files.folder)
        rewriteVars(context)
      } else rewriteMeta(context)
      openMarked(doc.root)
      made.set(doc.path, doc.toString())
    }
    this.report.files = made.size + this.#copies.size
    for (const [name, text] of made) {
      await mkdir(dirname(join(output, name)), { recursive: true })
      await writeFile(join(output, name), text)
    }
    for (const [name, path] of this.#copies) {
      await mkdir(dirname(join(output, name)), { recursive: true })
      await copyFile(path, join(output, name))
      await chmod(join(output, name), statSync(path).mode & 0o777)
    }
  }
}

function isBinary(path: string): boolean {
  return readFileSync(path).subarray(0, 8000).includes(0)
}

/** Names of the handlers that a playbook or a file of a role has. */
function handlerNames(kind: Kind, path: string, data: unknown): string[] {
  const list = Array.isArray(data) ? data : []
  const isRole = kind === 'tasks' && /(^|\/)handlers\//.test(path)
  const handlers = isRole ? list : kind === 'playbook' ? list.flatMap((play) => play?.handlers ?? []) : []
  return handlers.flatMap((one: { name?: unknown } | null) => (typeof one?.name === 'string' ? [one.name] : []))
}
