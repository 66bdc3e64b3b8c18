/** `runbook netboot doctor` and `watch` on a wire of their own: what is wrong before it is mended, and not after. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../src/netboot/doctor.ts'
import { labTest, Namespace } from './lab.ts'

t.setTimeout(180_000)

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const IMAGE = 'an image'

labTest('what keeps machines from booting, and what they do', ['dnsmasq', 'curl', 'nft'], async (t) => {
  const folder = t.testdir({
    'netboot.yml': `
interfaces: [sv0]
networks: [{subnet: 10.77.0.0/24}, {subnet: 10.88.0.0/24}]
files: boot
profiles:
  disk: {image: i.raw, sha256: ${createHash('sha256').update(IMAGE).digest('hex')}, disk: smallest}
assign: {default: disk}
`,
    'inventory.yml': 'all: {hosts: {n1: {ansible_host: 10.77.0.10, netboot_mac: "52:54:00:77:00:0a"}}}',
    boot: { 'i.raw': 'another image' },
  })
  const ours = new Namespace(t)
  const theirs = new Namespace(t)
  ours.join('sv0', undefined, theirs, 'cv0', '10.77.0.3/24')
  const config = ['-c', join(folder, 'netboot.yml')]
  const inventory = ['-i', join(folder, 'inventory.yml')]
  const examine = async (): Promise<(wanted: string) => string[]> => {
    const { out } = await ours.run(process.execPath, [BIN, 'netboot', 'doctor', '--json', ...config], 60)
    const findings = JSON.parse(out) as Finding[]
    return (what) => findings.filter((one) => one.what === what).map(({ verdict, seen }) => `${verdict}: ${seen}`)
  }

  let found = await examine()
  t.match(found('interface sv0'), [/^wrong: .* has no IPv4 address/])

  ours.ip('addr add 10.77.0.1/24 dev sv0')
  const options = ['-k', '--conf-file=/dev/null', '--port=0', '--leasefile-ro', '--no-ping', '--user=root']
  const other = theirs.start('dnsmasq', [...options, '-i', 'cv0', '--dhcp-range=10.77.0.50,10.77.0.60'])
  await ours.run('nft', ['add table inet t; add chain inet t in { type filter hook input priority 0; policy drop; }'])
  // What it drops by default must not keep the rest of the test from working.
  await ours.run('nft', ['add rule inet t in accept'])
  found = await examine()
  t.strictSame(found('interface sv0'), ['ok: 10.77.0.1'])
  t.match(found('relays'), [/^unknown: .*; 10\.88\.0\.0\/24 is behind one/])
  t.match(found('the server'), [/^wrong: nothing answers at http:\/\/10\.77\.0\.1:80\/healthz/])
  t.strictSame(found('UDP port 67 on 10.77.0.1'), ['ok: free'])
  t.match(found('firewall'), [/^wrong: drops by default, and no rule names port 67, 69, 4011, 80/])
  t.strictSame(found('other DHCP servers'), ['wrong: 10.77.0.3 on sv0'])
  t.match(found('loader'), [/^wrong: there is no ipxe\.efi/, /^wrong: there is no undionly\.kpxe/])
  t.match(found('profile disk'), [
    /^wrong: there is no installer\/linux/,
    /^wrong: there is no installer\/initrd/,
    /^wrong: i\.raw has another SHA-256 than the profile/,
  ])

  other.kill('SIGKILL')
  await ours.run('nft', ['delete table inet t'])
  mkdirSync(join(folder, 'boot/installer'))
  for (const name of ['ipxe.efi', 'undionly.kpxe', 'installer/linux', 'installer/initrd'])
    writeFileSync(join(folder, 'boot', name), name)
  writeFileSync(join(folder, 'boot/i.raw'), IMAGE)
  const serve = ours.start(process.execPath, [BIN, 'netboot', 'serve', ...config, ...inventory])
  let said = ''
  serve.stdout?.on('data', (text) => {
    said += text
  })
  const until = async (seen: () => boolean): Promise<void> => {
    for (let i = 0; i < 600 && !seen(); i++) await new Promise((done) => setTimeout(done, 100))
  }
  await until(() => said.includes('serving 1 machines'))
  const { out, code } = await ours.run(process.execPath, [BIN, 'netboot', 'doctor', ...config], 60)
  t.equal(code, 0, out)
  t.match(out, 'ok     the server: answers at http://10.77.0.1:80')
  t.notMatch(out, /WRONG/)

  const watch = ours.start(process.execPath, [BIN, 'netboot', 'watch', ...config, ...inventory])
  let watched = ''
  watch.stdout?.on('data', (text) => {
    watched += text
  })
  await ours.run(process.execPath, [BIN, 'netboot', 'repave', 'n1', ...config, ...inventory])
  await until(() => /n1 +discovered .*expected next: its network boot: power it on/.test(watched))
  t.match(watched, /n1 +discovered .*expected next: its network boot: power it on/)
})
