/** One operation at a time on a node, and never more of a group than its budget. */
export { inventoryNames } from './budgets.ts'
export { enterGuard } from './enter.ts'
export { GuardLost, GuardRefused } from './errors.ts'
export { type EnterOptions, type GuardsOptions, openGuards, type Pass } from './open.ts'
export { giveBackNodes, holdNodes, mustBeFree } from './people.ts'
export type { GuardSettings } from './settings.ts'
export { openSiteGuards, type SiteGuards, type SiteOptions } from './site.ts'
export type {
  EnterGuard,
  GuardDependencies,
  GuardEvent,
  GuardRequest,
  Hold,
  Holder,
  InventoryNames,
} from './types.ts'
