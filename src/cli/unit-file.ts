/** Writes systemd units where they belong, or shows them. */
import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { UserError } from '../shared/errors.ts'
import { EXIT } from './exit.ts'

/** Throws UserError when it cannot be written. Gives an exit code. */
export function writeUnit(text: string, { print, unit }: { readonly print: boolean; readonly unit: string }): number {
  if (print) {
    process.stdout.write(text)
    return EXIT.done
  }
  try {
    writeFileSync(unit, text)
  } catch (error) {
    throw new UserError({ message: `cannot write ${unit}: ${(error as Error).message}`, hint: 'as root, or --print' })
  }
  process.stdout.write(`wrote ${unit}; start it: systemctl daemon-reload && systemctl enable --now ${basename(unit)}\n`)
  return EXIT.done
}
