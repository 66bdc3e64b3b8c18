/** One of two runners that race for the same nodes; told what to do by its parent. */
import { setTimeout as sleep } from 'node:timers/promises'
import { loadKubeconfigFile, openCluster } from '../../../src/kubernetes/index.ts'
import { enterGuard } from '../../../src/maintenance/guards/index.ts'
import type { GuardSettings } from '../../../src/maintenance/guards/settings.ts'

export interface Order {
  readonly run: string
  readonly nodes: readonly string[]
  readonly all: readonly string[]
  readonly settings: GuardSettings
  /** Milliseconds that the lock of a node is held. */
  readonly holdMs: number
}

/** `at`: CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share. */
export type Said =
  | { readonly type: 'ready' | 'done' }
  | { readonly type: 'in' | 'out'; readonly node: string; readonly token: number; readonly at: string }
  | { readonly type: 'event'; readonly kind: string; readonly message: string }
  | { readonly type: 'failed'; readonly node: string; readonly message: string }

/** A kubeconfig; or, for plain hosts, a folder. */
const [, , place = ''] = process.argv
const isCluster = place.endsWith('kubeconfig')
const transport = isCluster ? openCluster(await loadKubeconfigFile(place)).transport : undefined
const say = (said: Said): void => void process.send!(said)
const now = (): string => process.hrtime.bigint().toString()
const { signal } = new AbortController()

process.on('message', async ({ run, nodes, all, settings, holdMs }: Order) => {
  await Promise.all(
    nodes.map(async (node) => {
      try {
        const request = { node, run, actor: 'test', settings, inventory: { hosts: all, groups: {} }, waitMs: 120_000 }
        const dependencies = { transport, folder: place, connect: async () => undefined, signal }
        const hold = await enterGuard(request, dependencies, ({ type, message }) =>
          say({ type: 'event', kind: type, message }),
        )
        const { token } = hold
        say({ type: 'in', node, token, at: now() })
        let last = now()
        for (let waited = 0; waited < holdMs; waited += 20) {
          await sleep(20)
          await hold.renew()
          last = now()
        }
        say({ type: 'out', node, token, at: last })
        await hold.release('back')
      } catch (error) {
        say({ type: 'failed', node, message: (error as Error).message })
      }
    }),
  )
  say({ type: 'done' })
})
say({ type: 'ready' })
