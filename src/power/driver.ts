/** What each way of power control brings; what makes it trustworthy (waiting, reading back) stands once, in power.ts. */

import type { PowerState } from '../shared/power.ts'

export type { PowerState }

/** `soft-off` asks the operating system, `hard-off` cuts the power, `reset` restarts without asking. */
export type PowerAction = 'on' | 'soft-off' | 'hard-off' | 'reset'

/** `none` takes an earlier choice back; `disk` is the first disk, `bios` the firmware's setup. */
export const BOOT_TARGETS = ['none', 'pxe', 'http', 'disk', 'cd', 'usb', 'bios'] as const
export type BootTarget = (typeof BOOT_TARGETS)[number]

/** What the controller holds after it was told from where to boot, read back from it. */
export interface BootOverride {
  readonly target: BootTarget
  /** False: it stays for every boot until `none` is set. */
  readonly once: boolean
  /** What an operator should know, as sentences without a full stop. */
  readonly notes: readonly string[]
}

export interface PowerDriver extends AsyncDisposable {
  /** For people: `Redfish https://10.0.0.5/`. */
  readonly description: string
  /** False where the state is always `unknown`. */
  readonly seesPower: boolean
  /** See HostPower; absent: none. */
  readonly wakes?: readonly string[]
  /** Throws PowerError. */
  state(signal: AbortSignal): Promise<PowerState>
  /** Returns when the controller has accepted it, which proves nothing. Throws PowerError. */
  act(action: PowerAction, signal: AbortSignal): Promise<void>
  /** Sets it and reads it back. Throws PowerError, `ignored` when what is read is not what was written. */
  boot(target: BootTarget, signal: AbortSignal): Promise<BootOverride>
}

/** What drivers need from their surroundings. */
export interface DriverContext {
  /** The inventory's name of the host, for messages. */
  readonly host: string
  /** Told what an operator should know, e.g. that a certificate was recorded. */
  readonly note: (text: string) => void
  /** Told of every secret before its use. */
  readonly addSecret: (secret: string) => void
}
