import { stringify } from 'yaml'
import { configApi, type Version } from './version.ts'

export interface InitOptions {
  readonly kubeadm: Version
  readonly version: string
  readonly nodeName: string
  readonly advertiseAddress?: string | undefined
  readonly bindPort: number
  /** `HOST:PORT` */
  readonly endpoint: string
  readonly criSocket: string
  readonly podSubnet?: string | undefined
  readonly serviceSubnet?: string | undefined
  readonly dnsDomain?: string | undefined
  readonly imageRepository?: string | undefined
  readonly certSans: readonly string[]
  readonly kubeletExtraArgs: Readonly<Record<string, string>>
  readonly ignorePreflightErrors: readonly string[]
  readonly skipPhases: readonly string[]
  /** Merged over the documents of their kinds. */
  readonly clusterConfiguration?: Readonly<Record<string, unknown>> | undefined
  /** Whole documents of other APIs: KubeletConfiguration, KubeProxyConfiguration. */
  readonly documents: readonly Readonly<Record<string, unknown>>[]
}

/** The token that `kubeadm init` makes whether one wants it or not is of no use later: each join gets one of its own. */
const INIT_TOKEN_TTL = '15m0s'

/** Configuration for `kubeadm init`. */
export function initConfig(o: InitOptions): string {
  const apiVersion = configApi(o.kubeadm)
  const init = {
    apiVersion,
    kind: 'InitConfiguration',
    bootstrapTokens: [{ ttl: INIT_TOKEN_TTL }],
    localAPIEndpoint: compact({ advertiseAddress: o.advertiseAddress, bindPort: o.bindPort }),
    nodeRegistration: registration(o),
    ...(o.skipPhases.length > 0 ? { skipPhases: o.skipPhases } : {}),
  }
  const cluster = {
    apiVersion,
    kind: 'ClusterConfiguration',
    kubernetesVersion: o.version,
    controlPlaneEndpoint: o.endpoint,
    ...compact({ imageRepository: o.imageRepository }),
    networking: compact({ podSubnet: o.podSubnet, serviceSubnet: o.serviceSubnet, dnsDomain: o.dnsDomain }),
    ...(o.certSans.length > 0 ? { apiServer: { certSANs: o.certSans } } : {}),
  }
  return documents(init, merge(cluster, o.clusterConfiguration ?? {}), ...o.documents)
}

export interface JoinOptions {
  readonly kubeadm: Version
  readonly nodeName: string
  readonly endpoint: string
  readonly token: string
  /** `sha256:HEX` of the authorities' public keys. */
  readonly caCertHashes: readonly string[]
  readonly criSocket: string
  readonly kubeletExtraArgs: Readonly<Record<string, string>>
  readonly taints?: readonly unknown[] | undefined
  readonly ignorePreflightErrors: readonly string[]
  readonly controlPlane?:
    | { readonly advertiseAddress?: string | undefined; readonly bindPort: number; readonly certificateKey: string }
    | undefined
}

/** Configuration for `kubeadm join`; holds secrets. */
export function joinConfig(o: JoinOptions): string {
  const bootstrapToken = { apiServerEndpoint: o.endpoint, token: o.token, caCertHashes: o.caCertHashes }
  return documents({
    apiVersion: configApi(o.kubeadm),
    kind: 'JoinConfiguration',
    discovery: { bootstrapToken },
    nodeRegistration: registration(o),
    ...(o.controlPlane
      ? {
          controlPlane: {
            localAPIEndpoint: compact({
              advertiseAddress: o.controlPlane.advertiseAddress,
              bindPort: o.controlPlane.bindPort,
            }),
            certificateKey: o.controlPlane.certificateKey,
          },
        }
      : {}),
  })
}

/** Configuration for `kubeadm init phase upload-certs`: the cluster's own, and the key; holds a secret. */
export function uploadCertsConfig(kubeadm: Version, clusterConfiguration: string, certificateKey: string): string {
  const init = { apiVersion: configApi(kubeadm), kind: 'InitConfiguration', certificateKey }
  return `${clusterConfiguration.trimEnd()}\n---\n${documents(init)}`
}

/** nodeRegistration; v1beta4 made a list of the map of kubelet's arguments, so that one may be given twice. */
function registration(o: InitOptions | JoinOptions): Record<string, unknown> {
  const entries = Object.entries(o.kubeletExtraArgs)
  const isList = configApi(o.kubeadm) === 'kubeadm.k8s.io/v1beta4'
  const kubeletExtraArgs = isList ? entries.map(([name, value]) => ({ name, value })) : o.kubeletExtraArgs
  return {
    name: o.nodeName,
    criSocket: o.criSocket,
    ...(entries.length > 0 ? { kubeletExtraArgs } : {}),
    ...('taints' in o && o.taints !== undefined ? { taints: o.taints } : {}),
    ...(o.ignorePreflightErrors.length > 0 ? { ignorePreflightErrors: o.ignorePreflightErrors } : {}),
  }
}

function documents(...all: readonly object[]): string {
  return all.map((one) => stringify(one, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n')
}

/** Without what is undefined. */
function compact(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined))
}

/** Maps are merged, everything else is replaced. */
function merge(
  base: Readonly<Record<string, unknown>>,
  over: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(over))
    merged[name] = isMap(value) && isMap(merged[name]) ? merge(merged[name], value) : value
  return merged
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
