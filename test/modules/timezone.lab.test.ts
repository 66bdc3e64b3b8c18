import timezone from '../../modules/timezone.ts'
import { onLab } from './on-lab.ts'

onLab('timezone', async (t, host) => {
  // the image has no tzdata; the format of a zone without rules is RFC 8536
  await host.sh(
    'mkdir -p /usr/share/zoneinfo/Lab; printf "TZif2" > /usr/share/zoneinfo/Lab/One; echo Etc/UTC > /etc/timezone',
  )
  t.same(await host.converge(t, timezone, { name: 'Lab/One' }), ['write /etc/timezone', 'set the time zone to Lab/One'])
  t.equal(
    await host.sh('readlink /etc/localtime; cat /etc/timezone; ls -A /etc | grep -c rb- || true'),
    '/usr/share/zoneinfo/Lab/One\nLab/One\n0\n',
  )
})
