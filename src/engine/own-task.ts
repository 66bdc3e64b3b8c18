import type { Task } from '../playbook/playbook.ts'
import { constant } from '../values/index.ts'

type Given = Pick<Task, 'id' | 'name' | 'place' | 'moduleName' | 'module'> & Partial<Task>

/** A task that no playbook holds: fact gathering, or an include in its scope and reports. No keyword but those given. */
export function ownTask(given: Given): Task {
  return {
    kind: 'task',
    args: constant({}),
    argsNode: { kind: 'map', entries: new Map(), place: given.place } as never,
    argsPlace: given.place,
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
    detach: undefined,
    checkMode: undefined,
    diff: undefined,
    noLog: undefined,
    timeout: undefined,
    environment: [],
    become: { become: undefined, user: undefined, method: undefined },
    defaultVars: [],
    vars: [],
    tags: [],
    delegateTo: undefined,
    delegateFacts: false,
    runOnce: false,
    throttle: undefined,
    role: undefined,
    searchPath: [],
    ...given,
  }
}
