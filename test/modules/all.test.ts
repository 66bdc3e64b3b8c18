/** What every module owes its reader: a summary, a word for each argument, examples that its own schema takes. */
import t from 'tap'
import { parse } from 'yaml'
import { z } from 'zod'
import { loadModule, moduleNames } from '../../src/module/registry.ts'

/** Values that the loader makes of tags and expressions before a schema sees them. */
const tags = [{ tag: '!cel', resolve: (s: string) => s }]

for (const name of await moduleNames()) {
  t.test(name, async (t) => {
    const module = (await loadModule(name))!
    t.match(module.summary, /^\S.*[^.]$/)
    const schema = z.toJSONSchema(module.args, { io: 'input', unrepresentable: 'any' }) as {
      properties: Record<string, { description?: string }>
    }
    for (const [argument, { description }] of Object.entries(schema.properties)) {
      t.ok(description, `${argument} is described`)
    }
    t.ok(module.examples.length > 0)
    for (const { name: title, yaml } of module.examples) {
      const task = parse(yaml, { customTags: tags })
      const given = task[name]
      const args = typeof given === 'string' && module.freeForm ? { [module.freeForm]: given } : given
      // An argument with a template or an expression has its type only at run time.
      const late = JSON.stringify(args ?? {}).includes('{{') || name === 'assert' || (name === 'debug' && args.var)
      if (!late)
        t.ok(module.args.safeParse(args ?? {}).success, `example: ${title}: ${module.args.safeParse(args).error}`)
      for (const key of Object.keys(args ?? {}))
        t.ok(key in schema.properties || name === 'set_fact', `${title}: ${key}`)
    }
  })
}
