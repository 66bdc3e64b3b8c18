/** The unit, as systemd reads it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const CONFIG = `
interfaces: [eth9]
networks: [{subnet: 10.77.0.0/24}]
files: boot
`
const skip =
  spawnSync('systemd-analyze', ['--version']).status === 0 ? false : 'needs systemd-analyze: apt-get install systemd'

t.test('systemd takes it, and finds little that it could do', { skip }, async (t) => {
  const folder = t.testdir({
    'netboot.yml': CONFIG,
    'ra.yml': `${CONFIG}router_advertisement: true\n`,
    'inventory.yml': 'all: {hosts: {n1: {netboot_mac: "52:54:00:77:00:0a", netboot_site: bern}}}',
  })
  const unit = join(folder, 'runbook-netboot.service')
  const install = (config: string, ...more: string[]): string => {
    const files = ['-c', join(folder, config), '-i', join(folder, 'inventory.yml'), '--unit', unit]
    return execFileSync(process.execPath, [BIN, 'netboot', 'install', ...files, ...more], { encoding: 'utf8' })
  }
  t.match(install('ra.yml'), /systemctl daemon-reload && systemctl enable --now runbook-netboot\.service/)
  t.match(readFileSync(unit, 'utf8'), /^CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_NET_RAW$/m)
  t.match(install('netboot.yml', '--site', 'bern', '--user', 'nobody'), /wrote/)
  const text = readFileSync(unit, 'utf8')
  t.match(text, /^CapabilityBoundingSet=CAP_NET_BIND_SERVICE$/m)
  t.match(text, /^ExecStart=.* netboot serve -c .* --site bern$/m)
  t.match(text, /^User=nobody$/m)
  t.match(text, new RegExp(`^PrivateTmp=${/^(\/var)?\/tmp\//.test(BIN) ? 'no' : 'yes'}$`, 'm'))
  t.notOk(existsSync(join(folder, '.runbook')), 'state is left to who serves')
  const verified = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' })
  t.notMatch(verified.stderr, new RegExp(`${unit}.*(Unknown|Invalid|Failed|not executable|ignoring)`, 'i'))
  t.equal(verified.status, 0, verified.stderr)
  // 0.0 is nothing, 10.0 everything; a threshold in tenths.
  const security = ['security', '--offline=yes', '--no-pager', '--threshold=25', unit]
  const exposed = spawnSync('systemd-analyze', security, { encoding: 'utf8' })
  t.comment(exposed.stdout.trim().split('\n').at(-1))
  t.equal(exposed.status, 0, exposed.stdout)
})

t.test('a user or a site that is not there', async (t) => {
  const folder = t.testdir({
    'netboot.yml': CONFIG,
    'inventory.yml': 'all: {hosts: {n1: {netboot_mac: "52:54:00:77:00:0a"}}}',
  })
  const files = ['-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml'), '--print']
  for (const [more, wanted] of [
    [['--user', 'nobody-of-that-name'], /there is no user nobody-of-that-name/],
    [['--site', 'bern'], /no machine is at site "bern"/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [BIN, 'netboot', 'install', ...files, ...more], {
      encoding: 'utf8',
    })
    t.equal(status, 3)
    t.match(stderr, wanted)
  }
})
