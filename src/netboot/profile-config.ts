/** Boot profiles as they stand in netboot.yml. */
import { resolve } from 'node:path'
import { z } from 'zod'
import { UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { compileText, type Value } from '../values/index.ts'
import { INSTALLER } from './installer/names.ts'
import type { ImageOrders, Profile } from './profile.ts'
import { cleanName } from './tftp/files.ts'

const file = z.string().refine((text) => cleanName(text) !== undefined, 'must be a file below the files folder')
const seedName = z.string().regex(/^[A-Za-z0-9][\w.-]*$/, 'must be a plain file name')
const word = z.string().regex(/^[!-~]{1,200}$/, 'must be printable, without spaces')
const sizes = z
  .string()
  .refine((text) => parseSizes(text) !== undefined, 'must be a range of sizes, e.g. 400GB-500GB or 1TiB-2TiB')

const DISK = z.union(
  [
    z.literal('smallest'),
    z.strictObject({ serial: word }),
    z.strictObject({ wwn: word }),
    z.strictObject({ path: word }),
    z.strictObject({ size: sizes }),
  ],
  'must be smallest, {serial: …}, {wwn: …}, {path: pci-…} or {size: 400GB-500GB}',
)

export const PROFILE = z.strictObject({
  kernel: file.optional(),
  initrd: z.union([file, z.array(file)]).optional(),
  cmdline: z
    .string()
    .optional()
    .describe('template: {{ name }}, {{ seed }}, {{ report }}, variables of the inventory, …'),
  seed: z
    .record(seedName, z.string().min(1))
    .optional()
    .describe('name in the URL: file beside netboot.yml; FILE.hbs is filled in'),
  vars: z.record(z.string(), z.unknown()).optional().describe('for templates: {{ profile.NAME }}'),
  reports: z
    .boolean()
    .optional()
    .describe('false: the installer cannot tell when it is done; the next network boot after it read its seed does'),
  image: file.optional().describe('raw disk image, as it is, .gz or .zst; written by our installer'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits, as sha256sum prints them')
    .optional(),
  disk: DISK.optional(),
  wipe: z.boolean().optional().describe('write to the disk even if it holds something'),
  inject: z.boolean().optional().describe('configure the system on the image; default true'),
  grow: z.boolean().optional().describe('give its root the rest of the disk, as cloud-init does; default true'),
  apply: z.string().min(1).optional().describe('playbook, beside netboot.yml, applied once the machine is reachable'),
  uki: file.optional(),
  local: z.literal(true).optional(),
})

type Complain = (message: string, key?: string, hint?: string) => void

/** Undefined after a complaint that leaves nothing to go on with. */
export function readProfile(
  one: z.output<typeof PROFILE>,
  folder: string,
  cmdlinePlace: Place,
  complain: Complain,
): Profile | undefined {
  const kinds = (['kernel', 'image', 'uki', 'local'] as const).filter((key) => one[key] !== undefined)
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    complain('a profile has one of: kernel, image, uki, local: true')
    return undefined
  }
  const belongs: Readonly<Record<typeof kind, readonly string[]>> = {
    kernel: ['initrd', 'cmdline', 'seed', 'vars', 'reports', 'apply'],
    image: ['sha256', 'disk', 'wipe', 'inject', 'grow', 'cmdline', 'seed', 'vars', 'apply'],
    uki: [],
    local: [],
  }
  for (const key of Object.keys(PROFILE.shape) as (keyof typeof PROFILE.shape)[]) {
    if (one[key] === undefined || key === kind || belongs[kind].includes(key)) continue
    const owners = Object.entries(belongs).filter(([, keys]) => keys.includes(key))
    complain(`${key} belongs to a profile with a ${owners.map(([owner]) => owner).join(' or ')}`, key)
  }
  if (kind === 'local') return { kind }
  if (kind === 'uki') return { kind, uki: cleanName(one.uki!)! }

  let cmdline: Value
  try {
    cmdline = compileText(one.cmdline ?? '', cmdlinePlace)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    for (const { message, hint } of error.problems) complain(message, 'cmdline', hint)
    return undefined
  }
  // A line break would begin another command of the boot script.
  if (/[\r\n\0]/.test(one.cmdline ?? '')) complain('cmdline must be one line', 'cmdline')
  const common = {
    kind: 'kernel',
    seed: new Map(Object.entries(one.seed ?? {}).map(([name, path]) => [name, resolve(folder, path)])),
    cmdline,
    vars: one.vars ?? {},
    reports: one.reports ?? true,
    apply: one.apply === undefined ? undefined : resolve(folder, one.apply),
  } as const
  if (kind === 'kernel') {
    const initrd = [one.initrd ?? []].flat().map((name) => cleanName(name)!)
    return { ...common, kernel: cleanName(one.kernel!)!, initrd }
  }
  const image = readOrders(one, complain)
  if (image === undefined) return undefined
  return {
    ...common,
    kernel: INSTALLER.kernel,
    initrd: [INSTALLER.initrd],
    image,
  }
}

function readOrders(
  { image, sha256, disk, wipe = false, inject = true, grow = true }: z.output<typeof PROFILE>,
  complain: Complain,
): ImageOrders | undefined {
  if (sha256 === undefined) complain('an image needs its sha256, as sha256sum prints it of the file', 'image')
  if (disk === undefined) complain('an image needs the disk that it is written to, e.g. disk: smallest', 'image')
  if (sha256 === undefined || disk === undefined) return undefined
  return { file: cleanName(image!)!, sha256, disk: selector(disk), wipe, inject, grow }
}

function selector(disk: z.output<typeof DISK>): string {
  if (disk === 'smallest') return disk
  const [[kind, value]] = Object.entries(disk) as [[string, string]]
  return kind === 'size' ? `size:${parseSizes(value)!.join('-')}` : `${kind}:${value}`
}

const UNITS: Readonly<Record<string, number>> = {
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** Bytes of `400GB-500GB`. */
function parseSizes(text: string): [number, number] | undefined {
  const match = /^(\d{1,6}(?:\.\d{1,3})?)([MGT]i?B)-(\d{1,6}(?:\.\d{1,3})?)([MGT]i?B)$/.exec(text)
  if (!match) return undefined
  const least = Math.round(Number(match[1]) * UNITS[match[2]!]!)
  const most = Math.round(Number(match[3]) * UNITS[match[4]!]!)
  return least > most ? undefined : [least, most]
}
