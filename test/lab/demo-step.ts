import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

export function title(text: string): void {
  process.stdout.write(`\n\x1b[1m${text}\x1b[0m\n`)
}

/** Shows a command and runs it; the demo ends where it fails. */
export function step(text: string, argv: readonly string[]): void {
  title(text)
  process.stdout.write(`  $ ${argv.join(' ')}\n\n`)
  const [command, ...args] = argv
  const { status } = spawnSync(command!, args, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) {
    process.stderr.write(`\n"${argv.join(' ')}" ended with ${status}; the demo stops here\n`)
    process.exit(status ?? 1)
  }
}
