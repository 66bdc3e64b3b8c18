/** One operation at a time on a node, and never more of a group than its budget. */
export { GuardLost, GuardRefused } from './errors.ts'
export type { GuardSettings } from './settings.ts'
export type {
  EnterGuard,
  GuardDependencies,
  GuardEvent,
  GuardRequest,
  Hold,
  Holder,
  InventoryNames,
} from './types.ts'
