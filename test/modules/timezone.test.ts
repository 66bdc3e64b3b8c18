import timezone from '../../modules/timezone.ts'
import type { Module } from '../../src/module/index.ts'
import { onLab } from './on-lab.ts'
import { table } from './table.ts'

const none = { exists: false, text: '', stat: undefined }
const zone = { type: 'file' }

table(timezone as Module, [
  {
    name: 'as wanted, by either way to write the link',
    args: { name: 'Etc/UTC' },
    state: { link: '../usr/share/zoneinfo/Etc/UTC', zone, named: none },
    changes: [],
  },
  {
    name: 'another',
    args: { name: 'Etc/UTC' },
    state: { link: undefined, zone, named: none },
    changes: ['set the time zone to Etc/UTC'],
  },
  {
    name: 'unknown',
    args: { name: 'Europe/Atlantis' },
    state: { link: undefined, zone: undefined, named: none },
    fails: /tzdata/,
  },
  {
    name: 'a folder of zones',
    args: { name: 'Europe' },
    state: { link: undefined, zone: { type: 'directory' }, named: none },
    fails: /no time zone Europe/,
  },
  { name: 'a way out', args: { name: '../../etc/shadow' }, state: {}, invalid: /name of a zone/ },
])

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
