/** How often and how long a task is tried: `async`, `poll`, `retries`, `delay`. */
import type { YAMLMap } from 'yaml'
import { type Entry, entry, isText, pairOf, take, textOf, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { rewriteValue } from './nodes.ts'
import { Refused } from './refused.ts'

/** Without `until` Ansible tries until the task does not fail. */
export function retries(doc: YamlDocument, task: YAMLMap): void {
  if (entry(task, 'until')) return
  if (!entry(task, 'retries')) {
    if (entry(task, 'delay') && !entry(task, 'loop_control')) take(task, 'delay')
    return
  }
  const register = textOf(task, 'register') ?? 'tried'
  if (!entry(task, 'register')) task.items.push(pairOf(doc, 'register', register) as never)
  task.items.push(pairOf(doc, 'until', `!${register}.failed`) as never)
}

/**
 * `delay: "{{ n | random }}"`, so that hosts do not all come at once: the longest of those times, which chance could have
 * given, too.
 */
export function randomDelay(doc: YamlDocument, { key, value }: Entry): void {
  if (!isText(value) || !/\|\s*random\b/.test(value.value)) return
  const longest = value.value.replace(/\b([A-Za-z_]\w*|\d+)\s*\|\s*random\b(\s*\(\s*\))?(?!\s*\()/g, '($1 - 1)')
  if (/\|\s*random\b/.test(longest)) return
  value.value = longest
  doc.check(key, 'delay', 'a random time', 'nothing: the longest one is written')
}

/** With `poll` the task waits: all that is left of `async` is a time limit. */
export function asynchronous(doc: YamlDocument, task: YAMLMap, env: Env): void {
  const async = entry(task, 'async')
  const poll = entry(task, 'poll')
  if (!async) {
    if (poll) take(task, 'poll')
    return
  }
  if (isText(poll?.value) || (poll?.value as { value?: unknown } | undefined)?.value === 0) {
    doc.refuse(
      async.key,
      'async',
      new Refused(
        'work that goes on while the play does',
        'run it in its place with timeout, or keep async and poll: 0 on a command and wait with async_status',
      ),
    )
    return
  }
  take(task, 'poll')
  async.key.value = 'timeout'
  rewriteValue(doc, async.value, async.key, 'async', env)
}
