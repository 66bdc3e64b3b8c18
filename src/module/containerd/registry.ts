import { stringify } from 'smol-toml'
import { z } from 'zod'
import * as args from '../args.ts'

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

/** Where containerd asks a mirror: the URL with `/v2` behind it, unless that is there or not wanted (its docs/hosts.md). */
export function apiOf({ url, overridePath }: Pick<Mirror, 'url' | 'overridePath'>): string {
  const root = url.replace(/\/+$/, '')
  return `${overridePath || root.endsWith('/v2') ? root : `${root}/v2`}/`
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

const httpUrl = z.string().regex(/^https?:\/\/[^\s"\\]+$/, 'must be a http or https URL')

const mirror = z
  .union([httpUrl.transform((url) => ({ url })), z.strictObject({ url: httpUrl }).loose()])
  .pipe(
    z.strictObject({
      url: httpUrl,
      capabilities: args.list(z.enum(['pull', 'resolve', 'push'])).default(['pull', 'resolve']),
      skip_verify: args.boolean.default(false),
      ca: args.path.optional(),
      override_path: args.boolean.default(false),
      username: z.string().optional(),
      password: z.string().optional(),
    }),
  )
  .refine((m) => m.password === undefined || m.username !== undefined, '`password` needs a `username`')
  .transform(({ skip_verify, override_path, ...m }) => ({
    ...m,
    skipVerify: skip_verify,
    overridePath: override_path,
  }))

/** Registry to its mirrors, as playbooks write them. */
export const registries = z.record(
  z.string().regex(/^(_default|[a-zA-Z0-9.-]+(:\d+)?)$/, 'must be HOST or HOST:PORT, or _default for all others'),
  z.strictObject({ server: httpUrl.optional(), mirrors: z.array(mirror).default([]) }),
)

/** A value of the environment of containerd's unit. */
export const proxyValue = z.string().regex(/^[^\s"\\%]*$/, 'may hold no blanks, quotes, backslashes or percent signs')
