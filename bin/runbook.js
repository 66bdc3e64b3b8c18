#!/bin/sh
':' //; exec node --min-semi-space-size=16 "$0" "$@"
// The line above is sh's: a command ends before 16 MB are full, and V8 begins with 1 MB, which it clears again and again.
// Plain JavaScript, so that every Node can read it far enough to say that it is too old; CommonJS, which Node loads 4 ms faster.
const { existsSync, mkdirSync, statSync } = require('node:fs')
const { enableCompileCache } = require('node:module')
const { homedir } = require('node:os')
const { join } = require('node:path')
const { pathToFileURL } = require('node:url')

const root = join(__dirname, '..')
const source = join(root, 'src/cli/main.ts')

if (Number(process.versions.node.split('.')[0]) < 24) {
  const own = join(root, 'node_modules/node/bin/node')
  if (existsSync(own)) runWith(own)
  else {
    process.stderr.write(
      `runbook needs Node 24 or newer; this is ${process.version} (${process.execPath}).\n` +
        '  Install it, or run `npm ci` in a checkout, which brings a Node of its own.\n',
    )
    process.exitCode = 3
  }
} else {
  const kept = keptFolder()
  if (kept) enableCompileCache(join(kept, 'compiled'))
  // A checkout runs its sources; the published package has dist/ alone (Node strips no types below node_modules).
  if (existsSync(source)) import(pathToFileURL(source).href)
  else require('./compiled.js').runCompiled(join(root, 'dist/src/cli/main.js'), kept && join(kept, 'code'))
}

/** The same with another Node. Ctrl-C reaches both of us from the terminal; other signals are handed on. */
function runWith(node) {
  const { spawn } = require('node:child_process')
  const child = spawn(node, ['--min-semi-space-size=16', ...process.argv.slice(1)], { stdio: 'inherit' })
  process.on('SIGINT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/**
 * Where compiled code is kept. Not in /tmp, and in nobody else's folder (`sudo` may leave HOME as it was): others could put
 * code there for us.
 */
function keptFolder() {
  try {
    const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'runbook')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const { uid, mode } = statSync(folder)
    return uid === process.geteuid?.() && (mode & 0o022) === 0 ? folder : undefined
  } catch {
    // Only slower: a home that cannot be written.
    return undefined
  }
}
