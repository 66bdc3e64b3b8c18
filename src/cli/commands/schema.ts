import * as registry from '../../module/registry.ts'
import { inventorySchema, playbookSchema } from '../../playbook/index.ts'
import { EXIT } from '../exit.ts'

/** `runbook schema [playbook|inventory]`: JSON Schema on stdout. */
export async function schema(kind: 'playbook' | 'inventory'): Promise<number> {
  const made = kind === 'playbook' ? await playbookSchema(registry) : inventorySchema()
  process.stdout.write(`${JSON.stringify(made, undefined, 2)}\n`)
  return EXIT.done
}
