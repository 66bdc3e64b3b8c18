import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { z } from 'zod'
import { moduleReference } from '../../src/cli/module-reference.ts'
import { modulePages } from '../../src/cli/write-docs.ts'
import { defineModule } from '../../src/module/define.ts'

t.test('docs/modules is what the modules say; mend with: npm run docs', async (t) => {
  const folder = join(import.meta.dirname, '../../docs/modules')
  const pages = await modulePages()
  t.same((await readdir(folder)).sort(), [...pages.keys()].sort())
  for (const [name, text] of pages) t.equal(await readFile(join(folder, name), 'utf8'), text, name)
})

t.test('a reference', async (t) => {
  const module = defineModule({
    summary: 'Does it',
    description: 'Well.',
    freeForm: 'name',
    args: z.strictObject({
      name: z.string().describe('which'),
      state: z.enum(['present', 'absent']).default('present').describe('what it shall be'),
      deep: z
        .array(z.strictObject({ port: z.int() }))
        .optional()
        .describe('ports'),
      values: z.record(z.string(), z.union([z.string(), z.int()])).optional(),
    }),
    examples: [{ name: 'Do it', yaml: 'it:\n  name: x\n' }],
    returns: { path: 'where' },
    plan: () => [],
  })
  t.equal(
    moduleReference('it', module),
    `# it

Does it

Well.

Check mode: exact, with diffs.

## Arguments

- \`name\` (string; required): which
- \`state\` (one of \`present\`, \`absent\`; default \`"present"\`): what it shall be
- \`deep\` (list of map): ports
  - \`port\` (integer; required)
- \`values\` (map of string or integer)

A text in place of the map is \`name\`.

## Examples

\`\`\`yaml
- name: Do it
  it:
    name: x
\`\`\`

## Result

- \`path\`: where
`,
  )
})
