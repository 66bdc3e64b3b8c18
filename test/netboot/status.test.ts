/** `runbook netboot status` and `explain` as an operator meets them: many machines, failed ones, strangers, no server. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import { DEFAULT_WISH, Machines } from '../../src/netboot/machines.ts'

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
/** Nobody serves there: not in this network, and on no port that we could have. */
const CONFIG = `
interfaces: [nb9]
networks: [{subnet: 10.77.0.0/22}]
files: boot
profiles: {p: {kernel: k}}
assign: {default: p}
`

t.test('three hundred machines', async (t) => {
  const names = Array.from({ length: 300 }, (_, i) => `n${String(i + 1).padStart(3, '0')}`)
  const hosts = names.map((name, i) => {
    const mac = `52:54:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`
    return `    ${name}: {netboot_mac: "${mac}", netboot_address: 10.77.${i >> 8}.${i & 255}}\n`
  })
  const folder = t.testdir({ 'netboot.yml': CONFIG, 'inventory.yml': `all:\n  hosts:\n${hosts.join('')}` })
  const db = openNetbootDatabase(folder)
  const machines = new Machines(db)
  const at = Date.now()
  for (const name of names.slice(0, 12)) {
    machines.repave(name, at, DEFAULT_WISH)
    const { token } = machines.boot(name, at)
    machines.apply(name, { type: 'failed', at, token: token!, reason: 'no disk fits' })
  }
  machines.repave('n013', at, DEFAULT_WISH)
  machines.repave('n014', at - 7_200_000, DEFAULT_WISH)
  const installs = machines.boot('n014', at - 7_200_000)
  machines.apply('n014', { type: 'installed', at: at - 7_200_000, token: installs.token! })
  machines.discover('52:54:00:99:00:01', at - 7_200_000)
  machines.discover('52:54:00:99:00:02', at - 60_000)
  // Since then it was put into the inventory.
  machines.discover('52:54:00:00:00:05', at)
  db.close()
  const run = (...args: string[]) => {
    const files = ['-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml')]
    return spawnSync(process.execPath, [BIN, 'netboot', ...args, ...files], { encoding: 'utf8' })
  }

  const { stdout, stderr, status } = run('status')
  t.equal(status, 0)
  t.match(stderr, /^warning: no server answers on nb9: nothing boots; see runbook netboot doctor$/m)
  const lines = stdout.trimEnd().split('\n')
  t.match(lines[1], /^n001 +failed +\S+ +repave it +no disk fits$/)
  t.match(lines[13], /^n013 +discovered +\S+ +its network boot: power it on/)
  t.match(lines[14], /^n014 +installed +2h 00m +its phone-home \(waited 2h 00m\)$/)
  t.strictSame(lines.slice(-4, -1), [
    '',
    '300 machines: 286 not seen, 1 discovered, 1 installed, 12 failed',
    'failed: n001, n002, n003, n004, n005, n006, n007, n008 and 4 more',
  ])
  t.match(
    lines.at(-1),
    /^not in the inventory: 2 that asked to boot, the newest 52:54:00:99:00:02 1m \d+s ago; see runbook netboot machines$/,
  )
  t.notMatch(run('status', 'n001').stdout, /300 machines/)
  t.equal(run('status', '--json').stderr, '')
  t.match(run('machines').stdout, /^\(unknown\) +52:54:00:99:00:02/m)

  t.match(run('explain', '--mac', '52:54:00:99:00:02').stdout, /no answer: unknown machine\n {2}netboot_mac: of a host/)
  t.match(run('explain', '--mac', '52:54:00:00:00:05').stdout, /OFFER: configured address\n {2}yiaddr: 10\.77\.0\.5\n/)
  const relayed = run('explain', '--mac', '52:54:00:00:00:05', '--relay', '10.99.0.1')
  t.match(relayed.stdout, /no answer: relay 10\.99\.0\.1 is in none of the networks/)
  t.notMatch(relayed.stdout, /netboot_mac: of a host/)
  t.match(run('explain', '--mac', '52:54:00:00:00:05', '--relay', 'router'), {
    status: 3,
    stderr: /"router" is no IPv4 address/,
  })
})
