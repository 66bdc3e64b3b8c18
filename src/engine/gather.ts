import { loadModule } from '../module/registry.ts'
import type { Play, Task } from '../playbook/playbook.ts'
import { constant } from '../values/index.ts'
import { ownTask } from './own-task.ts'

/** The task that reads facts at the start of a play. */
export async function gatherTask(play: Play): Promise<Task> {
  const module = await loadModule('facts')
  if (!module) throw new Error('there is no module facts')
  const { place, environment, become, defaultVars, searchPath } = play
  return ownTask({
    id: `${play.id}.facts`,
    name: constant('Gather facts'),
    place,
    moduleName: 'facts',
    module,
    environment,
    become,
    defaultVars,
    searchPath,
    tags: ['always'],
  })
}
