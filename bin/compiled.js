// The package's program is one script (build.ts). Node's own cache (module.enableCompileCache) holds what V8 compiles while it
// loads a file; functions that are called later are compiled anew in each run. Here all is kept that a run has compiled.
const { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { dirname, join } = require('node:path')
const { pathToFileURL } = require('node:url')
const vm = require('node:vm')
const { crc32 } = require('node:zlib')

/** Bytes of the checksum in front of what is kept: V8 looks at the length alone. */
const SUM = 4
/** What other versions have kept goes after this time, in milliseconds. */
const STALE_MS = 30 * 24 * 3600 * 1000

/**
 * Runs the script at `path`, a function of what modules get. `folder` is ours alone, or undefined: then nothing is kept. Each command
 * has a file of its own, for each calls other functions.
 */
function runCompiled(path, folder) {
  const source = readFileSync(path, 'latin1')
  const command = /^[a-z]+$/.test(process.argv[2] ?? '') ? process.argv[2] : 'other'
  // build.ts writes a hash of it at the top.
  const [, hash] = /^\/\* (\w+) \*\//.exec(source.slice(0, 80)) ?? []
  const kept = folder && hash && join(folder, `${command}-${hash}-${process.version}-${process.arch}`)
  const cachedData = kept && read(kept)
  const script = new vm.Script(source, { filename: path, cachedData })
  if (kept && (!cachedData || script.cachedDataRejected)) {
    // A command that does not exist ends with another status.
    process.on('exit', (status) => status === 0 && keep(kept, script))
  }
  const own = { exports: {} }
  const run = script.runInThisContext()
  run(own.exports, createRequire(path), own, path, dirname(path), pathToFileURL(path).href)
}

/** Undefined when there is none, or not what was written. */
function read(file) {
  try {
    const bytes = readFileSync(file)
    const data = bytes.subarray(SUM)
    return bytes.length > SUM && bytes.readUInt32LE() === crc32(data) ? data : undefined
  } catch {
    return undefined
  }
}

function keep(file, script) {
  try {
    const data = script.createCachedData()
    const sum = Buffer.alloc(SUM)
    sum.writeUInt32LE(crc32(data))
    const folder = dirname(file)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const aside = `${file}.${process.pid}`
    writeFileSync(aside, Buffer.concat([sum, data]), { mode: 0o600, flag: 'wx' })
    renameSync(aside, file)
    for (const name of readdirSync(folder)) {
      const other = join(folder, name)
      if (Date.now() - statSync(other).mtimeMs > STALE_MS) rmSync(other, { force: true })
    }
  } catch {
    // Only slower: a full disk, a home that cannot be written.
  }
}

module.exports = { runCompiled }
