/** Words of a command line, for the command that goes on with the options as they were given. */

/** `--name value`; nothing when it was not given. */
export function option(name: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [name, String(value)]
}

/** `--name`; nothing when it was not given. */
export function flag(name: string, value: boolean | undefined): string[] {
  return value ? [name] : []
}
