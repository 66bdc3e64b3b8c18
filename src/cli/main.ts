import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import { output } from '../report/output.ts'
import { EXIT } from './exit.ts'
import { DEFAULT_SUBCOMMANDS, makeProgram } from './program.ts'

/** Runs a command line (without node and script) and gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  // Whoever reads our output may go away: see output.ts.
  output(process.stdout)
  output(process.stderr)
  let exitCode: number = EXIT.done
  const program = makeProgram(version(), (code) => {
    exitCode = code
  })
  try {
    await program.parseAsync(withDefaults(args), { from: 'user' })
    return exitCode
  } catch (error) {
    // Commander has said what is wrong; help and version end this way too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.input
    const { showError } = await import('./show-error.ts')
    return showError(error)
  }
}

/** `history --limit 5` means `history list --limit 5`. */
function withDefaults(args: readonly string[]): string[] {
  const [first = '', second = '-'] = args
  const fallback = Object.hasOwn(DEFAULT_SUBCOMMANDS, first) ? DEFAULT_SUBCOMMANDS[first] : undefined
  if (fallback === undefined || !second.startsWith('-') || /^(-h|--help)$/.test(second)) return [...args]
  return [first, fallback, ...args.slice(1)]
}

/** From package.json: two folders up in a checkout, three in dist/. */
function version(): string {
  for (const up of ['../..', '../../..']) {
    try {
      const { name, version } = JSON.parse(
        readFileSync(join(import.meta.dirname, up, 'package.json'), 'utf8'),
      ) as Record<string, string>
      if (name === 'runbook') return version!
    } catch {}
  }
  return 'unknown'
}

// Not awaited: the package's bundle is a script (build.ts), which knows no `await` at its top.
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})
