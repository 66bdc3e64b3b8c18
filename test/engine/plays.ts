/** Random plays: as data for the reference, and as YAML for the engine. */
import fc from '../property.ts'
import type { BlockSpec, Condition, HandlerSpec, IncludeSpec, PlaySpec, StepSpec, TaskSpec, Work } from './reference.ts'
import { nameOf } from './reference.ts'

const maybe = <T>(arb: fc.Arbitrary<T>, weight = 5): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: arb })

const register = fc.constantFrom('r1', 'r2')
const keyName = fc.constantFrom('a', 'b', 'c')
const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('1', '2') },
  { weight: 1, arbitrary: fc.constantFrom('{{ x }}', '{{ r1.stdout }}', '{{ r2.value }}', '{{ item }}', '{{ inc }}') },
)

const condition = (items: boolean): fc.Arbitrary<Condition> =>
  fc.oneof(
    fc.record({ is: fc.constantFrom('true' as const, 'false' as const) }),
    fc.record({ is: fc.constant('host'), host: fc.constantFrom('h1', 'h2') }),
    fc.record({
      is: fc.constant('register'),
      name: register,
      field: fc.constantFrom('changed', 'failed', 'skipped'),
      not: fc.boolean(),
    }),
    ...(items ? [fc.record({ is: fc.constant('item'), item: fc.constantFrom('1', '2') })] : []),
  ) as fc.Arbitrary<Condition>

const work: fc.Arbitrary<Work> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ module: fc.constant('set'), key: keyName, value: word }) },
  {
    weight: 3,
    arbitrary: fc.record({
      module: fc.constantFrom('cmd', 'cmd', 'act'),
      say: fc.oneof(fc.constantFrom('x', 'y'), word),
      rc: fc.constantFrom(0, 0, 0, 1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ module: fc.constant('look'), key: keyName }) },
  { weight: 2, arbitrary: fc.record({ module: fc.constantFrom('fail', 'note', 'note') }) },
  { weight: 1, arbitrary: fc.record({ module: fc.constant('remember'), name: fc.constantFrom('x'), value: word }) },
  {
    weight: 1,
    arbitrary: fc.record({
      module: fc.constant('meta'),
      word: fc.constantFrom('flush_handlers', 'flush_handlers', 'noop', 'end_host'),
    }),
  },
) as fc.Arbitrary<Work>

interface Kind {
  readonly linear: boolean
  readonly meets: boolean
}

const task = (kind: Kind): fc.Arbitrary<TaskSpec> =>
  fc
    .record({
      work,
      when: maybe(condition(false), 3),
      loop: maybe(fc.array(fc.constantFrom('1', '2', '3'), { maxLength: 3 }), 6),
      register: maybe(register, 2),
      notify: maybe(fc.constantFrom('n1', 'n2', 'n3', 'topic'), 2),
      ignoreErrors: maybe(fc.constant(true), 6),
      judge: maybe(fc.record({ which: fc.constantFrom('failedWhen', 'changedWhen'), condition: condition(false) }), 8),
      fatal: kind.linear ? maybe(fc.constant(true), 10) : fc.constant(undefined),
      runOnce: kind.meets ? maybe(fc.constant(true), 6) : fc.constant(undefined),
      throttle: maybe(fc.constantFrom(1, 2), 8),
    })
    .map(({ judge, ...rest }) => {
      const meta = rest.work.module === 'meta'
      return {
        kind: 'task',
        id: 0,
        ...rest,
        ...(meta ? { loop: undefined } : {}),
        ...(judge && !meta ? { [judge.which]: judge.condition } : {}),
      } as TaskSpec
    })

const steps = (kind: Kind, depth: number): fc.Arbitrary<StepSpec[]> =>
  fc.array(
    depth === 0
      ? task(kind)
      : fc.oneof(
          { weight: 8, arbitrary: task(kind) },
          { weight: 2, arbitrary: block(kind, depth - 1) },
          { weight: 1, arbitrary: include(kind) },
        ),
    { minLength: 1, maxLength: depth === 0 ? 3 : 5 },
  )

const block = (kind: Kind, depth: number): fc.Arbitrary<BlockSpec> =>
  fc.record({
    kind: fc.constant('block' as const),
    when: maybe(condition(false), 6),
    block: steps(kind, depth),
    rescue: fc.oneof(fc.constant([]), steps(kind, depth)),
    always: fc.oneof(fc.constant([]), steps(kind, depth)),
  })

const include = (kind: Kind): fc.Arbitrary<IncludeSpec> =>
  fc.record({
    kind: fc.constant('include' as const),
    id: fc.constant(0),
    when: maybe(condition(false), 3),
    loop: maybe(fc.array(fc.constantFrom('1', '2'), { maxLength: 2 }), 1),
    steps: fc.array(task(kind), { minLength: 1, maxLength: 3 }),
  })

const handlers = (kind: Kind): fc.Arbitrary<HandlerSpec[]> =>
  fc.tuple(task(kind), task(kind), task(kind)).map((all) =>
    all.map(({ loop: _loop, runOnce: _once, ...one }, i) => ({
      ...one,
      work: one.work.module === 'meta' ? { module: 'note' } : one.work,
      name: `n${i + 1}`,
      listen: i > 0 ? 'topic' : undefined,
      // Only those behind it, so that they come to an end.
      notify: one.notify !== undefined && i < 2 ? `n${i + 2}` : undefined,
    })),
  )

const plays = (kind: Kind): fc.Arbitrary<PlaySpec> =>
  fc
    .record({
      linear: fc.constant(kind.linear),
      serial: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(fc.constantFrom(1, 2, 3), { maxLength: 2 })),
      fatal: kind.linear ? fc.boolean() : fc.constant(false),
      maxFailPercentage: kind.linear ? maybe(fc.constantFrom(0, 34, 50)) : fc.constant(undefined),
      forceHandlers: fc.boolean(),
      sections: fc.array(steps(kind, 2), { minLength: 1, maxLength: 2 }),
      handlers: handlers(kind),
    })
    .map(numbered)

/** One or two plays; those of free hosts stop nobody, since when they do is chance. */
export const playbook: fc.Arbitrary<PlaySpec[]> = fc
  .constantFrom<Kind>({ linear: false, meets: false }, { linear: false, meets: true }, { linear: true, meets: true })
  .chain((kind) => fc.array(plays(kind), { minLength: 1, maxLength: 2 }))

/** Numbers the tasks in the order in which they stand. */
function numbered(play: PlaySpec): PlaySpec {
  let next = 1
  const number = (step: StepSpec): StepSpec =>
    step.kind === 'task'
      ? { ...step, id: next++ }
      : step.kind === 'include'
        ? { ...step, id: next++, steps: step.steps.map((one) => ({ ...one, id: next++ })) }
        : { ...step, block: step.block.map(number), rescue: step.rescue.map(number), always: step.always.map(number) }
  return { ...play, sections: play.sections.map((s) => s.map(number)) }
}

const SECTIONS = ['pre_tasks', 'tasks'] as const

/** A play, with the files of its includes in `files`; `nth` tells them from those of other plays. */
export function toYaml(play: PlaySpec, nth: number, files: Record<string, unknown>): unknown {
  const stepYaml = (step: StepSpec): unknown => stepToYaml(step, `${nth}`, files)
  return {
    hosts: 'all',
    gather_facts: false,
    strategy: play.linear ? 'linear' : 'free',
    ...(play.serial.length > 0 ? { serial: play.serial } : {}),
    ...(play.fatal ? { any_errors_fatal: true } : {}),
    ...(play.maxFailPercentage === undefined ? {} : { max_fail_percentage: play.maxFailPercentage }),
    force_handlers: play.forceHandlers,
    ...Object.fromEntries(play.sections.map((s, i) => [SECTIONS[i], s.map(stepYaml)])),
    handlers: play.handlers.map((h) => ({ ...(stepYaml(h as never) as object), listen: h.listen })),
  }
}

function stepToYaml(step: StepSpec, prefix: string, files: Record<string, unknown>): unknown {
  const stepYaml = (one: StepSpec): unknown => stepToYaml(one, prefix, files)
  if (step.kind === 'include') {
    const file = `${prefix}-${step.id}.yml`
    files[file] = step.steps.map(stepYaml)
    return {
      name: `i${step.id}`,
      include_tasks: file,
      ...(step.when ? { when: cel(step.when) } : {}),
      ...(step.loop ? { loop: step.loop, loop_control: { loop_var: 'inc' } } : {}),
    }
  }
  if (step.kind === 'block') {
    const { kind: _kind, when, block, rescue, always } = step
    return {
      ...(when ? { when: cel(when) } : {}),
      block: block.map(stepYaml),
      ...(rescue.length > 0 ? { rescue: rescue.map(stepYaml) } : {}),
      ...(always.length > 0 ? { always: always.map(stepYaml) } : {}),
    }
  }
  const entries = {
    name: nameOf(step),
    ...moduleYaml(step.work),
    when: step.when && cel(step.when),
    loop: step.loop,
    register: step.register,
    notify: step.notify,
    ignore_errors: step.ignoreErrors,
    failed_when: step.failedWhen && cel(step.failedWhen),
    changed_when: step.changedWhen && cel(step.changedWhen),
    any_errors_fatal: step.fatal,
    run_once: step.runOnce,
    throttle: step.throttle,
  }
  return Object.fromEntries(Object.entries(entries).filter(([, v]) => v !== undefined))
}

function moduleYaml(work: Work): Record<string, unknown> {
  if (work.module === 'meta') return { meta: work.word }
  if (work.module === 'remember') return { remember: { [work.name]: work.value } }
  const { module, ...args } = work
  return { [module]: module === 'note' ? { msg: 'note' } : args }
}

function cel(condition: Condition): string {
  if (condition.is === 'host') return `inventory_hostname == "${condition.host}"`
  if (condition.is === 'item') return `item == "${condition.item}"`
  if (condition.is !== 'register') return condition.is
  return `${condition.not ? '!' : ''}${condition.name}.${condition.field}`
}
