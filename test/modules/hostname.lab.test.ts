import hostname from '../../modules/hostname.ts'
import { onLab } from './on-lab.ts'

onLab('hostname', async (t, host) => {
  await host.converge(t, hostname, { name: 'rb-new.example.org', hosts: true })
  t.equal(await host.sh('hostname; cat /etc/hostname'), 'rb-new.example.org\nrb-new.example.org\n')
  // not `getent hosts` or `hostname -f`, which first ask DNS for an IPv6 address; hosts have none
  t.match(await host.sh('getent ahostsv4 rb-new'), /^127\.0\.1\.1 .* rb-new\.example\.org$/m)
  await host.sh('mkdir -p /etc/cloud/cloud.cfg.d')
  t.same(await host.converge(t, hostname, { name: 'rb-new.example.org' }), [
    'create /etc/cloud/cloud.cfg.d/99-runbook-hostname.cfg (0644)',
  ])
})
