/**
 * `npm run bench -- preview`: `runbook node drain --dry-run` on a cluster of 500 nodes and 10,000 pods: the whole command,
 * its processor time and its peak memory. The API is a process of its own (bench/preview/api.ts) with objects as large as
 * a real server's. `--drain 1,10,50` (nodes at once), `--nodes 500`, `--pods 20` (a node), `--runs 5`.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stagePackage } from '../test/stage.ts'
import { type Cost, costOf } from './cost.ts'

const { values: flags } = parseArgs({
  options: {
    drain: { type: 'string', default: '1,10,50' },
    nodes: { type: 'string', default: '500' },
    pods: { type: 'string', default: '20' },
    runs: { type: 'string', default: '5' },
  },
})

const folder = mkdtempSync(join(tmpdir(), 'runbook-preview-'))
const [key, certificate, kubeconfig] = ['key', 'crt', 'kubeconfig'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
]
const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench'.split(' ')
execFileSync('openssl', [...request, '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate], {
  stdio: 'ignore',
})
const server = spawn(
  process.execPath,
  [join(import.meta.dirname, 'preview/api.ts'), key, certificate, flags.nodes, flags.pods],
  { stdio: ['ignore', 'pipe', 'inherit'] },
)
try {
  const port = await new Promise<number>((done) => server.stdout.once('data', (chunk: Buffer) => done(Number(chunk))))
  const cluster = {
    server: `https://127.0.0.1:${port}`,
    'certificate-authority-data': readFileSync(certificate).toString('base64'),
  }
  const config = {
    'current-context': 'c',
    clusters: [{ name: 'k', cluster }],
    users: [{ name: 'u', user: { token: 'bench' } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
  }
  writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 })
  const program = stagePackage(join(folder, 'package'))
  for (const count of flags.drain.split(',').map(Number)) {
    const names = Array.from({ length: count }, (_, i) => `node-${i * Math.floor(Number(flags.nodes) / count)}`)
    const more = ['--ignore-daemonsets', '--dry-run', '--json', '--kubeconfig', kubeconfig]
    const costs: Cost[] = []
    // The first fills the cache of compiled code.
    for (let run = 0; run <= Number(flags.runs); run++) {
      const cost = await costOf([process.execPath, program, 'node', 'drain', ...names, ...more])
      const planned = cost.stdout.match(/"type":"planned"/g)?.length
      if (cost.code !== 0 || planned !== count)
        throw new Error(`exit ${cost.code}: ${cost.stderr}${cost.stdout.slice(-2000)}`)
      if (run > 0) costs.push(cost)
    }
    const median = (of: (cost: Cost) => number): number =>
      costs.map(of).toSorted((a, b) => a - b)[Math.floor(costs.length / 2)]!
    const wall = `${median((c) => c.wallSeconds).toFixed(2)} s (${costs.map((c) => c.wallSeconds.toFixed(2)).join(', ')})`
    process.stdout.write(
      `${String(count).padStart(4)} nodes  ${wall}  ${median((c) => c.cpuSeconds).toFixed(2)} s CPU  ${median((c) => c.peakMb).toFixed(0)} MB peak\n`,
    )
  }
} finally {
  server.kill()
  rmSync(folder, { recursive: true, force: true })
}
