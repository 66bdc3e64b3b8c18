import type { Inventory } from '../../inventory/index.ts'
import { inventoryNames } from './budgets.ts'
import { enterGuard } from './enter.ts'
import type { ExitGuard, GuardSettings } from './settings.ts'
import type { GuardDependencies, Hold } from './types.ts'

export interface GuardsOptions extends Omit<GuardDependencies, 'signal'> {
  readonly run: string
  readonly actor: string
  readonly settings: GuardSettings
  readonly inventory: Inventory
  /** See GuardRequest. */
  readonly waitMs?: number | undefined
}

export interface EnterOptions {
  readonly reason?: string | undefined
  /** Ends waiting, and a soak. */
  readonly signal: AbortSignal
  readonly say: (message: string) => void
  /** See GuardRequest. */
  readonly patient?: (() => boolean) | undefined
}

/** The right to work on a node. */
export interface Pass {
  /** Aborts when it is lost. */
  readonly lost: AbortSignal
  /** See Hold.renew. */
  readonly renew: Hold['renew']
  /** See Hold.release. */
  leave(how: ExitGuard, words?: string): Promise<void>
}

/** The guards of one run, for whoever goes through nodes one by one. Throws UserError for a group that is not there. */
export function openGuards(options: GuardsOptions): { enter(node: string, options: EnterOptions): Promise<Pass> } {
  const { run, actor, settings, waitMs, ...dependencies } = options
  const inventory = inventoryNames(settings, options.inventory)
  return {
    async enter(node, { reason, signal, say, patient }) {
      const request = { node, run, actor, reason, settings, inventory, waitMs, patient }
      const hold = await enterGuard(request, { ...dependencies, signal }, ({ message }) => say(message))
      return { lost: hold.signal, renew: hold.renew, leave: hold.release }
    },
  }
}
