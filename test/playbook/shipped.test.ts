/** Every playbook and inventory that is shipped: loads without a problem, and is what the schema for editors says. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { parse } from 'yaml'
import { loadInventory } from '../../src/inventory/index.ts'
import * as registry from '../../src/module/registry.ts'
import { inventorySchema, loadPlaybooks, playbookSchema } from '../../src/playbook/index.ts'

const ROOT = join(import.meta.dirname, '../..')
const playbooks = globSync('playbooks/*.yml', { cwd: ROOT })
const inventories = globSync('inventories/*.yml', { cwd: ROOT })
const ajv = new Ajv2020({ strict: false, allErrors: true })

t.ok(playbooks.length > 0 && inventories.length > 0)

t.test('playbooks', async (t) => {
  const valid = ajv.compile(await playbookSchema(registry))
  for (const path of playbooks) {
    await t.resolves(loadPlaybooks([join(ROOT, path)], { extraVars: { nodes: 'all' } }), path)
    // `!cel` is our own tag: to a schema it is a text.
    valid(
      parse(readFileSync(join(ROOT, path), 'utf8'), {
        customTags: [{ tag: '!cel', resolve: (s: string) => `{{ ${s} }}` }],
      }),
    )
    t.same(valid.errors ?? [], [], path)
  }
})

t.test('inventories', async (t) => {
  const valid = ajv.compile(inventorySchema())
  for (const path of inventories) {
    await t.resolves(loadInventory([join(ROOT, path)]), path)
    valid(parse(readFileSync(join(ROOT, path), 'utf8')))
    t.same(valid.errors ?? [], [], path)
  }
})
