/** Addresses that our interfaces get after we were started: a bond that came up late, an address that was given anew. */
import { setTimeout as sleep } from 'node:timers/promises'
import { addressesOf, formatIp4, type Ip4, parseIp4 } from './address.ts'

interface Server {
  /** Serves on one more address. */
  listen(address: string): Promise<void>
}

export interface Following {
  /** Addresses that the servers listen on already; those that come later are added. */
  readonly ours: Set<Ip4>
  readonly onTrouble: (message: string) => void
  /** Ends it. */
  readonly signal: AbortSignal
}

/** How often it is looked for them. Milliseconds. */
const LOOKS = 2000

/**
 * DHCP follows its interfaces (udp-transport.ts), and what it sends machines to must be there too. An address that goes needs
 * nothing: its sockets hear again when it is back.
 */
export async function followAddresses(
  interfaces: readonly string[],
  servers: readonly Server[],
  { ours, onTrouble, signal }: Following,
): Promise<void> {
  const listening = servers.map((server) => ({ server, on: new Set([...ours].map(formatIp4)) }))
  const said = new Set<string>()
  for (;;) {
    await sleep(LOOKS, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return
    for (const address of addressesOf(interfaces)) {
      ours.add(parseIp4(address)!)
      for (const { server, on } of listening) {
        if (on.has(address)) continue
        try {
          await server.listen(address)
          on.add(address)
        } catch (error) {
          const { message } = error as Error
          if (!said.has(message)) onTrouble(message)
          said.add(message)
        }
      }
    }
  }
}
