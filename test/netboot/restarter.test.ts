/** Restarts through power control, with a program as power control that keeps a log. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Restarter } from '../../src/cli/netboot-power.ts'
import { loadInventory } from '../../src/inventory/index.ts'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import { DEFAULT_WISH, Machines } from '../../src/netboot/machines.ts'

async function setUp(t: Test, { fails = '' }: { fails?: string } = {}) {
  const folder = t.testdir({
    inventory: {
      'hosts.yml': `all:
  hosts:
    n1: {netboot_mac: "52:54:00:77:00:0a", runbook_power: {type: command, command: ["{{ inventory_dir_of_test }}/power"]}}
    by-hand: {netboot_mac: "52:54:00:77:00:0b"}
    broken: {netboot_mac: "52:54:00:77:00:0c", runbook_power: {type: redfish}}
`,
      group_vars: { 'all.yml': '' },
    },
  })
  writeFileSync(join(folder, 'inventory/group_vars/all.yml'), `inventory_dir_of_test: ${folder}\n`)
  writeFileSync(
    join(folder, 'power'),
    `#!/bin/sh
echo "$ACTION" >> ${folder}/log
case $ACTION in
  ${fails || 'nothing'}) echo "the BMC is on fire" >&2; exit 1;;
  state) cat ${folder}/state 2>/dev/null || echo on;;
  soft-off|hard-off) echo off > ${folder}/state;;
  on) echo on > ${folder}/state;;
esac
`,
    { mode: 0o755 },
  )
  const db = openNetbootDatabase(undefined)
  t.teardown(() => db.close())
  const machines = new Machines(db)
  const inventory = await loadInventory([join(folder, 'inventory/hosts.yml')], {})
  const said: string[] = []
  const restarter = new Restarter({
    inventory: () => inventory,
    machines,
    folder,
    giveUp: { repave: 'leave', reboot: 'off' },
    say: (name, what) => void said.push(`${name} ${what}`),
  })
  const log = (): string[] =>
    existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8').trim().split('\n') : []
  const until = async (what: () => boolean): Promise<void> => {
    for (let i = 0; i < 600 && !what(); i++) await new Promise((done) => setTimeout(done, 50))
    if (!what()) throw new Error(`not seen: ${what}; ${said.join('; ')}; ${log().join(' ')}`)
  }
  return { machines, restarter, said, log, until }
}

const WISH = { ...DEFAULT_WISH, retries: 1, force: false }

t.test('from the network, off and on, once for each wish; and nobody else', async (t) => {
  const { machines, restarter, said, log, until } = await setUp(t)
  for (const name of ['n1', 'by-hand']) machines.restart(name, Date.now(), WISH)
  restarter.look([])
  restarter.look([])
  await until(() => log().at(-1) === 'state' && log().includes('on'))
  await restarter.stop()
  t.strictSame(
    log().filter((one) => one !== 'state'),
    ['boot-pxe', 'soft-off', 'on'],
  )
  t.match(said, [/^n1 is restarted from the network through command /])
  t.match(machines.state('n1'), { detail: 'restarts', restart: { begun: Number } })
  t.match(machines.state('by-hand'), { restart: { begun: undefined } }, 'waits for who restarts it')
})

t.test('a repave cuts the power', async (t) => {
  const { machines, restarter, log, until } = await setUp(t)
  machines.repave('n1', Date.now(), DEFAULT_WISH, DEFAULT_WISH)
  restarter.look([])
  await until(() => log().includes('on'))
  await restarter.stop()
  t.ok(log().includes('hard-off'))
  t.notOk(log().includes('soft-off'))
})

t.test('power control that fails is told of, and tried again when the time is over', async (t) => {
  const { machines, restarter, said, until } = await setUp(t, { fails: 'soft-off' })
  machines.restart('n1', Date.now(), WISH)
  restarter.look([])
  await until(() => said.length === 2)
  t.match(said[1], /^n1 power control: .*the BMC is on fire/)
  const wishes = { repave: DEFAULT_WISH, reboot: DEFAULT_WISH }
  machines.tick(Date.now() + DEFAULT_WISH.timeout, wishes)
  t.match(machines.state('n1'), { detail: /on fire.*; restarted once more/, restart: { retries: 0 } })
  await restarter.stop()
})

t.test('given up: turned off where the settings say so', async (t) => {
  const { machines, restarter, log, until } = await setUp(t)
  machines.restart('n1', Date.now(), { ...WISH, retries: 0 })
  machines.apply('n1', { type: 'restarting', at: Date.now() })
  const wishes = { repave: DEFAULT_WISH, reboot: DEFAULT_WISH }
  const late = machines.tick(Date.now() + DEFAULT_WISH.timeout, wishes)
  t.match(late, [{ name: 'n1', gaveUp: 'reboot' }])
  const [one] = late
  restarter.look([{ ...one!, gaveUp: 'repave' }])
  restarter.look(late)
  await until(() => log().includes('hard-off'))
  await restarter.stop()
  t.strictSame(
    log().filter((word) => word !== 'state'),
    ['hard-off'],
  )
})

t.test('what is wrong with the variable is told of', async (t) => {
  const { machines, restarter, said } = await setUp(t)
  machines.restart('broken', Date.now(), WISH)
  restarter.look([])
  t.match(said, [/^broken power control: .*runbook_power\.address/])
  await restarter.stop()
})
