/** Paths that begin with `~`, which Ansible expands on the host, as the user of the task. */
import type { Node, Scalar } from 'yaml'
import type { Call } from './call.ts'
import { isText } from './document.ts'
import type { Env } from './env.ts'
import { rewriteValue } from './nodes.ts'

const PATHS = /^(path|paths|dest|chdir|creates|removes)$/

export function isHomePath(name: string, value: Node | null): value is Scalar<string> {
  return PATHS.test(name) && isText(value) && value.value.startsWith('~')
}

/** A path that begins with no `/`: beside `chdir` it is meant from there, else from where the login begins. */
export function fromWorkingFolder(call: Call): void {
  if (/^(fetch|mount|set_fact)$/.test(call.module)) return
  for (const name of ['path', 'dest', 'creates', 'removes', 'chdir']) {
    const path = call.text(name)
    if (path === undefined || path === '' || /^([/~]|\{\{)/.test(path)) continue
    const folder = name === 'chdir' ? undefined : call.text('chdir')
    if (/^(creates|removes)$/.test(name) && folder !== undefined)
      call.set(name, `${folder}/${path.replace(/^\.\//, '')}`)
    else call.refuseArgument(name, 'a path from the folder in which a login begins', 'write it from the root')
  }
}

/** Facts are read as the play's user: that one's home folder is known, as long as the task runs as the same. */
export function homePath(call: Call, name: string, value: Scalar<string>, env: Env): void {
  if (!/^~(\/|$)/.test(value.value))
    call.refuseArgument(name, 'a path from the home folder of another user', 'write it from the root')
  else if (call.hasKeyword('delegate_to'))
    call.refuseArgument(name, 'a path from the home folder on another host', 'write it from the root')
  else if (call.doc.becomes)
    call.refuseArgument(name, 'a path from the home folder of the user that the task becomes', 'write it from the root')
  else {
    value.value = `{{ ansible_user_dir }}${value.value.slice(1)}`
    value.type = 'QUOTE_DOUBLE'
    rewriteValue(call.doc, value, call.pair.key, name, env)
  }
}
