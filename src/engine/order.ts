import { randomBytes } from 'node:crypto'
import type { Play } from '../playbook/index.ts'
import type { HostState } from './host.ts'

/** The hosts of a play in the order that its `order` says. */
export function inOrder(play: Play, hosts: HostState[]): HostState[] {
  const byName = (a: HostState, b: HostState) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  if (play.order === 'reverse_inventory') return hosts.toReversed()
  if (play.order === 'sorted') return hosts.toSorted(byName)
  if (play.order === 'reverse_sorted') return hosts.toSorted(byName).toReversed()
  if (play.order === 'shuffle') {
    const keys = new Map(hosts.map((h) => [h, randomBytes(4).readUInt32BE()]))
    return hosts.toSorted((a, b) => keys.get(a)! - keys.get(b)!)
  }
  return hosts
}

/** The batches of a rolling play: each size of `serial` once, the last as often as needed; at least one host each. */
export function batches(play: Pick<Play, 'serial'>, hosts: readonly HostState[]): HostState[][] {
  if (play.serial.length === 0) return hosts.length > 0 ? [[...hosts]] : []
  const all: HostState[][] = []
  for (let at = 0, i = 0; at < hosts.length; i++) {
    const size = play.serial[Math.min(i, play.serial.length - 1)]!
    const count = typeof size === 'number' ? size : Math.floor((hosts.length * size.percent) / 100)
    const batch = hosts.slice(at, at + Math.max(1, count))
    all.push(batch)
    at += batch.length
  }
  return all
}
