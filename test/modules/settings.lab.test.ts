/** sysctl, cron and mount on a real host. */
import { onLabHost } from './play.ts'

onLabHost('modules of settings', async (t, host) => {
  await t.test('sysctl', async (t) => {
    await host.sh("printf '# mine\\nnet.ipv4.conf.lo.log_martians = 0\\n' >/etc/sysctl.d/50-mine.conf")
    await host.converges(
      t,
      { name: 'one', sysctl: { name: 'net.ipv4.conf.all.log_martians', value: 1 } },
      {
        name: 'many',
        sysctl: {
          values: { 'net.ipv4.conf.lo.log_martians': 1, 'net.ipv4.ip_local_port_range': '20000 60000' },
          file: '/etc/sysctl.d/50-mine.conf',
        },
      },
    )
    t.equal(
      await host.sh(`sysctl -n net.ipv4.conf.all.log_martians net.ipv4.conf.lo.log_martians net.ipv4.ip_local_port_range
        cat /etc/sysctl.d/50-mine.conf; stat -c '%a %U' /etc/sysctl.d/90-runbook.conf /etc/sysctl.d/50*`),
      `1
1
20000\t60000
# mine
net.ipv4.conf.lo.log_martians = 1
net.ipv4.ip_local_port_range = 20000 60000
644 root
644 root
`,
    )
    // The kernel's value alone drifts: a reboot, a hand.
    await host.sh('sysctl -qw net.ipv4.conf.lo.log_martians=0')
    await host.converges(t, {
      sysctl: { name: 'net.ipv4.conf.lo.log_martians', value: 1, file: '/etc/sysctl.d/50-mine.conf' },
    })
    await host.refuses(t, [
      /the kernel has no parameter net.ipv4.no_such_thing/,
      { sysctl: { name: 'net.ipv4.no_such_thing', value: 1 } },
    ])
  })

  await t.test('cron', async (t) => {
    await host.sh("printf '# by hand\\n1 1 * * * true\\n' | crontab -")
    await host.converges(
      t,
      { name: 'new', cron: { name: 'look', minute: '*/5', job: 'test -n "a  b" && echo "%x $HOME"' } },
      { name: 'of ops', cron: { name: 'tidy', special_time: 'daily', job: 'true', user: 'ops' } },
    )
    t.match(
      await host.sh('crontab -l; crontab -l -u ops'),
      /# by hand\n1 1 \* \* \* true\n[\s\S]*\*\/5 \* \* \* \* test -n[\s\S]*@daily true/,
    )
    await host.converges(t, { name: 'gone', cron: { name: 'look', state: 'absent' } })
    t.equal(await host.sh('crontab -l | grep -v "^# DO NOT\\|^# (" '), '# by hand\n1 1 * * * true\n')
  })

  await t.test('mount', async (t) => {
    await host.sh("mkdir -p '/srv/with blank'; printf '# fstab\\n' >/etc/fstab")
    const tmpfs = { src: 'tmpfs', fstype: 'tmpfs' }
    await host.converges(
      t,
      { name: 'now', mount: { path: '/srv/mounted', ...tmpfs, opts: 'size=1m,nosuid', state: 'mounted' } },
      { name: 'blank', mount: { path: '/srv/with blank', ...tmpfs, opts: 'size=2m', state: 'mounted' } },
      { name: 'later', mount: { path: '/srv/later', ...tmpfs, opts: 'noauto', state: 'present' } },
    )
    t.equal(
      await host.sh(
        "findmnt -no OPTIONS /srv/mounted | grep -c nosuid; findmnt -rno SIZE '/srv/with blank'; grep -c '^tmpfs /srv' /etc/fstab; findmnt --verify >/dev/null && echo fine",
      ),
      '1\n2M\n3\nfine\n',
    )
    await host.converges(
      t,
      { name: 'off', mount: { path: '/srv/mounted', state: 'absent' } },
      { name: 'blank off', mount: { path: '/srv/with blank', state: 'unmounted' } },
    )
    t.equal(await host.sh("grep -c srv /proc/mounts || :; grep -c '^tmpfs' /etc/fstab"), '0\n2\n')

    // As on an ostree system, where /mnt is a link.
    await host.sh('mkdir /srv/var && ln -s var /srv/link')
    const linked = { path: '/srv/link/data', ...tmpfs, opts: 'size=1m' }
    await host.converges(t, { name: 'below a link', mount: { ...linked, state: 'mounted' } })
    t.equal(await host.sh('grep -c /srv/var/data /proc/mounts; grep -c /srv/link/data /etc/fstab'), '1\n1\n')
    await host.converges(t, { name: 'and off', mount: { ...linked, state: 'absent' } })
    t.equal(await host.sh('grep -c /srv/var/data /proc/mounts || :'), '0\n')
  })
})
