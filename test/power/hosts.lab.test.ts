/** Controllers of others that switch real hosts: when we say off, the host is off. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openPower, parsePower } from '../../src/power/config.ts'
import type { Power } from '../../src/power/power.ts'
import { bootLab, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { LOGIN } from './fake-bmc.ts'
import { type Outlet, wire } from './outlet.ts'
import { IPMI, startIpmiSim, startSushy, sushyPython, withoutIpmi } from './peers.ts'

t.setTimeout(600_000)

/** The power of a lab host; `settled` is when what was begun has ended. */
function labOutlet(lab: Lab, host: string): Outlet & { settled(): Promise<void> } {
  let running: Promise<unknown> = Promise.resolve()
  return {
    isOn: () => lab.isOn(host),
    async on() {
      if (lab.isOn(host)) return
      const up = lab.powerOn(host)
      running = up
      // powerOn waits for sshd; the power is there before.
      while (!lab.isOn(host)) await Promise.race([up, sleep(50)])
    },
    button() {
      running = lab.powerOff(host)
    },
    cut: () => lab.kill(host),
    async settled() {
      await running
    },
  }
}

const bootId = async (lab: Lab, host: string): Promise<string> =>
  (await lab.exec(host, ['cat', '/proc/sys/kernel/random/boot_id'])).stdout.trim()

function open(t: Test, folder: string, settings: Record<string, unknown>): Power {
  const power = openPower(parsePower('n1', settings), { host: 'n1', folder, note: () => {}, addSecret: () => {} })
  t.teardown(() => power[Symbol.asyncDispose]())
  return power
}

t.test('real hosts', { skip: skipWithoutLab() }, async (t) => {
  const folder = t.testdir({})
  await using lab = await bootLab({ hosts: 1 })
  const outlet = labOutlet(lab, 'n1')
  await using wired = await wire(outlet)

  await t.test('IPMI', { skip: withoutIpmi }, async (t) => {
    await using sim = await startIpmiSim(wired.url)
    const power = open(t, folder, { type: 'ipmi', address: '127.0.0.1', port: sim.port, cipher: 3, ...IPMI })
    t.equal(await power.state(), 'on')
    const before = await bootId(lab, 'n1')
    t.equal(await power.off({ force: false }), 'off')
    t.notOk(lab.isOn('n1'), 'shut down')
    await outlet.settled()
    t.equal(await power.on(), 'on')
    await outlet.settled()
    const after = await bootId(lab, 'n1')
    t.not(after, before, 'it has booted')
    const { stdout } = await lab.exec('n1', ['systemctl', 'is-system-running', '--wait'])
    t.match(stdout, /running|degraded/)
    t.equal(await power.cycle({ force: true }), 'on')
    await outlet.settled()
    t.not(await bootId(lab, 'n1'), after, 'and again')
  })

  const found = sushyPython()
  await t.test('Redfish', { skip: found.skip ?? false }, async (t) => {
    await using sushy = await startSushy(found.python!, wired.url)
    const power = open(t, folder, { type: 'redfish', address: sushy.base.href, ...LOGIN })
    await lab.kill('n1')
    t.equal(await power.on(), 'on')
    t.ok(lab.isOn('n1'))
    await outlet.settled()
    const before = await bootId(lab, 'n1')
    t.equal(await power.off({ force: true }), 'off')
    t.notOk(lab.isOn('n1'), 'the power is cut')
    t.equal(await power.on(), 'on')
    await outlet.settled()
    t.not(await bootId(lab, 'n1'), before)
  })
})
