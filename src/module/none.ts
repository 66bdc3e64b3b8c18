import { z } from 'zod'
import { defineModule } from './define.ts'

/** The module of things that are reported like tasks but do nothing themselves, such as an include. */
export default defineModule({
  summary: 'Nothing',
  args: z.strictObject({}),
  examples: [],
  readOnly: true,
  plan: () => [],
})
