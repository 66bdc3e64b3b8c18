/** What went wrong between us and the API, in words that say what to do. */
import { KubernetesError } from '../shared/kubernetes.ts'

interface Asked {
  readonly method?: string
  readonly path: string
}

/** meta/v1 Status */
interface Status {
  readonly message?: string
  readonly reason?: string
  readonly details?: { readonly causes?: readonly Cause[] }
}

interface Cause {
  readonly reason?: string
  readonly field?: string
  readonly message?: string
}

/** An answer that is no success. */
export function answerError(
  server: string,
  asked: Asked,
  status: number,
  body: unknown,
  retryAfter?: number,
): KubernetesError {
  const { message, reason, details } = (typeof body === 'object' && body !== null ? body : {}) as Status
  const text =
    message ?? (typeof body === 'string' && body.trim() !== '' ? body.trim().slice(0, 500) : 'no reason given')
  const causes = (details?.causes ?? []).flatMap((cause) => (cause.message ? [cause.message] : []))
  // A budget that forbids an eviction is named in the causes only.
  const more = causes.filter((cause) => !text.includes(cause))
  const said = [text, ...more].join('; ')
  const what = `${asked.method ?? 'GET'} ${asked.path}`
  return new KubernetesError(`the API at ${server} answered ${status} to ${what}: ${said}`, {
    status,
    reason,
    conflicts: (details?.causes ?? []).flatMap(fieldConflict),
    hint: hintFor(status),
    answer: { message: text, causes: details?.causes ?? [] },
    retryAfter,
  })
}

/** `conflict with "kubectl" using apps/v1` (structured-merge-diff's words). */
function fieldConflict({ reason, field = '', message = '' }: Cause): { field: string; manager: string }[] {
  if (reason !== 'FieldManagerConflict') return []
  return [{ field, manager: /^conflict with "([^"]*)"/.exec(message)?.[1] ?? message }]
}

function hintFor(status: number): string | undefined {
  if (status === 401)
    return 'the kubeconfig’s certificate or token is not accepted: it has expired (kubeadm certs check-expiration), or it is of another cluster'
  if (status === 403) return 'the kubeconfig’s user may not do that: use an administrator’s, or give it a role'
  if (status === 429 || status === 503) return 'the API server is overloaded or starting; try again'
  return undefined
}

const CODES: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  ECONNREFUSED: [
    'the connection is refused',
    'the API server is not running there: look at kubelet and at crictl ps on the control plane',
  ],
  EHOSTUNREACH: ['there is no way to the host', 'is it powered on? Does a control plane hold the virtual IP?'],
  ENETUNREACH: ['there is no way to the network', 'the API has to be reachable from this machine'],
  ENOTFOUND: ['the name is not known here', 'let this machine resolve it, or name a kubeconfig with an address'],
  EAI_AGAIN: [
    'the name cannot be resolved at the moment',
    'let this machine resolve it, or name a kubeconfig with an address',
  ],
  ECONNRESET: ['the connection was cut', 'the API server or a load balancer before it is restarting; try again'],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    'its certificate is not signed by the kubeconfig’s authority',
    'the kubeconfig is of another cluster',
  ],
  SELF_SIGNED_CERT_IN_CHAIN: [
    'its certificate is not signed by the kubeconfig’s authority',
    'the kubeconfig is of another cluster',
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    'its certificate is not signed by the kubeconfig’s authority',
    'the kubeconfig is of another cluster',
  ],
  CERT_HAS_EXPIRED: [
    'its certificate has expired',
    'kubeadm certs renew all on the control plane, then restart its static pods',
  ],
  CERT_NOT_YET_VALID: ['its certificate is not valid yet', 'compare the clocks of this machine and the control plane'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'its certificate is for other names',
    'add the name to apiServer.certSANs, or use another address',
  ],
}

/** No answer at all. `waitedMs` when time was up. */
export function connectionError(server: string, error: unknown, waitedMs: number | undefined): KubernetesError {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (waitedMs !== undefined) {
    return new KubernetesError(`the API at ${server} does not answer (waited ${waitedMs / 1000} s)`, {
      cause: error,
      hint: 'is a control plane powered on, does one hold the virtual IP, does a firewall drop the port?',
    })
  }
  const [what, hint] = CODES[code] ?? [message || code, undefined]
  return new KubernetesError(`the API at ${server} cannot be reached: ${what}`, { cause: error, hint })
}
