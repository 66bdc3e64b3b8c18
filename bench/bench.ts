/** `npm run bench -- NAME [options]`: the benchmarks, each a file beside this one. */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { basename, join } from 'node:path'

const files = globSync(join(import.meta.dirname, '*.ts')).filter((f) => basename(f) !== 'bench.ts')
const [name, ...args] = process.argv.slice(2)
const file = files.find((f) => basename(f, '.ts') === name)
if (!file) {
  process.stderr.write(
    `npm run bench -- NAME; there are ${files
      .map((f) => basename(f, '.ts'))
      .sort()
      .join(', ')}\n`,
  )
  process.exit(3)
}
process.exit(spawnSync(process.execPath, [file, ...args], { stdio: 'inherit' }).status ?? 1)
