/** A cluster with leases, and requests to enter it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { REAL_CLOCK } from '../../../src/kubernetes/drain/clock.ts'
import type { GuardDependencies, GuardEvent, GuardRequest, Hold } from '../../../src/maintenance/guards/index.ts'
import { enterGuard } from '../../../src/maintenance/guards/index.ts'
import { GUARDS_SCHEMA, type GuardSettings } from '../../../src/maintenance/guards/settings.ts'
import { World } from '../../kubernetes/drain/world.ts'
import { Leases } from './leases.ts'

export function settings(given: object = {}, leaseMs = 2000): GuardSettings {
  const parsed = GUARDS_SCHEMA.parse(given)
  return { ...parsed, lease: { ...parsed.lease, duration: leaseMs } }
}

export interface NodeOptions {
  readonly labels?: Record<string, string>
  readonly addresses?: readonly string[]
  readonly machineID?: string
  readonly ready?: boolean
  readonly cordoned?: boolean
  readonly annotations?: Record<string, string>
}

export function addNode(world: World, name: string, options: NodeOptions = {}): void {
  const {
    labels = {},
    addresses = [],
    machineID = `machine-${name}`,
    ready = true,
    cordoned = false,
    annotations,
  } = options
  world.node(name, { ready, unschedulable: cordoned, ...(annotations ? { annotations } : {}) })
  const node = world.nodes.get(name)!
  const status = {
    ...node.status,
    addresses: addresses.map((address) => ({ type: 'InternalIP', address })),
    nodeInfo: { machineID },
  }
  world.nodes.set(name, { ...node, metadata: { ...node.metadata, labels }, status })
}

export class Site {
  readonly world = new World()
  readonly leases = new Leases(this.world)
  readonly events: GuardEvent[] = []
  readonly stop = new AbortController()
  readonly holds: Hold[] = []
  readonly folder: string

  constructor(t: Test, names: readonly string[] = []) {
    this.folder = mkdtempSync(join(tmpdir(), 'runbook-guards-'))
    t.teardown(async () => {
      this.leases.cut = () => undefined
      for (const hold of this.holds) await hold.release('untouched')
      this.stop.abort(new Error('the test is over'))
      rmSync(this.folder, { recursive: true, force: true })
    })
    for (const name of names) addNode(this.world, name)
  }

  get messages(): string {
    return this.events.map(({ type, message }) => `${type}: ${message}`).join('\n')
  }

  dependencies(more: Partial<GuardDependencies> = {}): GuardDependencies {
    return {
      transport: this.world.transport(REAL_CLOCK),
      folder: this.folder,
      connect: async () => undefined,
      signal: this.stop.signal,
      ...more,
    }
  }

  request(node: string, more: Partial<GuardRequest> = {}): GuardRequest {
    return {
      node,
      run: 'run-1',
      actor: 'alice',
      settings: settings(),
      inventory: { hosts: [...this.world.nodes.keys()], groups: {} },
      waitMs: 0,
      ...more,
    }
  }

  async enter(
    node: string,
    more: Partial<GuardRequest> = {},
    dependencies: Partial<GuardDependencies> = {},
  ): Promise<Hold> {
    const onEvent = (event: GuardEvent): number => this.events.push(event)
    const hold = await enterGuard(this.request(node, more), this.dependencies(dependencies), onEvent)
    this.holds.push(hold)
    return hold
  }

  /** The ledger as it stands. */
  get ledger(): { last: number; entries: Record<string, unknown>[]; broken: Record<string, unknown>[] } {
    const lease = this.leases.all.get('runbook-guards')
    return JSON.parse(lease?.metadata.annotations?.['runbook/locks'] ?? '{"last":0,"entries":[],"broken":[]}')
  }

  /** As if the holder of a node ran on another machine: whether it lives can only be told by watching. */
  elsewhere(node: string): void {
    const lease = this.leases.all.get('runbook-guards')!
    const { entries, ...rest } = this.ledger
    const moved = entries.map((one) =>
      one.node === node ? { ...one, machine: 'ctl-2', process: 'pid:[1] ["ctl-2",1,"boot/1"]' } : one,
    )
    const annotations = { 'runbook/locks': JSON.stringify({ ...rest, entries: moved }) }
    this.leases.all.set('runbook-guards', { ...lease, metadata: { ...lease.metadata, annotations } })
  }
}
