/** maintenance.yml as it is in force: what was read last and could be. */
import { UserError } from '../../shared/errors.ts'
import type { Clock } from './clock.ts'
import type { Schedule } from './schema.ts'

/** How often an inventory is asked again that could not be read: a program that asks a server which is away. Milliseconds. */
const AGAIN = 60_000

export class ScheduleReader {
  readonly #load: () => Promise<Schedule>
  readonly #clock: Clock
  readonly #tell: (trouble: string) => void
  /** When the inventory is asked again. */
  #again = Infinity
  /** What was wrong the last time. */
  #told: ReadonlySet<string> = new Set()
  schedule: Schedule = { windows: [], channels: new Map(), bad: [] }
  /** Why what is on the disk is not what is in force. */
  trouble: string | undefined

  /** `load` throws UserError; `tell` is told what is wrong, of an inventory that stays away once. */
  constructor(load: () => Promise<Schedule>, clock: Clock, tell: (trouble: string) => void) {
    this.#load = load
    this.#clock = clock
    this.#tell = tell
  }

  /** Whether it is to be read again without anybody asking for it. */
  get isDue(): boolean {
    return this.#clock.now() >= this.#again
  }

  /** False when what was read before stands. */
  async read(): Promise<boolean> {
    const before = this.isDue ? this.#told : new Set<string>()
    const wrong: string[] = []
    const taken = await this.#take(wrong)
    this.#told = new Set(wrong)
    for (const text of wrong) if (!before.has(text)) this.#tell(text)
    return taken
  }

  async #take(wrong: string[]): Promise<boolean> {
    const hasWindows = this.schedule.windows.length > 0
    this.#again = Infinity
    try {
      const read = await this.#load()
      const { noInventory, bad } = read
      if (noInventory) this.#again = this.#clock.now() + AGAIN
      // One that is away for a moment takes no windows with it.
      if (noInventory && hasWindows) throw new UserError(noInventory)
      this.schedule = read
      this.trouble = undefined
      for (const { name, problems } of bad)
        wrong.push(`${name} is left out: ${new UserError(problems).message.split('\n')[0]}`)
      return true
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      this.trouble = error.message
      const what = this.#again === Infinity ? 'maintenance.yml' : 'the inventory'
      wrong.push(`${what} cannot be read, what was read before stands: ${error.message.split('\n')[0]}`)
      return false
    }
  }
}
