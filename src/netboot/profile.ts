/** Boot profiles: what a machine boots when, and only when, a repave of it is pending. */

/** Kernel and initrds, over which most installers start. */
export interface KernelProfile {
  readonly kind: 'kernel'
  /** Below the files folder, like all names of files here. */
  readonly kernel: string
  readonly initrd: readonly string[]
  /** With placeholders: see PLACEHOLDERS. */
  readonly cmdline: string
  /** Name in the URL to absolute path: what the installer asks for, each once. Over those that we make. */
  readonly seed: ReadonlyMap<string, string>
  /** What our own installer does, if it is that one. */
  readonly image?: ImageOrders | undefined
  /** Absolute path of the playbook that is applied to the machine once it is reachable. */
  readonly apply?: string | undefined
}

/** A disk image, and what our own installer does with it. */
export interface ImageOrders {
  /** Below the files folder: a raw image, as it is or compressed by gzip or zstd. */
  readonly file: string
  /** Of that file, hexadecimal. */
  readonly sha256: string
  /** `smallest`, or `serial:`, `wwn:`, `path:` and a value, or `size:` and a range of bytes. */
  readonly disk: string
  /** Whether a disk that holds something may be written to. */
  readonly wipe: boolean
  /** Whether the system on the image gets cloud-init's seed, or without cloud-init its name, keys and network. */
  readonly inject: boolean
}

/** A unified kernel image, booted by UEFI HTTP boot or iPXE. */
export interface UkiProfile {
  readonly kind: 'uki'
  readonly uki: string
}

/** Nothing but the local disk, also when a repave is asked for. */
export interface LocalProfile {
  readonly kind: 'local'
}

export type Profile = KernelProfile | UkiProfile | LocalProfile

/** A machine as the inventory knows it. The inventory itself is not known here. */
export interface NetbootMachine {
  readonly name: string
  /** `52:54:00:aa:bb:00`; the first is the one that is configured with the address. */
  readonly macs: readonly string[]
  /** IPv4, dotted. */
  readonly address?: string | undefined
  /** SMBIOS UUID, in any spelling. */
  readonly uuid?: string | undefined
  readonly serial?: string | undefined
  /** A profile of netboot.yml; over its assignments. */
  readonly profile?: string | undefined
  readonly groups: readonly string[]
  /** Where it stands; without it, its groups tell. */
  readonly site?: string | undefined
  /** Public keys that may log in to the installed system. */
  readonly sshKeys: readonly string[]
}

/** What a command line may name, e.g. `ds=nocloud;s={{ seed }}/`. URLs are absolute. */
export const PLACEHOLDERS = {
  name: 'the machine',
  mac: 'its first MAC address',
  server: 'http://ADDRESS:PORT of this server',
  files: 'URL of the files folder, without a slash at its end',
  seed: 'URL below which user-data, meta-data, network-config and the seed files are, each to be had once',
  report: 'URL to which the installer posts its steps',
} as const
export type Placeholder = keyof typeof PLACEHOLDERS

const PLACEHOLDER = /\{\{\s*([^{}]*?)\s*\}\}/g

/** Fills placeholders in. Unknown ones were refused when netboot.yml was read. */
export function fillIn(text: string, values: Readonly<Record<Placeholder, string>>): string {
  return text.replace(PLACEHOLDER, (_, name: string) => values[name as Placeholder])
}

/** The first placeholder that is none. */
export function unknownPlaceholder(text: string): string | undefined {
  return [...text.matchAll(PLACEHOLDER)].map(([, name]) => name!).find((name) => !Object.hasOwn(PLACEHOLDERS, name))
}
