/**
 * What a client needs of ssh2. The package's own index also loads a server and agents for HTTP, with them TLS, and with that
 * every certificate of NODE_EXTRA_CA_CERTS.
 */
import type ssh2 from 'ssh2'
// @ts-expect-error: the package's types are of its index alone
import agent from 'ssh2/lib/agent.js'
// @ts-expect-error: the same
import client from 'ssh2/lib/client.js'
// @ts-expect-error: the same
import keys from 'ssh2/lib/protocol/keyParser.js'

export const Client = client as typeof ssh2.Client
export const { OpenSSHAgent } = agent as Pick<typeof ssh2, 'OpenSSHAgent'>
export const { parseKey } = keys as Pick<typeof ssh2.utils, 'parseKey'>
