import t from 'tap'
import { openNetbootDatabase } from '../../src/netboot/database.ts'
import type { DhcpEvent } from '../../src/netboot/dhcp/server.ts'
import { Machines } from '../../src/netboot/machines.ts'
import { Strangers } from '../../src/netboot/strangers.ts'

const HOUR = 3600_000
const NOW = 1_700_000_000_000

const event = (more: Partial<DhcpEvent> = {}): DhcpEvent => ({
  time: NOW,
  mac: '52:54:00:00:00:01',
  message: 'DISCOVER',
  kind: 'pxe',
  arch: 7,
  machine: undefined,
  answer: undefined,
  address: undefined,
  file: undefined,
  relay: undefined,
  reason: 'unknown machine',
  counted: 'stranger',
  ...more,
})

t.test('who asks to boot and is not known is told of once an hour, and remembered', async (t) => {
  const machines = new Machines(openNetbootDatabase(undefined))
  const told: string[] = []
  const strangers = new Strangers(machines, (mac, what) => told.push(`${mac} ${what}`))
  for (const more of [
    {},
    { time: NOW + 4000 },
    { mac: '52:54:00:00:00:02', kind: 'os' },
    { mac: '52:54:00:00:00:02', message: 'REQUEST' },
    { mac: '52:54:00:00:00:02', counted: undefined, machine: 'n1' },
    { mac: '52:54:00:00:00:02', counted: 'strange_relay' },
  ] as const)
    strangers.see(event(more))
  t.strictSame(told, ['52:54:00:00:00:01 asks to boot from the network (pxe), and is not in the inventory: no answer'])
  t.strictSame([...machines.all().keys()], ['52:54:00:00:00:01'])
  strangers.see(event({ time: NOW + HOUR - 1 }))
  t.equal(told.length, 1)
  strangers.see(event({ time: NOW + HOUR }))
  t.equal(told.length, 2)
})

t.test('invented MAC addresses cost no more than 200 lines and writes an hour', async (t) => {
  const machines = new Machines(openNetbootDatabase(undefined))
  let told = 0
  const strangers = new Strangers(machines, () => told++)
  const mac = (n: number): string =>
    `52:54:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`
  for (let n = 0; n < 5000; n++) strangers.see(event({ mac: mac(n), time: NOW + n }))
  t.equal(told, 200)
  t.equal(machines.all().size, 200)
  strangers.see(event({ mac: mac(5000), time: NOW + HOUR }))
  t.equal(told, 201, 'the first of them have been forgotten')
})
