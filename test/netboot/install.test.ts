/** From power-on with an empty disk to a machine that `runbook apply` has worked on; and no second time by itself. Minutes. */
import { openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { firmwareTest } from './lab.ts'
import { RACK_COMMANDS, Rack } from './rack.ts'

t.setTimeout(1800_000)

firmwareTest('an empty disk, OVMF, PXE, iPXE, installer, reboot to the disk, apply', RACK_COMMANDS, async (t) => {
  const started = Date.now()
  const say = (line: string): void => t.comment(`${Math.round((Date.now() - started) / 1000)} s  ${line}`)
  const rack = await Rack.make(t, { say })
  await rack.serve()
  t.match(await rack.runbook(['netboot', 'repave', 'n1']), { code: 0, out: /installed with profile debian/ })
  t.match(await rack.runbook(['power', 'on', 'n1']), { code: 0 })
  await rack.until(/n1 .* is given the installer of profile debian/)
  await rack.until(/n1 .* installing: image verified/)
  await rack.until(/n1 .* installed: installed/)
  let at = await rack.until(/n1 .* boots its local disk/)
  at = await rack.until(/n1 .* phones home with 3 host keys/, 600, at)
  await rack.until(/n1 .*site\.yml applied/, 600, at)

  t.match(await rack.runbook(['netboot', 'status', 'n1']), { code: 0, out: /n1 +reachable/ })
  const known = readFileSync(join(rack.folder, 'known_hosts'), 'utf8')
  const told = (await rack.ssh('cat /etc/ssh/ssh_host_*_key.pub'))!.trim().split('\n')
  for (const key of told) t.match(known, `10.77.0.10 ${key.split(' ').slice(0, 2).join(' ')}`)
  t.equal(await rack.ssh('cat /etc/hostname /etc/applied'), 'n1\nby runbook\n')
  t.match(await rack.ssh('ip -4 -o addr'), /10\.77\.0\.10\/24/)
  // The image's root has 640 MiB, the disk 1024.
  t.match(await rack.ssh('lsblk -bno SIZE /dev/vda2; df -BM --output=size /'), /^10[45]\d{7}\n *1M-blocks\n *9\d\dM\n$/)
  const plan = await rack.runbook(['plan', join(rack.folder, 'site.yml'), '--detailed-exitcode'])
  t.match(plan, { code: 0 }, 'a run by hand finds nothing left to do')

  // Nobody asks for anything: the power goes, and comes back.
  await rack.ssh('echo kept >/root/kept; sync')
  await rack.power('hard-off')
  const end = Buffer.alloc(8)
  readSync(openSync(join(rack.folder, 'disk.raw'), 'r'), end, 0, 8, 2 ** 30 - 512)
  t.equal(end.toString(), 'EFI PART', "GPT's second table is at the end of the disk")
  t.equal(await rack.ssh('true'), undefined)
  at = rack.log.length
  await rack.power('on')
  await rack.until(/n1 .* boots its local disk/, 600, at)
  await rack.reachable()
  t.equal(await rack.ssh('cat /root/kept'), 'kept\n', 'nothing was installed without a repave')
  t.notMatch(rack.log.slice(at), /installer/)
  t.notMatch(rack.log, /[A-Za-z0-9_-]{12}\.[A-Za-z0-9_-]{32}/, 'no token in the log')
})
