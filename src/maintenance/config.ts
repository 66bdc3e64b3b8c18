/** `maintenance.yml`, beside the inventory: its keys, and `guards:` of it. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { Problems } from '../shared/errors.ts'
import { checkSettings, placeAt } from '../shared/settings.ts'
import type { Place } from '../shared/source.ts'
import { readYaml } from '../shared/yaml.ts'
import { GUARDS_SCHEMA } from './guards/settings.ts'

/** `windows` and `notify` are read window by window, where a wrong one leaves the others as they are. */
export const MAINTENANCE_SCHEMA = z.strictObject({
  guards: GUARDS_SCHEMA,
  windows: z.unknown().optional(),
  notify: z.unknown().optional(),
})

export interface MaintenanceFile {
  readonly settings: z.output<typeof MAINTENANCE_SCHEMA>
  /** Absolute; where relative names in it begin. */
  readonly folder: string
  /** Undefined when there is no file: everything is the default. */
  readonly path: string | undefined
  /** Where the value at a path stands, or the deepest above it that is there; for checks that need more than the file. */
  place(...path: readonly PropertyKey[]): Place | undefined
}

export const MAINTENANCE_FILE = 'maintenance.yml'

/** Reads maintenance.yml of a folder. Throws UserError with all that is wrong and where. */
export function readMaintenance(folder: string): MaintenanceFile {
  const path = join(folder, MAINTENANCE_FILE)
  if (!existsSync(path)) {
    return { settings: MAINTENANCE_SCHEMA.parse({}), folder: resolve(folder), path: undefined, place: () => undefined }
  }
  return readMaintenanceFile(path)
}

/** Reads a file as maintenance.yml. Throws UserError with all that is wrong and where. */
export function readMaintenanceFile(path: string): MaintenanceFile {
  const node = readYaml(path)
  const problems = new Problems()
  const settings = checkSettings(MAINTENANCE_SCHEMA, node, problems)
  problems.throwIfAny()
  return {
    settings: settings!,
    folder: dirname(resolve(path)),
    path,
    place: (...keys) => placeAt(node, keys),
  }
}
