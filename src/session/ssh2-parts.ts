/**
 * What a client needs of ssh2. The package's own index also loads a server and agents for HTTP, with them TLS, and with that
 * every certificate of NODE_EXTRA_CA_CERTS.
 */
import { createRequire } from 'node:module'
import type ssh2 from 'ssh2'

const load = createRequire(import.meta.url)

export const Client = load('ssh2/lib/client.js') as typeof ssh2.Client
export const { OpenSSHAgent } = load('ssh2/lib/agent.js') as Pick<typeof ssh2, 'OpenSSHAgent'>
export const { parseKey } = load('ssh2/lib/protocol/keyParser.js') as Pick<typeof ssh2.utils, 'parseKey'>
