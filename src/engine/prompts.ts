import type { Prompt as VarsPrompt } from '../playbook/index.ts'
import { UserError } from '../shared/errors.ts'
import { makeScope, type Scope } from '../values/index.ts'
import type { RunInput } from './run.ts'

type Asking = Pick<RunInput, 'extraVars' | 'prompt' | 'redactor'>

/** Asks for the `vars_prompt` of a play that the command line does not give. Throws UserError when nobody can be asked. */
export async function askPrompts(prompts: readonly VarsPrompt[], input: Asking): Promise<ReadonlyMap<string, unknown>> {
  const given = makeScope([{ name: 'command line', vars: input.extraVars }])
  const answers = new Map<string, unknown>()
  for (const prompt of prompts) if (!given.has(prompt.name)) answers.set(prompt.name, await ask(prompt, given, input))
  return answers
}

async function ask(prompt: VarsPrompt, scope: Scope, { prompt: askPerson, redactor }: Asking): Promise<string> {
  const fallback = prompt.default === undefined ? undefined : String(prompt.default.evaluate(scope))
  if (!askPerson) {
    if (fallback !== undefined) return fallback
    throw new UserError({
      message: `nobody can be asked for "${prompt.name}": there is no terminal`,
      place: prompt.place,
      hint: `give it with -e ${prompt.name}=…`,
    })
  }
  const question = fallback === undefined || prompt.private ? prompt.question : `${prompt.question} [${fallback}]`
  for (;;) {
    const answer = (await askPerson(question, { secret: prompt.private })) || fallback || ''
    if (prompt.private && answer !== '') redactor.add(answer)
    if (!prompt.confirm) return answer
    if ((await askPerson(`${prompt.question} (again)`, { secret: prompt.private })) === answer) return answer
  }
}
