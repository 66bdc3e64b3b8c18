import { loadModule } from '../module/registry.ts'
import type { Play, Task } from '../playbook/playbook.ts'
import { compileExpression, constant } from '../values/index.ts'
import { ownTask } from './own-task.ts'

/** The task that reads facts at the start of a play; `cached`: only those that are not known from the cache. */
export async function gatherTask(play: Play, cached: boolean): Promise<Task> {
  const module = await loadModule('facts')
  if (!module) throw new Error('there is no module facts')
  const { place, environment, become, ignoreErrors, ignoreUnreachable, defaultVars, searchPath } = play
  return ownTask({
    id: `${play.id}.facts`,
    name: constant('Gather facts'),
    place,
    moduleName: 'facts',
    when: cached ? [compileExpression('!defined(facts)', place)] : [],
    module,
    environment,
    become,
    ignoreErrors,
    ignoreUnreachable,
    defaultVars,
    searchPath,
    tags: ['always'],
  })
}
