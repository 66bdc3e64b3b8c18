import { type RunFlags, run } from '../run.ts'

/** `runbook apply PLAYBOOK…` and `runbook plan PLAYBOOK…`. */
export function apply(playbooks: readonly string[], flags: RunFlags): Promise<number> {
  return run({ flags, playbooks, command: [flags.check ? 'plan' : 'apply', ...playbooks, ...describe(flags)] })
}

/** The options that say what is done, for the history; extra vars by name alone, as their values may be secret. */
function describe({ inventory, limit, tags, skipTags, startAtTask, retryFailed, extraVars }: RunFlags): string[] {
  return [
    ...inventory.flatMap((i) => ['-i', i]),
    ...(limit === undefined ? [] : ['--limit', limit]),
    ...tags.flatMap((tag) => ['--tags', tag]),
    ...skipTags.flatMap((tag) => ['--skip-tags', tag]),
    ...(startAtTask === undefined ? [] : ['--start-at-task', startAtTask]),
    ...(retryFailed ? ['--retry-failed'] : []),
    ...extraVars.flatMap((e) => ['-e', e.startsWith('@') ? e : e.replace(/=.*|\{.*/s, '=…')]),
  ]
}
