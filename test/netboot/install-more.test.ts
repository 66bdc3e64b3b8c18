/** Installations that are disturbed, other firmware, discovery: real machines under emulation; what takes long in the full run. */
import { createHash } from 'node:crypto'
import { createReadStream, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { firmwareTest } from './lab.ts'
import { MAC, RACK_COMMANDS, Rack, type RackOptions } from './rack.ts'

t.setTimeout(3600_000)
t.jobs = 1

interface RackTest extends RackOptions {
  /** Takes too long for every change. */
  readonly full?: boolean
}

function rackTest(name: string, { full, ...options }: RackTest, run: (t: Test, rack: Rack) => Promise<void>): void {
  const test = async (t: Test): Promise<void> => {
    const started = Date.now()
    const say = (line: string): void => t.comment(`${Math.round((Date.now() - started) / 1000)} s  ${line}`)
    await run(t, await Rack.make(t, { ...options, say }))
  }
  firmwareTest(name, RACK_COMMANDS, test, { full })
}

/** What a disk holds, and whether its first MiB does. */
async function contentOf(rack: Rack): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(join(rack.folder, 'disk.raw'))) hash.update(part as Buffer)
  return hash.digest('hex')
}
function headIsEmpty(rack: Rack): boolean {
  const head = Buffer.alloc(1 << 20)
  readSync(openSync(join(rack.folder, 'disk.raw'), 'r'), head, 0, head.length, 0)
  return head.every((byte) => byte === 0)
}

rackTest('power cut in the middle of the install', { full: true }, async (t, rack) => {
  await rack.serve()
  await rack.runbook(['netboot', 'repave', 'n1'])
  await rack.power('on')
  await rack.until(/n1 .* installing: writes vda: [1-9]\d? %/)
  await rack.power('hard-off')
  t.ok(headIsEmpty(rack), 'the disk cannot boot')
  let at = rack.log.length
  await rack.power('on')
  // Nothing to boot there, and no installer either: nobody asked for it.
  await rack.until(/n1 .* boots its local disk/, 600, at)
  t.match(await rack.runbook(['netboot', 'status', 'n1']), { out: /n1 +installing/ })
  await rack.power('hard-off')
  t.match(await rack.runbook(['netboot', 'repave', 'n1']), { code: 2, out: /is installing; cancel that first/ })
  t.match(await rack.runbook(['netboot', 'repave', 'n1', '--cancel']), { code: 0 })
  t.match(await rack.runbook(['netboot', 'repave', 'n1']), { code: 0 })
  at = rack.log.length
  await rack.power('on')
  // Though the profile does not say wipe: what was broken off is no data.
  await rack.until(/n1 .*site\.yml applied/, 1200, at)
  t.equal(await rack.ssh('cat /etc/applied'), 'by runbook\n')
})

rackTest('the server is killed in the middle of each phase', { full: true }, async (t, rack) => {
  const phases = [
    /n1 .*DISCOVER .*OFFER/,
    /n1 .*TFTP ipxe\.efi done/,
    /n1 .* is given the installer/,
    /n1 .*GET \/files\/installer\/linux 200/,
    /n1 .* installing: installer runs/,
    /n1 .* installing: writes vda: 0 %/,
    /n1 .* installing: writes vda: [1-9]\d? %/,
    /n1 .* installing: image verified/,
    /n1 .* installing: configures n1/,
    /n1 .* installed: installed/,
    /n1 .* boots its local disk/,
    /n1 .* phones home/,
    /n1 .* apply /,
  ]
  await rack.serve()
  await rack.runbook(['netboot', 'repave', 'n1'])
  await rack.power('on')
  const killed: number[] = []
  for (let next = 0, at = 0; next < phases.length; ) {
    // Not the next one alone: what a machine tells while nobody listens is never said.
    const rest = phases.slice(next).map(({ source }) => `(${source})`)
    at = await rack.until(new RegExp(`${rest.join('|')}|site\\.yml applied`), 600, at)
    const line = rack.log.slice(rack.log.lastIndexOf('\n', at - 1) + 1, at)
    const phase = phases.findIndex((one, i) => i >= next && one.test(line))
    if (phase === -1) break
    await rack.killServer()
    killed.push(phase)
    next = phase + 1
    await rack.serve()
  }
  t.comment(`killed in phases ${killed}`)
  t.ok(killed.length >= phases.length - 4, 'nearly all of them were heard of')
  await rack.until(/n1 .*site\.yml applied/, 600)
  t.match(await rack.runbook(['netboot', 'status', 'n1']), { code: 0, out: /n1 +reachable/ })
  t.equal(await rack.ssh('cat /etc/applied'), 'by runbook\n')
  t.equal(rack.log.match(/is given the installer/g)?.length, 1)
})

const SECURE = { firmware: 'secure-boot', config: 'secure_boot: true' } as const

rackTest('Secure Boot: shim, signed GRUB, signed kernel; a disk that holds data is kept', SECURE, async (t, rack) => {
  writeFileSync(join(rack.folder, 'disk.raw'), 'precious', { flag: 'r+' })
  const before = await contentOf(rack)
  await rack.serve()
  await rack.runbook(['netboot', 'repave', 'n1'])
  await rack.power('on')
  await rack.until(/n1 .*TFTP \/?m\/n1\/…\/grubx64\.efi done/)
  await rack.until(/n1 .* is given the installer/)
  const at = await rack.until(/n1 .* failed: failed: vda \(ROOT-1\) holds data, and the profile does not say wipe/)
  t.match(rack.console, /secure boot enabled/i)
  await rack.until(/n1 .* boots its local disk/, 600, at)
  await rack.power('hard-off')
  t.equal(await contentOf(rack), before, 'not a byte was written')
  t.notMatch(rack.log, /ipxe/)
})

rackTest(
  'repaved where the profile says wipe, and not where the image is another',
  { profile: 'wipe: true', full: true },
  async (t, rack) => {
    writeFileSync(join(rack.folder, 'disk.raw'), 'precious', { flag: 'r+' })
    await rack.serve()
    await rack.runbook(['netboot', 'repave', 'n1'])
    await rack.power('on')
    let at = await rack.until(/n1 .*site\.yml applied/, 1200)
    await rack.ssh('echo kept >/root/kept; sync')
    const keys = await rack.ssh('cat /etc/ssh/ssh_host_ed25519_key.pub')
    await rack.runbook(['netboot', 'repave', 'n1'])
    await rack.ssh('systemctl reboot')
    at = await rack.until(/n1 .*site\.yml applied/, 1200, at)
    t.equal(await rack.ssh('cat /root/kept 2>/dev/null || echo gone'), 'gone\n')
    t.not(await rack.ssh('cat /etc/ssh/ssh_host_ed25519_key.pub'), keys, 'new keys, pinned over the old ones')
  },
)

rackTest(
  'SeaBIOS and the iPXE of its NIC: discovery of an unknown machine',
  { firmware: 'bios', known: false, config: 'unknown: enroll\ndiscover: true', full: true },
  async (t, rack) => {
    const before = await contentOf(rack)
    await rack.serve()
    await rack.power('on')
    await rack.until(new RegExp(`${MAC} .* is QEMU .*disks vda 1 GB ROOT-1; 1 NICs; bios`))
    const { out } = await rack.runbook(['netboot', 'machines', '--json'])
    const facts = JSON.parse(out).find((one: { macs: string[] }) => one.macs[0] === MAC).facts
    t.match(facts, {
      cpu: { threads: 2 },
      disks: [{ name: 'vda', serial: 'ROOT-1', size: 2 ** 30, path: /^pci-0000:/ }],
      nics: [{ mac: MAC, driver: 'virtio_net', link: true }],
      firmware: 'bios',
    })
    t.match((await rack.runbook(['netboot', 'machines', '--inventory-yaml'])).out, new RegExp(`netboot_mac: ${MAC}`))
    await rack.power('hard-off')
    t.equal(await contentOf(rack), before, 'not a byte was written')
  },
)

rackTest('Secure Boot from the installer to the system on the disk', { ...SECURE, full: true }, async (t, rack) => {
  await rack.serve()
  await rack.runbook(['netboot', 'repave', 'n1'])
  await rack.power('on')
  await rack.until(/n1 .*site\.yml applied/, 1200)
  // Four bytes of attributes, then the value.
  t.equal(await rack.ssh('tail -c 1 /sys/firmware/efi/efivars/SecureBoot-* | od -An -tu1'), '   1\n')
  t.notMatch(rack.log, /ipxe/)
})

rackTest('an image with cloud-init', { image: 'cloud', full: true }, async (t, rack) => {
  await rack.serve()
  await rack.runbook(['netboot', 'repave', 'n1'])
  await rack.power('on')
  await rack.until(/n1 .* phones home with 3 host keys/, 1200)
  await rack.until(/n1 .*site\.yml applied/)
  t.match(await rack.runbook(['netboot', 'status', 'n1']), { code: 0, out: /n1 +reachable/ })
  let status: string | undefined
  // Its last stage goes on after sshd is up.
  for (const end = Date.now() + 300_000; Date.now() < end; await sleep(2000)) {
    status = await rack.ssh('cloud-init status --long || :')
    if (/status: (done|error)/.test(status ?? '')) break
  }
  t.match(status, /status: done/)
  t.equal(await rack.ssh('cat /etc/hostname /etc/applied'), 'n1\nby runbook\n')
  t.match(await rack.ssh('ip -4 -o addr'), /10\.77\.0\.10\/24/)
  t.equal(await rack.ssh('sudo cat /run/cloud-init/cloud-id 2>/dev/null'), 'nocloud\n')
  t.match(await rack.ssh('df -BM --output=size /'), /\n *9\d\dM\n$/, 'it has grown its root by itself')
})

for (const controller of ['ipmi', 'redfish'] as const) {
  const name = `a machine that boots its disk first, repaved and rebooted through ${controller}`
  rackTest(name, { controller, full: true }, async (t, rack) => {
    await rack.serve()
    t.match(await rack.runbook(['netboot', 'repave', 'n1', '--restart']), { code: 0 })
    await rack.until(/n1 .*site\.yml applied/, 1200)

    const bootId = await rack.ssh('cat /proc/sys/kernel/random/boot_id')
    let at = rack.log.length
    const told = rack.controller.length
    t.match(await rack.runbook(['netboot', 'reboot', 'n1'], 900), { code: 0 })
    await rack.until(/n1 .* boots its local disk/, 600, at)
    await rack.reachable()
    t.not(await rack.ssh('cat /proc/sys/kernel/random/boot_id'), bootId)
    if (controller === 'ipmi')
      t.match(rack.controller.slice(told), /set boot pxe[\s\S]*set shutdown 1[\s\S]*set power 1/)

    // It runs, so its power is cut; it boots the network, or nothing would ask for the installer.
    at = rack.log.length
    t.match(await rack.runbook(['netboot', 'repave', 'n1', '--restart']), { code: 0 })
    await rack.until(/n1 .* failed: failed: vda \(ROOT-1\) holds data/, 900, at)
  })
}
