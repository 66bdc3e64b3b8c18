import { readFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import { dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { UserError } from '../shared/errors.ts'

/** A kubeconfig whose current context names a cluster and a user. */
export interface LoadedKubeconfig {
  /** URL of the API server. */
  readonly server: string
  /** PEM; see KubernetesApi.authorities. */
  readonly authorities: string | undefined
  /** Keys, tokens and passwords in it, to be kept out of everything that is shown. */
  readonly secrets: readonly string[]
  /** What a request needs to be let in; with an agent only where it goes through a proxy. Exec plugins give others in time. */
  credentials(): Promise<RequestOptions>
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

type Entry = Readonly<Record<string, unknown>>
type Named = { readonly name?: unknown } & Readonly<Record<'cluster' | 'user' | 'context', Entry | undefined>>

/** A kubeconfig from its text; `name` is what it is called in errors. Throws UserError. */
export async function loadKubeconfig(text: string, name: string, folder?: string): Promise<LoadedKubeconfig> {
  const config = parseConfig(text, name)
  const current = config['current-context']
  const context = find(config.contexts, 'context', current)
  const cluster = find(config.clusters, 'cluster', context?.cluster)
  const user = find(config.users, 'user', context?.user)
  if (!cluster?.server || !user) {
    const contexts = list(config.contexts).map((c) => String(c.name))
    throw new UserError({
      message: `${name}: the current context ${current ? `"${current}" ` : ''}names no cluster and user`,
      hint: `contexts in it: ${contexts.join(', ') || 'none'}`,
    })
  }
  const server = String(cluster.server)
  if (!/^https:\/\//.test(server)) throw new UserError(`${name}: the server "${server}" is not an https URL`)
  const pem = (data: string, file: string, of: Entry) => readPem(of[data], of[file], name, folder)
  const authorities = await pem('certificate-authority-data', 'certificate-authority', cluster)
  return {
    server: server.replace(/\/+$/, ''),
    authorities,
    secrets: list(config.users).flatMap(({ user: one }) =>
      [one?.['client-key-data'], one?.token, one?.password].flatMap((s) => (s === undefined ? [] : [String(s)])),
    ),
    credentials: isPlain(cluster, user)
      ? await plainCredentials(cluster, user, authorities, pem)
      : await libraryCredentials(text, name, folder),
  }
}

function parseConfig(text: string, name: string): Entry {
  let config: unknown
  try {
    config = parse(text)
  } catch (error) {
    throw new UserError(`${name} is not a kubeconfig: ${(error as Error).message.split('\n')[0]}`)
  }
  if (typeof config !== 'object' || config === null)
    throw new UserError(`${name} is not a kubeconfig: it is no mapping`)
  return config as Entry
}

function list(of: unknown): readonly Named[] {
  return Array.isArray(of) ? of.filter((one) => typeof one === 'object' && one !== null) : []
}

function find(all: unknown, kind: 'cluster' | 'user' | 'context', name: unknown): Entry | undefined {
  const found = list(all).find((one) => one.name === name && name !== undefined)
  // A user without anything is one that the API server knows by other means.
  return found && (found[kind] ?? {})
}

/** The inline form stands above the file (client-go, tools/clientcmd/api/types.go). */
async function readPem(data: unknown, file: unknown, name: string, folder = '.'): Promise<string | undefined> {
  if (data) return Buffer.from(String(data), 'base64').toString('utf8')
  if (!file) return undefined
  const path = resolve(folder, String(file))
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new UserError(`${name} names ${path}, which cannot be read: ${error.message}`)
  })
}

/** What a user may have that we send ourselves. */
const PLAIN = new Set([
  ...['client-certificate', 'client-certificate-data', 'client-key', 'client-key-data'],
  ...['token', 'username', 'password'],
])

/**
 * Loading the library costs 0.6 s of processor time and 90 MB, in every command that looks at a cluster. A certificate, a
 * token or a password needs none of it; exec plugins, OIDC, impersonation and proxies are its business.
 */
function isPlain(cluster: Entry, user: Entry): boolean {
  return cluster['proxy-url'] === undefined && Object.keys(user).every((key) => PLAIN.has(key))
}

async function plainCredentials(
  cluster: Entry,
  user: Entry,
  ca: string | undefined,
  pem: (data: string, file: string, of: Entry) => Promise<string | undefined>,
): Promise<LoadedKubeconfig['credentials']> {
  const cert = await pem('client-certificate-data', 'client-certificate', user)
  const key = await pem('client-key-data', 'client-key', user)
  const servername = cluster['tls-server-name']
  const { token, username, password } = user
  const options: RequestOptions = {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(cluster['insecure-skip-tls-verify'] === true && { rejectUnauthorized: false }),
    ...(servername ? { servername: String(servername) } : {}),
    ...(token
      ? { headers: { Authorization: `Bearer ${token}` } }
      : username
        ? { auth: `${username}:${password}` }
        : {}),
  }
  return async () => options
}

async function libraryCredentials(
  text: string,
  name: string,
  folder: string | undefined,
): Promise<LoadedKubeconfig['credentials']> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  try {
    config.loadFromString(text)
  } catch (error) {
    throw new UserError(`${name} is not a kubeconfig: ${(error as Error).message.split('\n')[0]}`)
  }
  if (folder !== undefined) config.makePathsAbsolute(folder)
  const proxied = config.getCurrentCluster()?.proxyUrl !== undefined
  return async () => {
    const options: RequestOptions = {}
    try {
      await config.applyToHTTPSOptions(options)
    } catch (error) {
      // A program that gives credentials is missing or refuses, a token file cannot be read.
      throw new UserError({
        message: `${name} gives no credentials: ${(error as Error).message.trim()}`,
        hint: 'does `kubectl auth whoami` work with it?',
      })
    }
    // Its agent makes a connection a request.
    if (!proxied) delete options.agent
    return options
  }
}
