import { readFileSync } from 'node:fs'
import swap from '../../modules/swap.ts'
import { onLab } from './on-lab.ts'

const FSTAB = '# /etc/fstab\nUUID=1 / ext4 defaults 0 1\nUUID=2\tnone\tswap\tsw\t0 0\n/swap.img none swap sw 0 0\n'

// A lab host's /proc/swaps is the machine's own: there must be none, for swapoff would be for all.
const quiet = readFileSync('/proc/swaps', 'utf8').trim().split('\n').length === 1

onLab('swap', async (t, host) => {
  if (!quiet) {
    await t.test('swap', { skip: 'this machine swaps, and swapoff would be for all of it' }, async () => {})
    return
  }
  await host.sh(`cat > /etc/fstab && mkdir -p /usr/lib/systemd/system-generators`, FSTAB)
  // what systemd-gpt-auto-generator writes for a partition of the type of swap (its add_swap())
  await host.sh(
    `g=/usr/lib/systemd/system-generators; rm -f $g/systemd-gpt-auto-generator; cat > $g/lab-gpt && chmod +x $g/lab-gpt; printf '#!/bin/sh\\n' > $g/zram-generator; chmod +x $g/zram-generator; systemctl daemon-reload`,
    '#!/bin/sh\nprintf "[Unit]\\nDescription=Swap Partition\\n[Swap]\\nWhat=/dev/lab9\\n" > "$3/dev-lab9.swap"\n',
  )
  t.same(await host.converge(t, swap, {}), [
    'write /etc/fstab',
    'turn zram-generator off (empty /etc/systemd/zram-generator.conf)',
    'systemctl daemon-reload',
    'mask dev-lab9.swap, swap.target',
  ])
  t.match(await host.sh('cat /etc/fstab'), /^#UUID=2\tnone\tswap/m)
  t.match(await host.sh('systemctl is-enabled swap.target dev-lab9.swap || true'), /^masked\nmasked\n$/)
  t.same((await host.apply(swap, {})).result, { devices: [] })
})
