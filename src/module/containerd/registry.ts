import { stringify } from 'smol-toml'

/** Another place to pull a registry's images from. */
export interface Mirror {
  readonly url: string
  /** What it is asked for: pull, resolve, push. */
  readonly capabilities: readonly string[]
  readonly skipVerify: boolean
  /** Path on the host of the certificate authority. */
  readonly ca?: string | undefined
  /** The URL is the whole path to the API (`https://mirror/v2/docker.io`), not only where `/v2` stands. */
  readonly overridePath: boolean
  readonly username?: string | undefined
  readonly password?: string | undefined
}

export interface Registry {
  /** Where the registry itself is, when no mirror answers; undefined: `https://` and its name. */
  readonly server?: string | undefined
  readonly mirrors: readonly Mirror[]
}

/** The path of a registry's hosts.toml: `certs.d/docker.io/hosts.toml`; `_default` means all others. */
export function hostsPath(certsDir: string, registry: string): string {
  return `${certsDir}/${registry}/hosts.toml`
}

/** hosts.toml of a registry (containerd's docs/hosts.md). containerd reads it at each pull: no restart. */
export function renderHosts(registry: Registry): string {
  const host = Object.fromEntries(
    registry.mirrors.map((m) => [
      m.url,
      {
        capabilities: m.capabilities,
        ...(m.skipVerify ? { skip_verify: true } : {}),
        ...(m.ca === undefined ? {} : { ca: m.ca }),
        ...(m.overridePath ? { override_path: true } : {}),
        ...(m.username === undefined ? {} : { header: { Authorization: basic(m.username, m.password ?? '') } }),
      },
    ]),
  )
  const server = registry.server === undefined ? {} : { server: registry.server }
  return `# Written by runbook; changes made here are lost.\n${stringify({ ...server, host })}\n`
}

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
