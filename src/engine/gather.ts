import { loadModule } from '../module/registry.ts'
import type { Play, Task } from '../playbook/playbook.ts'
import { constant } from '../values/index.ts'

/** The task that reads facts at the start of a play. */
export async function gatherTask(play: Play): Promise<Task> {
  const module = await loadModule('facts')
  if (!module) throw new Error('there is no module facts')
  return {
    kind: 'task',
    id: `${play.id}.facts`,
    name: constant('Gather facts'),
    place: play.place,
    moduleName: 'facts',
    module,
    args: constant({}),
    argsNode: { kind: 'map', entries: new Map(), place: play.place } as never,
    argsPlace: play.place,
    parsedArgs: {},
    defaults: [],
    when: [],
    loop: undefined,
    register: undefined,
    notify: [],
    changedWhen: [],
    failedWhen: [],
    ignoreErrors: undefined,
    ignoreUnreachable: undefined,
    anyErrorsFatal: false,
    until: [],
    retries: undefined,
    delay: undefined,
    checkMode: undefined,
    diff: undefined,
    noLog: undefined,
    timeout: undefined,
    environment: play.environment,
    become: play.become,
    defaultVars: play.defaultVars,
    vars: [],
    tags: ['always'],
    delegateTo: undefined,
    delegateFacts: false,
    runOnce: false,
    throttle: undefined,
    role: undefined,
    searchPath: play.searchPath,
  }
}
