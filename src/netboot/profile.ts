/** Boot profiles: what a machine boots when, and only when, a repave of it is pending. */
import type { Scope, Value } from '../values/index.ts'

/** Kernel and initrds, over which most installers start. */
export interface KernelProfile {
  readonly kind: 'kernel'
  /** Below the files folder, like all names of files here. */
  readonly kernel: string
  readonly initrd: readonly string[]
  /** A template: see templates.ts. */
  readonly cmdline: Value
  /** Name in the URL to absolute path: what the installer asks for, each once. Over those that we make. */
  readonly seed: ReadonlyMap<string, string>
  /** More that templates may name. */
  readonly vars: Readonly<Record<string, unknown>>
  /** False: the installer tells nothing; it is over when the machine, having read its seed, boots again. */
  readonly reports: boolean
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
  /** Whether its root, without cloud-init, gets the rest of the disk. */
  readonly grow: boolean
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

/** A machine as the inventory knows it. The inventory itself is not known here, but for its variables. */
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
  /** The inventory's variables of it, for templates. */
  readonly scope?: Scope | undefined
}
