/** `npm run docs`: writes docs/modules/*.md from the modules. test/cli/docs.test.ts fails while they are stale. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadModule, moduleNames } from '../module/registry.ts'
import { moduleReference } from './module-reference.ts'

const FOLDER = join(import.meta.dirname, '../../docs/modules')

/** File names to contents. */
export async function modulePages(): Promise<Map<string, string>> {
  const pages = new Map<string, string>()
  const index: string[] = []
  for (const name of await moduleNames()) {
    const module = (await loadModule(name))!
    pages.set(`${name}.md`, moduleReference(name, module))
    index.push(`- [${name}](${name}.md): ${module.summary}`)
  }
  return pages.set(
    'README.md',
    `# Modules\n\nMade by \`npm run docs\` from the modules themselves.\n\n${index.join('\n')}\n`,
  )
}

if (import.meta.main) {
  const pages = await modulePages()
  await mkdir(FOLDER, { recursive: true })
  for (const old of await readdir(FOLDER)) if (old.endsWith('.md') && !pages.has(old)) await rm(join(FOLDER, old))
  for (const [name, text] of pages) await writeFile(join(FOLDER, name), text)
}
