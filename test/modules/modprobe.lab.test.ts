import { spawnSync } from 'node:child_process'
import modprobe from '../../modules/modprobe.ts'
import { onLab } from './on-lab.ts'

/** Whether this machine's kernel has an option built in; lab hosts share the kernel. */
const builtInHere = (option: string): boolean =>
  spawnSync('sh', ['-c', `zcat /proc/config.gz | grep -qx CONFIG_${option}=y`]).status === 0

onLab('modprobe', async (t, host) => {
  const names = [
    ...(builtInHere('OVERLAY_FS') ? ['overlay'] : []),
    ...(builtInHere('BRIDGE_NETFILTER') ? ['br-netfilter'] : []),
  ]
  if (names.length > 0) {
    t.same(await host.converge(t, modprobe, { name: names, file: 'lab' }), [
      'create /etc/modules-load.d/lab.conf (0644)',
    ])
    t.equal(await host.sh('cat /etc/modules-load.d/lab.conf'), `${names.join('\n')}\n`)
    t.same((await host.apply(modprobe, { name: names, file: 'lab' })).result, { built_in: names })
    await t.rejects(host.check(modprobe, { name: names[0], state: 'absent' }), /built into the kernel/)
  }
  await t.rejects(host.check(modprobe, { name: 'rb_no_such_module' }), /has no module rb_no_such_module/)
})
