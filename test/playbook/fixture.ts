/** Playbooks of tests: files in a folder that goes away, and a few modules of our own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { args, defineModule, z } from '../../src/module/index.ts'
import { type LoadOptions, loadPlaybooks, type ModuleSource, type Playbook } from '../../src/playbook/index.ts'
import { type Problem, UserError } from '../../src/shared/errors.ts'

const copy = defineModule({
  summary: 'Copy a file',
  args: z
    .strictObject({
      src: z.string().optional().describe('where from'),
      content: z.string().optional(),
      dest: args.path.describe('where to'),
      mode: args.mode.optional(),
      force: z.boolean().default(true),
      state: z.enum(['present', 'absent']).default('present'),
      owners: args.list(args.principal).optional(),
      limits: z.strictObject({ size: z.int().min(1) }).optional(),
    })
    .refine((a) => (a.src === undefined) !== (a.content === undefined), 'give either `src` or `content`'),
  examples: [],
  plan: () => [],
})

const command = defineModule({
  summary: 'Run a command',
  freeForm: 'cmd',
  args: z.strictObject({ cmd: z.string().optional(), chdir: args.path.optional(), creates: args.path.optional() }),
  examples: [],
  plan: () => [],
})

const ping = defineModule({ summary: 'Nothing', args: z.strictObject({}), examples: [], plan: () => [] })

const all = new Map(Object.entries({ command, copy, ping }))

export const modules: ModuleSource = {
  moduleNames: async () => [...all.keys()],
  loadModule: async (name) => all.get(name.replace(/^ansible\.builtin\./, '')),
}

/** Loads `site.yml` out of files by name. */
export async function load(
  files: Readonly<Record<string, string | Buffer>>,
  options: LoadOptions = {},
): Promise<Playbook> {
  const folder = mkdtempSync(join(tmpdir(), 'playbook-test-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    const [playbook] = await loadPlaybooks([join(folder, 'site.yml')], { modules, ...options })
    return playbook!
  } catch (error) {
    if (error instanceof UserError)
      throw new UserError(error.problems.map((problem) => shortened(problem, `${folder}/`)))
    throw error
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function shortened({ message, place, hint }: Problem, folder: string): Problem {
  return {
    message: message.replaceAll(folder, ''),
    place: place && { ...place, file: { ...place.file, path: place.file.path.replace(folder, '') } },
    hint: hint?.replaceAll(folder, ''),
  }
}

/** What is wrong with a playbook, as `file:line:column: message | hint`. */
export async function problemsOf(
  files: Readonly<Record<string, string | Buffer>>,
  options?: LoadOptions,
): Promise<string[]> {
  try {
    await load(files, options)
    return []
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return error.problems.map(({ message, place, hint }) => {
      const at = place ? `${place.file.path}:${place.line}:${place.column}: ` : ''
      return `${at}${message}${hint === undefined ? '' : ` | ${hint}`}`
    })
  }
}
