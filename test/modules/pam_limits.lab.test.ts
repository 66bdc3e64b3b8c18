/** Limits that a real login gets. */
import limits from '../../modules/pam_limits.ts'
import { onLab } from './on-lab.ts'

onLab('pam_limits', async (t, host) => {
  const dest = '/etc/security/limits.d/90-lab.conf'
  const files = { domain: 'ops', limit_type: '-', limit_item: 'nofile', value: 777, dest }
  t.same(await host.converge(t, limits, files), [`create ${dest} (0644)`])
  t.equal(await host.sh("su ops -c 'ulimit -n; ulimit -Hn'"), '777\n777\n')
  t.same(await host.converge(t, limits, { ...files, value: 555, use_max: true }), [])
  t.same(await host.converge(t, limits, { ...files, value: 555, backup: true }), [`write ${dest}`])
  t.equal(await host.sh("su ops -c 'ulimit -n'"), '555\n')
  t.equal(await host.sh('ls /etc/security/limits.d | wc -l'), '2\n', 'the old one beside it')
})
