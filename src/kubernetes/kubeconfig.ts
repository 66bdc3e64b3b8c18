import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import { UserError } from '../shared/errors.ts'

/** A kubeconfig whose current context names a cluster and a user. */
export interface LoadedKubeconfig {
  readonly config: KubeConfig
  /** URL of the API server. */
  readonly server: string
  /** PEM; see KubernetesApi.authorities. */
  readonly authorities: string | undefined
  /** Keys, tokens and passwords in it, to be kept out of everything that is shown. */
  readonly secrets: readonly string[]
}

/** A kubeconfig from a file of this machine; relative paths in it are taken from its folder. Throws UserError. */
export async function loadKubeconfigFile(path: string): Promise<LoadedKubeconfig> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'does not exist' : `cannot be read (${error.code})`
    throw new UserError({
      message: `the kubeconfig ${path} ${why}`,
      hint: 'fetch it from a control plane: the module `kubeconfig` does so',
    })
  })
  return loadKubeconfig(text, path, dirname(path))
}

/** A kubeconfig from its text; `name` is what it is called in errors. Throws UserError. */
export async function loadKubeconfig(text: string, name: string, folder?: string): Promise<LoadedKubeconfig> {
  // A second of start-up time that only those pay who use it.
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  try {
    config.loadFromString(text)
  } catch (error) {
    throw new UserError(`${name} is not a kubeconfig: ${(error as Error).message.split('\n')[0]}`)
  }
  if (folder !== undefined) config.makePathsAbsolute(folder)
  const cluster = config.getCurrentCluster()
  if (!cluster?.server || !config.getCurrentUser()) {
    const context = config.currentContext
    const contexts = config.contexts.map((c) => c.name).join(', ') || 'none'
    throw new UserError({
      message: `${name}: the current context ${context ? `"${context}" ` : ''}names no cluster and user`,
      hint: `contexts in it: ${contexts}`,
    })
  }
  if (!/^https:\/\//.test(cluster.server))
    throw new UserError(`${name}: the server "${cluster.server}" is not an https URL`)
  return {
    config,
    server: cluster.server.replace(/\/+$/, ''),
    authorities: await authorities(cluster),
    secrets: config.users.flatMap(({ keyData, token, password }) =>
      [keyData, token, password].filter((secret) => secret !== undefined),
    ),
  }
}

async function authorities(cluster: { caData?: string; caFile?: string }): Promise<string | undefined> {
  if (cluster.caData) return Buffer.from(cluster.caData, 'base64').toString('utf8')
  return cluster.caFile === undefined ? undefined : readFile(cluster.caFile, 'utf8')
}
