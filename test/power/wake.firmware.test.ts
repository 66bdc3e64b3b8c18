/**
 * Wake-on-LAN on network cards that know it, and on one that does not: `runbook node shutdown` on a QEMU machine. Of what
 * QEMU has, vmxnet3 takes `wol g`; virtio does not. That a card then wakes its machine only hardware can show.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cpio, MODE } from '../../src/netboot/installer/cpio.ts'
import { ensureImage } from '../lab/image.ts'
import { ensureNetbootFiles } from '../netboot/disk-image.ts'
import { firmwareTest, Namespace } from '../netboot/lab.ts'
import { RACK_COMMANDS } from '../netboot/rack.ts'

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const ADDRESS = '10.78.0.10'
const VMXNET3 = '52:54:00:78:00:0a'
const VIRTIO = '52:54:00:78:00:0b'

t.setTimeout(900_000) // the first time on a machine builds what it boots

/** The first process: our installer's kernel and its modules, Debian's sshd and ethtool. */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run/sshd /run/lock /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/pts; mount -t devpts pts /dev/pts
exec </dev/console >/dev/console 2>&1
modprobe -a virtio_pci virtio_net vmxnet3
for n in /sys/class/net/*; do
  [ "$(cat $n/address)" = ${VMXNET3} ] && ip address add ${ADDRESS}/24 dev \${n##*/} && ip link set \${n##*/} up
done
ip link set lo up
/usr/sbin/sshd -D -e -o UsePAM=no -o StrictModes=no &
# What busybox's poweroff asks the first process for.
trap 'poweroff -f' USR2
while :; do wait; sleep 1; done
`

/** Programs of the lab's Debian with their libraries. */
function programs(root: string, paths: readonly string[]) {
  const libraries = paths.flatMap((path) => {
    const said = execFileSync('chroot', [root, 'ldd', `/${path}`], { encoding: 'utf8' })
    return [...said.matchAll(/\/(lib\S+) \(/g)].map((m) => m[1]!)
  })
  const read = (path: string) => ({ path, mode: MODE.program, data: readFileSync(join(root, path)) })
  return [...new Set([...paths, ...libraries])].map(read)
}

firmwareTest('Wake-on-LAN is armed before the power off, or there is none', RACK_COMMANDS, async (t) => {
  const { folder: files } = await ensureNetbootFiles((line) => t.comment(line))
  const image = await ensureImage('debian', (line) => t.comment(line))
  const folder = mkdtempSync(join(tmpdir(), 'runbook-wake-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['host', 'client'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  const key = (name: string): Buffer => readFileSync(join(folder, name))
  const text = (path: string, data: string | Buffer, mode: number = MODE.file) => ({
    path,
    mode,
    data: Buffer.from(data),
  })
  const ours = cpio([
    ...programs(image, ['usr/sbin/sshd', 'usr/sbin/ethtool']),
    text('init', INIT, MODE.program),
    text('etc/passwd', 'root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n'),
    text('etc/group', 'root:x:0:\nnogroup:x:65534:\n'),
    text('etc/ssh/sshd_config', 'PermitRootLogin prohibit-password\n'),
    text('etc/ssh/ssh_host_ed25519_key', key('host'), 0o100600),
    text('root/.ssh/authorized_keys', key('client.pub')),
  ])
  // Archives behind each other are unpacked one after the other, each from a multiple of four on.
  const installer = readFileSync(join(files, 'installer/initrd'))
  const initrd = Buffer.concat([installer, Buffer.alloc((4 - (installer.length % 4)) % 4), ours])
  writeFileSync(join(folder, 'initrd'), initrd)
  writeFileSync(join(folder, 'known_hosts'), `${ADDRESS} ${key('host.pub')}`)
  writeFileSync(
    join(folder, 'inventory.yml'),
    `all:
  vars:
    ansible_host: ${ADDRESS}
    ansible_user: root
    ansible_ssh_private_key_file: ${join(folder, 'client')}
    ansible_ssh_common_args: -o UserKnownHostsFile=${join(folder, 'known_hosts')}
  hosts:
    by-vmxnet3: {runbook_power: {type: wol, mac: "${VMXNET3}"}}
    by-virtio: {runbook_power: {type: wol, mac: "${VIRTIO}"}}
    by-nothing: {runbook_power: {type: wol, mac: "52:54:00:78:00:0c"}}
`,
  )

  const space = new Namespace(t)
  for (const command of ['tuntap add tap0 mode tap', 'addr add 10.78.0.1/24 dev tap0', 'link set tap0 up'])
    space.ip(command)
  const machine = space.start('qemu-system-x86_64', [
    ...['-M', 'q35,accel=tcg', '-cpu', 'max', '-m', '768', '-nodefaults', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(files, 'installer/linux'), '-initrd', join(folder, 'initrd')],
    ...['-append', 'console=ttyS0 quiet', '-serial', 'stdio'],
    ...['-netdev', 'tap,id=net,ifname=tap0,script=no,downscript=no', '-device', `vmxnet3,netdev=net,mac=${VMXNET3}`],
    ...['-device', `virtio-net-pci,mac=${VIRTIO}`],
  ])
  let console = ''
  for (const stream of [machine.stdout, machine.stderr])
    stream?.setEncoding('latin1').on('data', (chunk: string) => {
      console += chunk
    })
  const off = new Promise<void>((done) => machine.once('close', () => done()))
  const runbook = (args: string[]) =>
    space.run(process.execPath, [BIN, ...args, '-i', join(folder, 'inventory.yml'), '--folder', folder], 300)
  const inside = (script: string) =>
    space.run(process.execPath, [
      ...[BIN, 'run', 'by-vmxnet3', 'shell', script, '-i', join(folder, 'inventory.yml'), '--output', 'json'],
    ])
  for (const end = Date.now() + 300_000; (await inside('true')).code !== 0; )
    if (machine.exitCode !== null || Date.now() > end) throw new Error(`it does not let us in\n${console.slice(-3000)}`)
    else await new Promise((done) => setTimeout(done, 1000))

  /** What each card says of itself: address, `Supports Wake-on`, `Wake-on`. */
  const cards = async (): Promise<Record<string, string>> => {
    const { out } = await inside(
      'cd /sys/class/net; for n in eth*; do echo $(cat $n/address) $(ethtool $n | sed -n "s/.*Wake-on: //p"); done',
    )
    return Object.fromEntries([...out.matchAll(/(52:54(?::\w\w){4}) ?([a-z ]*)/g)].map((m) => [m[1], m[2]!.trim()]))
  }
  t.match(await cards(), { [VMXNET3]: 'uag d', [VIRTIO]: '' }, 'one that could wake it, not armed; one that cannot')

  await t.test('a card that cannot be armed: refused before anything is touched', async (t) => {
    t.match(await runbook(['node', 'shutdown', 'by-virtio']), {
      code: 2,
      out: /nothing could turn it on again: Wake-on-LAN is its only power, and eth\d \(52:54:00:78:00:0b\) cannot wake it.*--by-hand[\s\S]*nothing of it was touched\n +go on: runbook node shutdown by-virtio/,
    })
    t.match(await runbook(['node', 'shutdown', 'by-nothing']), {
      code: 2,
      out: /it has no network card 52:54:00:78:00:0c/,
    })
    t.match(await cards(), { [VMXNET3]: 'uag d' })
  })

  await t.test('a dry run arms nothing', async (t) => {
    t.match(await runbook(['node', 'shutdown', 'by-vmxnet3', '--dry-run']), { code: 0 })
    t.match(await cards(), { [VMXNET3]: 'uag d' })
  })

  await t.test('one that can is armed, and then the power goes', async (t) => {
    const { code, out } = await runbook(['node', 'shutdown', 'by-vmxnet3'])
    t.equal(code, 0, `${out}\n── console ──\n${console.slice(-2000)}`)
    t.match(out, /Wake-on-LAN is armed: 52:54:00:78:00:0a[\s\S]*power off: sent[\s\S]*probably off: nothing was heard/)
    await off
    t.equal(machine.exitCode, 0, 'it powered itself off')
  })
})
