import { defineModule, z } from '#module'

export default defineModule({
  summary: 'Set variables of the host for the rest of the run',
  description: 'They stand above variables of the play and the inventory.',
  readOnly: true,
  provides: 'variables',
  args: z.looseObject({}).check((ctx) => {
    const names = Object.keys(ctx.value)
    const say = (message: string) => ctx.issues.push({ code: 'custom', message, input: ctx.value })
    if (names.length === 0) say('give at least one variable')
    for (const name of names) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        say(`"${name}" cannot be the name of a variable: letters, digits and _`)
    }
  }),
  examples: [
    { name: 'Remember an address', yaml: 'set_fact:\n  api_address: "{{ facts.default_route.address }}:6443"' },
    { name: 'Compute', yaml: 'set_fact:\n  replicas: !cel size(groups.workers)' },
  ],
  plan: () => [],
  result: (variables) => variables,
})
