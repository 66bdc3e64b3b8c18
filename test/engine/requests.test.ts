import t from 'tap'
import { play, runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

const set = (key: string, value = '1') => ({ set: { key, value } })
const many = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i))

/** How many steps (changes, groups of questions) each request has: what rides together. */
const TABLE: { name: string; tasks: unknown[]; keys?: string[]; requests: number[]; check?: boolean }[] = [
  {
    name: '30 tasks with nothing to do',
    tasks: many(30, (i) => set(`k${i}`)),
    keys: many(30, (i) => `k${i}`),
    requests: [1],
  },
  { name: 'independent changes ride together', tasks: many(5, (i) => set(`k${i}`)), requests: [1, 6] },
  { name: 'a chain on one key', tasks: many(5, (i) => set('k', String(i))), requests: [1, 2, 2, 2, 2, 2] },
  {
    name: 'a change in the middle costs one request',
    tasks: many(9, (i) => set(`k${i}`)),
    keys: many(9, (i) => `k${i}`).toSpliced(4, 1),
    requests: [1, 2],
  },
  {
    name: 'a value that comes from a register ends the window',
    tasks: [
      { ...set('a'), register: 'r' },
      { ...set('b'), when: 'r.changed' },
    ],
    requests: [1, 2, 1, 2],
  },
  {
    name: 'a register that is known at once does not',
    tasks: [
      { note: { msg: 'x' }, register: 'r' },
      { ...set('b'), when: '!r.changed' },
    ],
    requests: [1, 2],
  },
  { name: 'a loop is one window', tasks: [{ ...set('k{{ item }}'), loop: [1, 2, 3] }], requests: [1, 4] },
  { name: 'a command by itself', tasks: [{ cmd: { say: 'x' } }], requests: [1] },
  {
    name: 'a command behind a change that it could undo',
    tasks: [set('a'), { cmd: { say: 'x' } }],
    requests: [1, 2, 1],
  },
  {
    name: 'what a command may have changed is asked again',
    tasks: [set('a'), { cmd: { say: 'x' } }, set('b')],
    requests: [1, 2, 2, 2],
  },
  {
    name: 'commands that change nothing ride along',
    tasks: [set('a'), { cmd: { say: 'x' }, changed_when: false, check_mode: false }, set('b')],
    requests: [1, 4],
  },
  { name: 'check mode asks once', tasks: many(5, (i) => set(`k${i}`)), check: true, requests: [1] },
  { name: 'nothing to ask', tasks: [{ note: { msg: 'x' } }, { remember: { a: 1 } }], requests: [] },
  {
    name: 'blocks cost nothing',
    tasks: [{ block: [set('a'), { block: [set('b')], always: [set('c')] }], rescue: [set('d')], always: [set('e')] }],
    requests: [1, 5],
  },
  {
    name: 'a failure ends its request, and what was in front is asked again',
    tasks: [
      set('a'),
      { cmd: { say: 'x', rc: 1 }, changed_when: false, check_mode: false, ignore_errors: true },
      set('b'),
    ],
    requests: [1, 2, 1, 1, 2],
  },
]

for (const { name, tasks, keys = [], requests, check = false } of TABLE) {
  t.test(name, async (t) => {
    const host = new FakeHost('h1')
    for (const key of keys) host.keys.set(key, '1')
    const { events } = await runPlays([play(tasks)], 1, { hosts: [host], check })
    t.strictSame(host.requests, requests)
    const recap = events.findLast((e) => e.type === 'recap')
    t.match(recap, { hosts: { h1: { failed: 0, round_trips: requests.length } } })
  })
}
