/**
 * What shim and GRUB load by TFTP. Firmware is told a name below the machine's own folder, `/m/NAME/TAG/shimx64.efi`; shim
 * looks for GRUB beside itself, and GRUB knows the folder that it came from as `$cmdpath`. So TFTP, which cannot tell who
 * asks, gives a machine's script to who knows its tag. Debian's signed GRUB has no HTTP, so kernels go over TFTP too.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ScriptKind } from './boot.ts'

/** Files that stand in the files folder and are asked for in each machine's own. */
export const SHIM = 'shimx64.efi'
const LOADERS = [SHIM, 'grubx64.efi']

/** Where the signed GRUB looks for its configuration: the same for all. */
const CONFIG = 'grub/grub.cfg'
const TO_OWN_FOLDER = `# The folder of this machine is where GRUB was loaded from.
configfile $cmdpath/grub.cfg
exit 1
`

/** Milliseconds in which a script that is asked for again is the same: datagrams get lost, and clients look twice. */
const SAME = 30_000

export interface GrubDesk {
  isTag(machine: string, tag: string): boolean
  isStranger(mac: string, tag: string): boolean
  script(name: string, kind: ScriptKind, base: string): string
  discoveryScript(mac: string, kind: ScriptKind, base: string): string
}

export class GrubFiles {
  readonly #desk: GrubDesk
  readonly #root: string
  readonly #now: () => number
  readonly #given = new Map<string, { readonly at: number; readonly text: string }>()

  constructor(desk: GrubDesk, root: string, now: () => number) {
    this.#desk = desk
    this.#root = root
    this.#now = now
  }

  /** The file of a name without a leading slash; undefined: it is none of ours. `base` is our URL as the client sees it. */
  async read(name: string, base: string): Promise<Uint8Array | string | undefined> {
    if (name === CONFIG) return TO_OWN_FOLDER
    const [kind = '', who = '', tag = '', file = '', ...more] = name.split('/')
    if (more.length > 0) return undefined
    const mac = who.replaceAll('-', ':')
    if (kind === 'm' ? !this.#desk.isTag(who, tag) : kind !== 'discover' || !this.#desk.isStranger(mac, tag))
      return undefined
    if (LOADERS.includes(file)) return readFile(join(this.#root, file)).catch(() => undefined)
    if (file !== 'grub.cfg') return undefined
    return this.#once(`${kind}/${who}`, () =>
      kind === 'm' ? this.#desk.script(who, 'grub-tftp', base) : this.#desk.discoveryScript(mac, 'grub-tftp', base),
    )
  }

  #once(key: string, make: () => string): string {
    const now = this.#now()
    for (const [other, { at }] of this.#given) if (now - at > SAME) this.#given.delete(other)
    const given = this.#given.get(key) ?? { at: now, text: make() }
    this.#given.set(key, given)
    return given.text
  }
}
