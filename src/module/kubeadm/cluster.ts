import { createHash, randomInt, X509Certificate } from 'node:crypto'
import type { KubeObject, KubernetesApi } from '../../shared/kubernetes.ts'
import { TaskFailure } from '../define.ts'

const CONTROL_PLANE_LABEL = 'node-role.kubernetes.io/control-plane'

export function isControlPlane(node: KubeObject): boolean {
  return node.metadata.labels?.[CONTROL_PLANE_LABEL] !== undefined
}

/** The node of this name. */
export function getNode(api: KubernetesApi, name: string): Promise<KubeObject | undefined> {
  return api.get({ apiVersion: 'v1', kind: 'Node', name })
}

/** kubeadm's ClusterConfiguration as the cluster keeps it; undefined before `init` has come that far. */
export async function clusterConfiguration(api: KubernetesApi): Promise<string | undefined> {
  const map = await api.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace: 'kube-system', name: 'kubeadm-config' })
  return (map?.data as Record<string, string> | undefined)?.ClusterConfiguration
}

/** Hashes that a join pins its discovery by: SHA-256 of each authority's public key (cmd/kubeadm/app/util/pubkeypin). */
export function publicKeyPins(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => {
    const key = new X509Certificate(block).publicKey.export({ type: 'spki', format: 'der' })
    return `sha256:${createHash('sha256').update(key).digest('hex')}`
  })
}

/** The pins of a cluster; TaskFailure when its kubeconfig names no authority. */
export function mustPin(api: KubernetesApi): string[] {
  const pins = publicKeyPins(api.authorities ?? '')
  if (pins.length === 0) throw new TaskFailure(`the kubeconfig for ${api.server} names no certificate authority to pin`)
  return pins
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** A bootstrap token, `[a-z0-9]{6}.[a-z0-9]{16}`. */
export function makeToken(): { readonly id: string; readonly secret: string; readonly text: string } {
  const word = (length: number) => Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  const id = word(6)
  const secret = word(16)
  return { id, secret, text: `${id}.${secret}` }
}

/** The Secret that a bootstrap token is (reference/access-authn-authz/bootstrap-tokens), as `kubeadm token create` makes it. */
export function tokenSecret(
  { id, secret }: { readonly id: string; readonly secret: string },
  options: { readonly ttlSeconds: number; readonly description: string; readonly now?: number },
): KubeObject {
  const expiration = new Date((options.now ?? Date.now()) + options.ttlSeconds * 1000)
    .toISOString()
    .replace(/\.\d+/, '')
  const plain = {
    'token-id': id,
    'token-secret': secret,
    description: options.description,
    expiration,
    'usage-bootstrap-authentication': 'true',
    'usage-bootstrap-signing': 'true',
    'auth-extra-groups': 'system:bootstrappers:kubeadm:default-node-token',
  }
  const data = Object.entries(plain).map(([name, value]) => [name, Buffer.from(value).toString('base64')])
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'bootstrap.kubernetes.io/token',
    metadata: { name: `bootstrap-token-${id}`, namespace: 'kube-system' },
    data: Object.fromEntries(data),
  }
}

/** Where the token is kept. */
export function tokenRef(id: string) {
  return { apiVersion: 'v1', kind: 'Secret', namespace: 'kube-system', name: `bootstrap-token-${id}` } as const
}

/** `https://10.0.0.10:6443` -> `10.0.0.10:6443` */
export function endpointOf(server: string): string {
  const { hostname, port } = new URL(server)
  return `${hostname}:${port || '443'}`
}
