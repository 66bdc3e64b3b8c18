/**
 * Etcd's own word on its quorum. Asked over SSH on a control plane that stays up, at etcd's client port, with the health
 * check's certificate that kubeadm makes: so the keys stay where they are, nothing but 22/tcp has to be open to the
 * runbook, and the answer does not depend on the API server, on the container runtime or on etcdctl being there. Done
 * with curl, or with openssl, whichever the host has.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import type { Shell } from '../../session/session.ts'
import { quote } from '../../shared/quote.ts'
import type { NodeView } from './nodes.ts'
import type { GuardSettings } from './settings.ts'

export interface Member {
  readonly name: string
  /** Hosts of its peer and client URLs. */
  readonly hosts: readonly string[]
  readonly learner: boolean
  /** Why it is not healthy, in words. */
  readonly trouble: string | undefined
}

export interface EtcdState {
  readonly members: readonly Member[]
}

/** Nobody who could be asked answered with sense. */
export class EtcdSilent extends Error {}

const MEMBERS = z.object({
  members: z
    .array(
      z.object({
        name: z.string().default(''),
        peerURLs: z.array(z.string()).default([]),
        clientURLs: z.array(z.string()).default([]),
        isLearner: z.boolean().default(false),
      }),
    )
    .min(1)
    .max(100),
})

/** Seconds for one request; a member that is off answers never. */
const REQUEST_S = 5

/** Asks the etcd member of a host for all members, and each of them for its health. Throws EtcdSilent, SessionError. */
export async function askEtcd(
  shell: Shell,
  { pki, port }: GuardSettings['etcd'],
  signal?: AbortSignal,
): Promise<EtcdState> {
  const run = async (requests: readonly Request[]): Promise<string[]> => {
    const { rc, stdout, stderr } = await shell.run(etcdScript(pki, requests), { signal, timeoutMs: 60_000 })
    if (rc !== 0) throw new EtcdSilent(stderr.toString().trim().split('\n').at(-1) || `the script ended with ${rc}`)
    const parts = stdout.toString().split(`${MARK}\n`)
    return requests.map((_, i) => parts[i]?.trim() ?? '')
  }
  const [listed = ''] = await run([{ url: `https://127.0.0.1:${port}/v3/cluster/member/list`, body: '{}' }])
  const { data } = MEMBERS.safeParse(json(listed))
  if (!data) throw new EtcdSilent(`etcd does not list its members: ${listed.slice(0, 200) || 'no answer'}`)
  const urls = data.members.map(({ clientURLs }) => clientURLs.find((url) => safeUrl(url)))
  const asked = [...new Set(urls.filter((url) => url !== undefined))]
  const answers = await run(asked.map((url) => ({ url: `${url.replace(/\/+$/, '')}/health` })))
  return {
    members: data.members.map(({ name, peerURLs, clientURLs, isLearner }, i) => ({
      name,
      hosts: [...new Set([...peerURLs, ...clientURLs].flatMap((url) => hostOf(url) ?? []))],
      learner: isLearner,
      trouble: urls[i] === undefined ? 'it has not started yet' : healthTrouble(answers[asked.indexOf(urls[i])] ?? ''),
    })),
  }
}

/** etcd's /health: a read through the quorum, and its alarms; `health` is a text there. */
function healthTrouble(answer: string): string | undefined {
  const { health, reason } = (json(answer) ?? {}) as { health?: unknown; reason?: unknown }
  if (health === 'true' || health === true) return undefined
  const line = answer.trim().split('\n').at(-1) ?? ''
  return typeof reason === 'string' && reason !== '' ? reason : line.slice(0, 200) || 'it does not answer'
}

/**
 * Why a node cannot be taken down for etcd's sake; undefined when it can, or is no member. `down` are nodes that are out of
 * service or worked on: etcd may still call a member healthy whose node is about to go.
 */
export function etcdRefusal(
  { members }: EtcdState,
  node: Pick<NodeView, 'name' | 'addresses'>,
  down: ReadonlyMap<string, string>,
  nodes: readonly Pick<NodeView, 'name' | 'addresses'>[],
): { readonly message: string; readonly passes: boolean } | undefined {
  const isOn = (member: Member, one: Pick<NodeView, 'name' | 'addresses'>): boolean =>
    member.name === one.name || member.hosts.some((host) => one.addresses.includes(host))
  const others = members.filter((member) => !isOn(member, node))
  if (others.length === members.length || members.length === 1) return undefined
  if (members.length === 2)
    return {
      passes: false,
      message: `etcd has two members: it cannot write without ${node.name}, and may never again if that does not come back; add a third`,
    }
  const learner = others.find((one) => one.learner)
  if (learner) return { passes: true, message: `etcd's member ${nameOf(learner)} is still joining (a learner)` }
  const sick = others.filter(({ trouble }) => trouble !== undefined)
  if (sick.length > 0) {
    const words = sick.map((member) => `${nameOf(member)} (${member.trouble})`).join(', ')
    return { passes: true, message: `etcd has members that are not healthy: ${words}` }
  }
  const away = others.filter((member) => nodes.some((one) => down.has(one.name) && isOn(member, one)))
  const quorum = Math.floor(members.length / 2) + 1
  const left = others.length - away.length
  if (left >= quorum) return undefined
  const names = away.map(nameOf).join(', ')
  return {
    passes: true,
    message: `etcd needs ${quorum} of ${members.length} members, and without ${node.name} and ${names} (out of service) ${left} would be left`,
  }
}

function nameOf({ name, hosts }: Member): string {
  return name || hosts[0] || 'without a name'
}

export interface Request {
  readonly url: string
  /** JSON, sent with POST. */
  readonly body?: string
}

const MARK = '---runbook-etcd---'

/** Makes requests one after another; after each answer, or the words of what failed, stands a line MARK. */
export function etcdScript(pki: string, requests: readonly Request[]): string {
  return [
    `cd ${quote(pki)} || { echo "there is no folder ${pki.replaceAll(/[^\w./-]/g, '?')}: is this a control plane with an etcd of its own?" >&2; exit 3; }`,
    'for f in ca.crt healthcheck-client.crt healthcheck-client.key; do [ -r "$f" ] || { echo "$PWD/$f cannot be read" >&2; exit 3; }; done',
    'if command -v curl >/dev/null; then',
    '  post() { set -- "$1" "$2" "$3" "$4" "$5"; if [ -n "$5" ]; then curl_ -H "content-type: application/json" -d "$5" "$1"; else curl_ "$1"; fi; }',
    `  curl_() { curl -gsS -m ${REQUEST_S} --noproxy '*' --cacert ca.crt --cert healthcheck-client.crt --key healthcheck-client.key "$@" 2>&1; }`,
    'elif command -v openssl >/dev/null; then',
    // HTTP/1.0: the answer ends with the connection. -quiet keeps s_client until then.
    '  post() {',
    '    if [ -n "$5" ]; then m=POST; else m=GET; fi',
    `    printf '%s %s HTTP/1.0\\r\\nHost: %s\\r\\nContent-Type: application/json\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "$m" "$4" "$2" "\${#5}" "$5" |`,
    `    timeout ${REQUEST_S} openssl s_client -quiet -verify_quiet -verify_return_error $3 -connect "$2" -CAfile ca.crt -cert healthcheck-client.crt -key healthcheck-client.key 2>&1 | sed '1,/^.\\{0,1\\}$/d'`,
    '  }',
    'else echo "neither curl nor openssl is there to ask etcd with" >&2; exit 3; fi',
    ...requests.map(({ url, body = '' }) => {
      const { hostname, port, pathname } = new URL(url)
      const bare = hostname.replace(/^\[|\]$/g, '')
      const verify = isIP(bare) ? `-verify_ip ${bare}` : `-verify_hostname ${bare}`
      return `post ${[url, `${hostname}:${port || '443'}`, verify, pathname, body].map(quote).join(' ')}; echo; echo ${MARK}`
    }),
  ].join('\n')
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What etcd says goes into a script of ours and onto a command line. */
function safeUrl(url: string): boolean {
  return /^https:\/\/(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?\/?$/.test(url) && URL.canParse(url)
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : undefined
}
