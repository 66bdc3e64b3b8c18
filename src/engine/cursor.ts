import type { Block, Step } from '../playbook/playbook.ts'

/** Where in a list of steps something is: the part of a block, or the section itself. */
interface Frame {
  steps: readonly Step[]
  index: number
  readonly block: Block | undefined
  part: 'root' | 'block' | 'rescue' | 'always'
  /** What an include adds for the steps inside: its loop item. */
  readonly vars: ReadonlyMap<string, unknown> | undefined
  /** Tells the steps of one opening of an include from those of another. */
  readonly key: string
  /** A failure that goes on outwards when this frame has come to its end. */
  failing: boolean
  /** What comes out of this frame is no failure that its rescue part may take: the play was stopped around it. */
  leaving: boolean
  /** Among the frames that follow each other in its place: the part of a block, the item of an include. */
  rank: number
  /** The same for all items of an include, which lie on each other. */
  readonly opening: object | undefined
  /** Gives steps one by one, when the one before has come to its end: handlers can be notified by handlers. */
  readonly supply: Supply | undefined
}

/** The next step of a flush of handlers, its rank among them, and what the includes around what notified it add. */
export type Supply = () => { readonly step: Step; readonly rank: number; readonly vars?: Frame['vars'] } | undefined

/** What an include holds, for one of its items. */
export interface Opened {
  readonly steps: readonly Step[]
  readonly vars: ReadonlyMap<string, unknown> | undefined
  readonly key: string
}

function rootFrame(steps: readonly Step[]): Frame {
  return {
    steps,
    index: 0,
    block: undefined,
    part: 'root',
    vars: undefined,
    key: '',
    failing: false,
    leaving: false,
    rank: 0,
    opening: undefined,
    supply: undefined,
  }
}

/**
 * Walks through the steps of a section for one host: into blocks, on failure to their rescue and always parts.
 * `docs/state-machine.md` has it as a table.
 */
export class Cursor {
  #frames: Frame[]
  abandoned = false
  /** Only looks ahead; what will be supplied cannot be seen from there. */
  #looks = false

  constructor(steps: readonly Step[]) {
    this.#frames = [rootFrame(steps)]
  }

  /** The step that comes next, blocks opened; undefined at the end, or when a failure left the section. */
  peek(): Exclude<Step, Block> | undefined {
    for (;;) {
      const frame = this.#frames.at(-1)
      if (!frame) return undefined
      const step = frame.steps[frame.index]
      if (!step && frame.supply) {
        const next = this.#looks ? undefined : frame.supply()
        if (next) Object.assign(frame, { steps: [next.step], index: 0, rank: next.rank, vars: next.vars })
        else if (this.#looks || !this.#leave(frame)) return undefined
      } else if (!step) {
        if (!this.#leave(frame)) return undefined
      } else if (step.kind === 'block') {
        this.#frames.push({ ...rootFrame(step.block), block: step, part: 'block' })
      } else return step
    }
  }

  /** The step that `peek` gave has come to its end. */
  advance(): void {
    const frame = this.#frames.at(-1)
    if (frame) frame.index++
  }

  /** Puts what an include holds in the place of the include that `peek` gave: once for each of its items. */
  open(opened: readonly Opened[]): void {
    // It can stand in a block that is still to be opened, where another cursor looked ahead.
    this.peek()
    this.advance()
    // The innermost frame runs first, so the last item goes in first.
    const opening = {}
    for (const [rank, { steps, vars, key }] of [...opened.entries()].toReversed())
      this.#frames.push({ ...rootFrame(steps), vars, key, rank, opening })
  }

  /** Puts what `supply` gives in front of the step that comes next. */
  flush(supply: Supply): void {
    this.#frames.push({ ...rootFrame([]), supply, opening: {} })
  }

  /** A cursor that stands behind all steps of a section, in front of what `supply` gives. */
  static behind(supply: Supply): Cursor {
    const cursor = new Cursor([])
    cursor.#frames[0]!.index = Number.POSITIVE_INFINITY
    cursor.flush(supply)
    return cursor
  }

  /** The frames around the present step: without the items of an include that wait for their turn. */
  get #around(): readonly Frame[] {
    return this.#frames.filter(({ opening }, i) => opening === undefined || opening !== this.#frames[i + 1]?.opening)
  }

  /** Those that it belongs to: a handler has nothing to do with where it was flushed. */
  get #own(): readonly Frame[] {
    const around = this.#around
    return around.slice(
      Math.max(
        0,
        around.findLastIndex((f) => f.supply),
      ),
    )
  }

  /** Variables that the includes around the present step add, innermost winning. */
  get vars(): ReadonlyMap<string, unknown> | undefined {
    const maps = this.#own.flatMap((f) => (f.vars ? [...f.vars] : []))
    return maps.length > 0 ? new Map(maps) : undefined
  }

  /** With a task's id, names one running of it: an include can bring the same task several times. */
  get key(): string {
    return this.#own.map((f) => f.key).join('')
  }

  /** Where the present step stands among all steps that the section can come to; compare with `comparePositions`. */
  get position(): readonly number[] {
    const around = this.#around
    // An include was passed when it was opened.
    return around.flatMap(({ rank, index }, i) => [rank, index - (around[i + 1]?.opening === undefined ? 0 : 1)])
  }

  /** The step that `peek` gave has failed. True when a rescue or always part goes on; else the section is over. */
  fail(): boolean {
    for (let frame = this.#frames.at(-1); frame; frame = this.#frames.at(-1)) {
      const { block } = frame
      if (takes(frame) && block) {
        enter(frame, 'rescue', block.rescue, false)
        return true
      }
      if (block && frame.part !== 'always' && block.always.length > 0) {
        enter(frame, 'always', block.always, true)
        return true
      }
      this.#frames.pop()
    }
    return false
  }

  /** Whether a rescue part would take a failure of the present step. */
  get rescuable(): boolean {
    return this.#frames.some(takes)
  }

  /**
   * The play was stopped by the failure of another host: nothing more runs but the `always` parts of the blocks that have
   * begun. `begun`: the present step has. False when there are none.
   */
  abandon(begun: boolean): boolean {
    this.abandoned = true
    if (!begun) this.#stepBack()
    const always = this.#frames.findIndex((f) => f.part === 'always')
    // What an `always` part has begun it brings to its end, with the rescue parts in it.
    for (const frame of always === -1 ? this.#frames : this.#frames.slice(0, always)) frame.leaving = true
    if (always === -1) return this.fail()
    this.#frames[always]!.failing = true
    return true
  }

  /** Out of the blocks and includes that were opened to find the present step, and of which nothing has run. */
  #stepBack(): void {
    for (let frame = this.#frames.at(-1); frame && frame.index === 0; frame = this.#frames.at(-1)) {
      const { part, opening, rank, supply } = frame
      if (supply || (part !== 'block' && (opening === undefined || rank > 0))) return
      this.#frames.pop()
      if (opening === undefined) continue
      this.#frames = this.#frames.filter((f) => f.opening !== opening)
      this.#frames.at(-1)!.index--
    }
  }

  /** A cursor of its own at the same place, to look ahead with. */
  clone(): Cursor {
    const copy = new Cursor([])
    copy.#looks = true
    copy.#frames = this.#frames.map((frame) => ({ ...frame }))
    return copy
  }

  /** A frame has come to its end: goes on to `always`, or out of the block. False when the section is over. */
  #leave(frame: Frame): boolean {
    const { block } = frame
    if (block && frame.part !== 'always' && block.always.length > 0) {
      enter(frame, 'always', block.always, false)
      return true
    }
    this.#frames.pop()
    if (frame.failing) return this.fail()
    const outer = this.#frames.at(-1)
    if (!outer) return false
    // An include was passed when it was opened; a block is passed now.
    if (block) outer.index++
    return true
  }
}

/** Whether a failure inside goes to the rescue part of this frame's block. */
function takes({ block, part, leaving }: Frame): boolean {
  return !leaving && part === 'block' && block !== undefined && block.rescue.length > 0
}

function enter(frame: Frame, part: Frame['part'], steps: readonly Step[], failing: boolean): void {
  frame.part = part
  frame.steps = steps
  frame.index = 0
  frame.failing = failing
  frame.rank = part === 'rescue' ? 1 : 2
}

/** Orders positions as a host passes them. */
export function comparePositions(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((n, i) => n !== b[i])
  return at === -1 ? a.length - b.length : a[at]! - (b[at] ?? -1)
}
