import { defineModule, z } from '#module'

export default defineModule({
  summary: 'Set variables of the host for the rest of the run',
  description:
    'They stand above variables of the play and the inventory. `cacheable: true` keeps them in the facts cache as well.',
  readOnly: true,
  args: z.looseObject({ cacheable: z.boolean().default(false).describe('keep them for later runs') }).check((ctx) => {
    const names = Object.keys(ctx.value).filter((name) => name !== 'cacheable')
    const say = (message: string) => ctx.issues.push({ code: 'custom', message, input: ctx.value })
    if (names.length === 0) say('give at least one variable')
    for (const name of names) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        say(`"${name}" cannot be the name of a variable: letters, digits and _`)
    }
  }),
  returns: { facts: 'the variables', cacheable: 'whether they are kept' },
  examples: [
    { name: 'Remember an address', yaml: 'set_fact:\n  api_address: "{{ facts.default_ipv4.address }}:6443"' },
    { name: 'Compute', yaml: 'set_fact:\n  replicas: !cel size(groups.workers)' },
  ],
  plan: () => [],
  // The engine makes variables of what stands under `facts`.
  result: ({ cacheable, ...facts }) => ({ facts, cacheable }),
})
