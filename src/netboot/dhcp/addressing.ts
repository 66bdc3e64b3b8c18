/** Where a reply goes: RFC 2131 section 4.1. */
import { BROADCAST, type Ip4 } from '../address.ts'
import { MESSAGE } from './options.ts'
import type { Packet } from './packet.ts'

export const SERVER_PORT = 67
export const CLIENT_PORT = 68
/** The PXE boot server's port, which UEFI asks after a proxyDHCP offer (PXE 2.1, section 2.2). */
export const BOOT_SERVER_PORT = 4011

export interface Endpoint {
  readonly address: Ip4
  readonly port: number
}

/**
 * The destination of a reply of type `type` to `request`.
 *
 * A client without an address gets a broadcast even where it says it could take unicast: unicast to an address that
 * it does not have yet needs a forged ARP entry, and every firmware and OS client takes broadcasts.
 */
export function replyTo(request: Packet, type: number): Endpoint {
  if (request.giaddr !== 0) return { address: request.giaddr, port: SERVER_PORT }
  if (type !== MESSAGE.nak && request.ciaddr !== 0) return { address: request.ciaddr, port: CLIENT_PORT }
  return { address: BROADCAST, port: CLIENT_PORT }
}
