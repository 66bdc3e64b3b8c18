/** A real reboot of a systemd host over SSH; mount, cron and file on a host with systemd. */
import { setTimeout } from 'node:timers/promises'
import cron from '../../modules/cron.ts'
import file from '../../modules/file.ts'
import mount from '../../modules/mount.ts'
import reboot from '../../modules/reboot.ts'
import waitFor from '../../modules/wait_for.ts'
import waitForConnection from '../../modules/wait_for_connection.ts'
import { connect } from '../../src/session/connect.ts'
import type { Connection } from '../../src/session/session.ts'
import { act, actionContext } from './drive.ts'
import { onLab } from './on-lab.ts'

onLab('reboot', async (t, bench) => {
  const { lab, sh } = bench
  const [host] = lab.hosts
  const target = {
    name: host!.name,
    connection: 'ssh2',
    address: host!.address,
    user: 'root',
    privateKeyFile: lab.privateKeyFile,
    knownHostsFile: lab.knownHostsFile,
    sshConfigFile: 'none',
  } as const
  const tryConnect = (connectTimeoutMs: number) => connect({ ...target, connectTimeoutMs })
  let connection: Connection | undefined
  t.teardown(() => connection?.close())
  const shell = async () => {
    connection ??= await tryConnect(10_000)
    return await connection.shell()
  }
  const ctx = actionContext(
    { shell: undefined as never, host: '', controller: '/nonexistent' },
    {
      signal: AbortSignal.timeout(240_000),
      tryConnect,
      shell,
      run: async (script, options) => (await shell()).run(script, options),
      disconnect: async () => {
        await connection?.close()
        connection = undefined
      },
      sleep: (ms) => setTimeout(ms),
    },
  )
  const bootId = async () => (await ctx.run('cat /proc/sys/kernel/random/boot_id')).stdout.toString().trim()
  const before = await bootId()
  await ctx.run('touch /run/of-this-boot /root/stays')
  const { data } = await act(
    reboot,
    { reboot_timeout: 120, test_command: 'systemctl is-active ssh || systemctl is-active sshd' },
    ctx,
  )
  const after = await bootId()
  t.not(after, before)
  t.equal(data?.boot_id, after)
  t.equal((await ctx.run('ls /run/of-this-boot /root/stays')).stdout.toString().trim(), '/root/stays')
  t.comment(`rebooted in ${data?.elapsed} s`)
  await act(waitForConnection, {}, ctx)
  await act(waitFor, { port: 22, timeout: 30 }, ctx)
  await ctx.disconnect()
  await sh('true')
})

onLab('mount, cron and file', async (t, bench) => {
  const { sh } = bench
  const args = { path: '/srv/a data', src: 'lab-data', fstype: 'tmpfs', opts: 'size=2m,nofail', state: 'mounted' }
  await bench.converge(t, mount, args)
  t.match(
    await sh(
      'cat /etc/fstab; findmnt -no OPTIONS "/srv/a data"; for i in 1 2 3 4 5 6 7 8; do systemctl -q is-active srv-*.mount && break; sleep 0.5; done; systemctl is-active "$(systemd-escape -p --suffix=mount "/srv/a data")"',
    ),
    /lab-data \/srv\/a\\040data[\s\S]*rw[\s\S]*\nactive/,
  )
  await bench.converge(t, mount, { ...args, opts: 'size=2m,ro' })
  await t.rejects(bench.apply(file, { path: '/srv', state: 'absent' }), /is a mount point: unmount it first/)
  await bench.converge(t, mount, { path: '/srv/a data', state: 'absent' })
  await bench.converge(t, cron, { name: 'trim', job: '/sbin/fstrim -A', special_time: 'weekly', cron_file: 'trim' })
  t.equal(await sh('cat /etc/cron.d/trim'), '#runbook: trim\n@weekly root /sbin/fstrim -A\n')
})
