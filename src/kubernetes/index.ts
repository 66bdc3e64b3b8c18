/** Work with the API of a cluster. Knows nothing of playbooks, hosts and the engine. */

export { Cluster, openCluster } from './api.ts'
export { FIELD_MANAGER } from './apply.ts'
export { type LoadedKubeconfig, loadKubeconfig, loadKubeconfigFile } from './kubeconfig.ts'
export { parseManifest } from './manifest.ts'
export type { ApiRequest, Transport } from './transport.ts'
