import t from 'tap'
import alternatives from '../../modules/alternatives.ts'
import type { Module } from '../../src/module/index.ts'
import { onLab } from './on-lab.ts'
import { table } from './table.ts'

const [NFT, LEGACY] = ['/usr/sbin/iptables-nft', '/usr/sbin/iptables-legacy']
const group = (more: object = {}) => ({
  group: {
    link: '/usr/sbin/iptables',
    isAuto: true,
    current: NFT,
    priorities: new Map([
      [NFT, 20],
      [LEGACY, 10],
    ]),
    ...more,
  },
})
const iptables = { name: 'iptables', path: LEGACY }

table(alternatives as Module, [
  { name: 'another one', args: iptables, state: group(), changes: [`iptables is ${LEGACY}`] },
  { name: 'it is so', args: { ...iptables, path: NFT }, state: group(), changes: [] },
  { name: 'priority is left alone', args: { ...iptables, state: 'present' }, state: group(), changes: [] },
  {
    name: 'priority',
    args: { ...iptables, state: 'present', priority: 30 },
    state: group(),
    changes: [`make ${LEGACY} an alternative of iptables`],
  },
  {
    name: 'a new one',
    args: { name: 'iptables', path: '/opt/x', priority: 5 },
    state: group(),
    changes: ['make /opt/x an alternative of iptables', 'iptables is /opt/x'],
  },
  {
    name: 'a new one, and nobody knows of what',
    args: { name: 'iptables', path: '/opt/x' },
    state: group({ link: undefined }),
    fails: /none of the alternatives of iptables \(.*nft.*legacy.*`link`/,
  },
  { name: 'no such group', args: iptables, state: { group: undefined }, fails: /`link` says/ },
  {
    name: 'by priority again',
    args: { ...iptables, state: 'auto' },
    state: group({ isAuto: false, current: LEGACY }),
    changes: ['iptables is chosen by priority'],
  },
  { name: 'by priority already', args: { ...iptables, state: 'auto' }, state: group(), changes: [] },
  {
    name: 'gone',
    args: { ...iptables, state: 'absent' },
    state: group(),
    changes: [`take ${LEGACY} out of the alternatives of iptables`],
  },
  { name: 'gone already', args: { ...iptables, path: '/opt/x', state: 'absent' }, state: group(), changes: [] },
])

t.test('what the programs print', (t) => {
  const read = (alternatives as Module).probe((alternatives as Module).args.parse(iptables))
  const parse = (text: string) =>
    (read.from([{ out: Buffer.from(text), rc: 0 }]) as { group: { priorities: Map<string, number> } }).group
  t.match(
    parse(`iptables - manual mode
  link best version is ${NFT}
  link currently points to ${LEGACY}
  link iptables is /usr/sbin/iptables
  slave iptables-restore is /usr/sbin/iptables-restore
${LEGACY} - priority 10
  slave iptables-restore: /usr/sbin/iptables-legacy-restore
${NFT} - priority 20
  slave iptables-restore: /usr/sbin/iptables-nft-restore
`),
    group({ isAuto: false, current: LEGACY }).group,
    'of dpkg',
  )
  t.match(
    parse(`java - status is auto.
 link currently points to /usr/lib/jvm/11/bin/java
/usr/lib/jvm/11/bin/java - family java-11.x86_64 priority 1100
 slave jre: /usr/lib/jvm/11
Current \`best' version is /usr/lib/jvm/11/bin/java.
`),
    {
      link: undefined,
      isAuto: true,
      current: '/usr/lib/jvm/11/bin/java',
      priorities: new Map([['/usr/lib/jvm/11/bin/java', 1100]]),
    },
    'of chkconfig',
  )
  t.end()
})

onLab('alternatives', async (t, host) => {
  await host.sh('for n in one two; do printf "#!/bin/sh\\necho $n\\n" >/usr/local/$n; chmod +x /usr/local/$n; done')
  const tool = { name: 'lab-tool', link: '/usr/local/bin/lab-tool' }
  const said = () => host.sh('/usr/local/bin/lab-tool')
  t.same(await host.converge(t, alternatives, { ...tool, path: '/usr/local/one' }), [
    'make /usr/local/one an alternative of lab-tool',
    'lab-tool is /usr/local/one',
  ])
  t.equal(await said(), 'one\n')
  await host.converge(t, alternatives, { ...tool, path: '/usr/local/two', priority: 90, state: 'present' })
  t.equal(await said(), 'one\n', 'it was chosen by hand')
  t.same(await host.converge(t, alternatives, { name: 'lab-tool', path: '/usr/local/two', state: 'auto' }), [
    'lab-tool is chosen by priority',
  ])
  t.equal(await said(), 'two\n')
  await host.converge(t, alternatives, { name: 'lab-tool', path: '/usr/local/two', state: 'absent' })
  t.equal(await said(), 'one\n')
  await t.rejects(host.apply(alternatives, { ...tool, path: '/usr/local/none' }), /doesn't exist|does not exist/)
})
