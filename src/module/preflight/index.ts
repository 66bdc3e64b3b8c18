/** Whether a host can become a node: what to read, and what to say of it. */
import type { Facts, Finding } from './facts.ts'
import type { Seen } from './look.ts'
import { judgeMachine } from './machine.ts'
import { type Asked, judgeSite } from './site.ts'
import type { Wanted } from './wanted.ts'

export { CHECKS, type Check, type Facts, type Finding } from './facts.ts'
export { look, parseSeen, type Seen } from './look.ts'
export type { Asked } from './site.ts'
export { type MirrorToTry, type Peer, versionOf, type Wanted } from './wanted.ts'

/** Everything that stands in the way of the host's becoming what is wanted. */
export function judge(self: string, wanted: Wanted, facts: Facts, seen: Seen, asked: Asked): Finding[] {
  return [...judgeMachine(wanted, facts, seen), ...judgeSite(self, wanted, facts, seen, asked)]
}
