/** Machines of this site and of others, and an inventory that changes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { InventoryWatch } from '../../src/cli/inventory-watch.ts'
import { readConfig } from '../../src/netboot/config.ts'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import { Directory } from '../../src/netboot/directory.ts'
import { explainBoot } from '../../src/netboot/explain.ts'
import { Machines } from '../../src/netboot/machines.ts'
import type { NetbootMachine } from '../../src/netboot/profile.ts'
import { Tokens } from '../../src/netboot/tokens.ts'
import { runbook } from '../cli/runbook.ts'

const CONFIG = `
interfaces: [eth9]
unknown: pool
networks: [{subnet: 10.77.0.0/24, pool: 10.77.0.100-10.77.0.110}]
files: boot
`
const machine = (name: string, last: string, more: Partial<NetbootMachine>): NetbootMachine => ({
  ...{ name, macs: [`52:54:00:77:00:${last}`], address: '10.77.0.10', groups: [], sshKeys: [], ...more },
})
const ALL = [
  machine('by-variable', '01', { site: 'bern' }),
  machine('by-group', '02', { groups: ['bern', 'workers'], address: '10.77.0.12' }),
  machine('variable-over-group', '03', { site: 'zurich', groups: ['bern'] }),
  machine('nowhere', '04', { address: '10.77.0.14' }),
]

t.test('one server, one site', async (t) => {
  const config = readConfig(join(t.testdir({ 'netboot.yml': CONFIG }), 'netboot.yml'))
  const directory = new Directory(config, ALL, 'bern')
  t.strictSame([...directory.machines.keys()], ['by-variable', 'by-group'])
  const db = openNetbootDatabase(undefined)
  t.teardown(() => db.close())
  const parts = { config, directory, machines: new Machines(db), tokens: new Tokens(db) }
  const answer = (last: string) =>
    explainBoot({ mac: `52:54:00:77:00:${last}`, client: 'uefi' }, parts, [0x0a4d0001])!.offers.map(
      ({ answer, reason }) => answer ?? reason,
    )
  t.strictSame(answer('01'), ['OFFER'])
  t.strictSame(answer('02'), ['OFFER'])
  t.strictSame(answer('03'), ['machine of another site'])
  t.strictSame(answer('04'), ['machine of another site'])
  t.strictSame(answer('99'), ['OFFER'], 'nobody knows it: as netboot.yml says')
  t.throws(() => new Directory(config, ALL, 'berne'), { message: /no machine is at site "berne"[\s\S]*bern/ })
  t.throws(() => new Directory(config, ALL), { message: /have the same address 10\.77\.0\.10/ }, 'without a site')
})

t.test('an inventory that is read again', async (t) => {
  const config = readConfig(join(t.testdir({ 'netboot.yml': CONFIG }), 'netboot.yml'))
  const [one, two, three] = ALL as [NetbootMachine, NetbootMachine, NetbootMachine]
  const directory = new Directory(config, [one])
  t.throws(() => directory.replace([one, three]), { message: /the same address/ })
  t.strictSame([...directory.machines.keys()], ['by-variable'], 'nothing has changed')
  directory.replace([two])
  t.equal(directory.find({ mac: one.macs[0]! }), undefined)
  t.equal(directory.find({ mac: two.macs[0]! })?.name, 'by-group')
  t.ok(directory.reserved(0x0a4d000c))
})

t.test('a change of its files is seen, once, when it is settled', async (t) => {
  const folder = t.testdir({ 'hosts.yml': 'a', group_vars: { all: { 'x.yml': 'a' } }, other: 'a', site: {} })
  let seen = 0
  await using _ = new InventoryWatch({
    sources: [join(folder, 'hosts.yml'), 'n1,n2'],
    folders: [join(folder, 'site')],
    period: 20,
    changed: async () => void seen++,
  })
  const pause = (): Promise<void> => new Promise((done) => setTimeout(done, 300))
  const until = async (count: number): Promise<void> => {
    for (let i = 0; i < 600 && seen < count; i++) await new Promise((done) => setTimeout(done, 50))
    await pause()
    t.equal(seen, count)
  }
  await pause()
  writeFileSync(join(folder, 'other'), 'b')
  await until(0)
  writeFileSync(join(folder, 'hosts.yml'), 'b')
  await until(1)
  writeFileSync(join(folder, 'group_vars/all/x.yml'), 'bb')
  await until(2)
})

t.test('a stranger that was put into the inventory is none any more', async (t) => {
  const folder = t.testdir({
    'netboot.yml': CONFIG,
    'inventory.yml': 'all: {hosts: {n1: {netboot_mac: ["52:54:00:77:00:01", "52:54:00:77:00:02"]}}}',
  })
  const db = openNetbootDatabase(folder)
  for (const last of ['02', '03']) new Machines(db).discover(`52:54:00:77:00:${last}`, 1)
  db.close()
  const { out } = await runbook(['netboot', 'machines', '-i', 'inventory.yml'], folder)
  t.match(out, /^n1 .*\n\(unknown\) +52:54:00:77:00:03 .*\n$/m)
  const yaml = await runbook(['netboot', 'machines', '--inventory-yaml', '-i', 'inventory.yml'], folder)
  t.equal(yaml.out, 'all:\n  hosts:\n    new-525400770003:\n      netboot_mac: 52:54:00:77:00:03\n')
})
