/** Real firmware and real iPXE against `runbook netboot serve`: the installer once, then the local disk. Minutes. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { firmwareTest, Namespace } from './lab.ts'

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const MAC = '52:54:00:77:00:0a'
const IPXE = '/usr/lib/ipxe'
const SECONDS = 400

t.setTimeout(SECONDS * 2000)

const COMMANDS = ['qemu-system-x86_64']
if (!existsSync(`${IPXE}/ipxe.efi`)) COMMANDS.push('ipxe')

firmwareTest('OVMF, iPXE, installer, and its next boot to the disk', COMMANDS, run, { full: true })

async function run(t: import('tap').Test): Promise<void> {
  const folder = t.testdir({
    'netboot.yml': `
interfaces: [tap0]
networks: [{subnet: 10.77.0.0/24}]
files: boot
profiles:
  # iPXE is an EFI program as a kernel is; what it does is of no matter, as the machine is reset then.
  again: {kernel: kernel.efi, initrd: [one, two], cmdline: "ds=nocloud;s={{ seed }}/"}
assign: {default: again}
`,
    'inventory.yml': `all: {hosts: {n1: {ansible_host: 10.77.0.10, netboot_mac: "${MAC}"}}}`,
    boot: { one: 'initrd one', two: 'initrd two' },
  })
  // Copies: Debian's names are links to files elsewhere, and those are not served.
  for (const name of ['ipxe.efi', 'kernel.efi']) copyFileSync(`${IPXE}/ipxe.efi`, join(folder, 'boot', name))
  const space = new Namespace(t)
  space.ip('tuntap add tap0 mode tap')
  space.ip('link set tap0 up')
  space.ip('addr add 10.77.0.1/24 dev tap0')
  const files = ['-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml')]
  execFileSync(process.execPath, [BIN, 'netboot', 'repave', 'n1', ...files])
  const serve = space.start(process.execPath, [BIN, 'netboot', 'serve', ...files])
  let log = ''
  for (const stream of [serve.stdout, serve.stderr]) {
    stream?.on('data', (text) => {
      log += text
    })
  }
  const vars = join(folder, 'vars.fd')
  // Short: the path of a socket has at most 107 bytes.
  const qmp = join(tmpdir(), `rbnet-qmp-${process.pid}`)
  t.teardown(() => rmSync(qmp, { force: true }))
  const serial = join(folder, 'serial')
  writeFileSync(serial, '')
  copyFileSync('/usr/share/OVMF/OVMF_VARS_4M.fd', vars)
  const qemu = space.start('qemu-system-x86_64', [
    ...[
      '-M',
      'q35,accel=tcg',
      '-cpu',
      'max',
      '-m',
      '1024',
      '-nodefaults',
      '-display',
      'none',
      '-serial',
      `file:${serial}`,
    ],
    ...['-drive', 'if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd'],
    ...['-drive', `if=pflash,format=raw,file=${vars}`],
    ...['-qmp', `unix:${qmp},server=on,wait=off`],
    ...['-object', 'rng-random,filename=/dev/urandom,id=rng', '-device', 'virtio-rng-pci,rng=rng'],
    ...['-netdev', 'tap,id=net,ifname=tap0,script=no,downscript=no'],
    ...['-device', `virtio-net-pci,netdev=net,romfile=,mac=${MAC}`],
  ])
  const end = Date.now() + SECONDS * 1000
  const until = async (seen: () => boolean): Promise<void> => {
    while (!seen() && Date.now() < end && qemu.exitCode === null) await new Promise((done) => setTimeout(done, 300))
  }
  await until(() => /GET \/files\/two 200/.test(log))
  // As a power cut in the middle of the install.
  const monitor = connect(qmp)
  monitor.write('{"execute": "qmp_capabilities"}\n{"execute": "system_reset"}\n')
  await until(() => /boots its local disk/.test(log))
  // What iPXE says of the second script, and that the firmware has its machine back.
  const console = (): string => readFileSync(serial, 'latin1')
  await until(() => /booting the local disk/.test(console()))
  await new Promise((done) => setTimeout(done, 5000))
  monitor.destroy()
  t.comment(`${log}\n${console().slice(-3000)}`)
  const gets = [...log.matchAll(/GET (\S+) (\d+),/g)].map(([, path, status]) => `${path} ${status}`)
  t.strictSame(gets, [
    '/m/n1/…/boot.ipxe 200',
    '/files/kernel.efi 200',
    '/files/one 200',
    '/files/two 200',
    '/m/n1/…/boot.ipxe 200',
  ])
  t.notMatch(log, /broken off/)
  t.match(console(), /n1 installs/)
  t.match(console(), /n1 has no repave pending: booting the local disk/)
}
