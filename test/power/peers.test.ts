/** Our clients against controllers that others wrote. The same with real hosts behind them: hosts.lab.test.ts. */
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openPower, parsePower } from '../../src/power/config.ts'
import type { Power } from '../../src/power/power.ts'
import { LOGIN, startFakeBmc } from './fake-bmc.ts'
import { memoryOutlet, type Wires, wire } from './outlet.ts'
import { IPMI, startIpmiSim, startSushy, sushyPython, withoutIpmi } from './peers.ts'

// sushy-tools takes 1 to 11 s for everything, as hardware does.
t.setTimeout(300_000)

const FOLDER = t.testdir({})

function open(t: Test, settings: Record<string, unknown>): { power: Power; notes: string[] } {
  const notes: string[] = []
  const context = { host: 'n1', folder: FOLDER, note: (text: string) => notes.push(text), addSecret: () => {} }
  const power = openPower(parsePower('n1', settings), context)
  t.teardown(() => power[Symbol.asyncDispose]())
  return { power, notes }
}

async function wires(
  t: Test,
  outlet = memoryOutlet(),
): Promise<{ outlet: ReturnType<typeof memoryOutlet>; wired: Wires }> {
  const wired = await wire(outlet)
  t.teardown(() => wired[Symbol.asyncDispose]())
  return { outlet, wired }
}

t.test('ipmi_sim', { skip: withoutIpmi }, async (t) => {
  const { outlet, wired } = await wires(t)
  const sim = await startIpmiSim(wired.url)
  t.teardown(() => sim[Symbol.asyncDispose]())
  const settings = { type: 'ipmi', address: '127.0.0.1', port: sim.port, ...IPMI }

  await t.test('on, off, cycle, reset', async (t) => {
    const { power } = open(t, settings) // without cipher: 17 is refused by it, 3 is found
    t.equal(await power.state(), 'off')
    t.equal(await power.on(), 'on')
    t.ok(outlet.isOn())
    await power.reset()
    t.equal(await power.off({ force: false }), 'off')
    t.notOk(outlet.isOn())
    await power.on()
    t.equal(await power.off({ force: true }), 'off')
    t.notOk(outlet.isOn())
    await power.cycle({ force: true })
    t.ok(outlet.isOn())
    t.same(wired.log, [
      'ipmi set power 1',
      'ipmi set reset 1',
      'ipmi set shutdown 1',
      'ipmi set power 1',
      'ipmi set power 0',
      'ipmi set power 1',
    ])
  })

  await t.test('boot', async (t) => {
    const { power } = open(t, { ...settings, cipher: 3 })
    // It keeps the device only, and neither the valid bit nor the UEFI flag: said, as it cannot be told from a fault.
    const pxe = await power.bootOnce('pxe')
    t.match(pxe, { target: 'pxe', once: true, notes: [/not mark it as valid/, /UEFI flag/] })
    t.equal(wired.log.at(-1), 'ipmi set boot pxe')
    t.match(await power.bootOnce('none'), { target: 'none', notes: [] })
    await t.rejects(power.bootOnce('http'), { name: 'PowerError', kind: 'unsupported' })
  })

  await t.test('a user that may only work the power', async (t) => {
    const { power } = open(t, { ...settings, cipher: 3, user: 'oper', privilege: 'operator' })
    t.equal(await power.state(), 'on')
  })

  await t.test('who may not, and where nobody is', async (t) => {
    const wrong = open(t, { ...settings, cipher: 3, password: 'wrong' })
    await t.rejects(wrong.power.on(), { name: 'PowerError', kind: 'auth', message: /does not let admin in/ })
    const nobody = open(t, { ...settings, port: 9 })
    await t.rejects(nobody.power.state(), {
      name: 'PowerError',
      kind: 'unreachable',
      message: /nothing answers to IPMI/,
    })
  })

  await t.test('the password stands on no command line', async (t) => {
    const { power } = open(t, { ...settings, cipher: 3 })
    const seen: string[] = []
    const look = setInterval(() => {
      for (const pid of readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean)) {
        try {
          seen.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
        } catch {
          // It has ended meanwhile.
        }
      }
    }, 5)
    for (let i = 0; i < 5; i++) await power.state()
    clearInterval(look)
    t.ok(
      seen.some((text) => text.startsWith('ipmitool -I lanplus')),
      'ipmitool was seen running',
    )
    t.notOk(seen.some((text) => text.includes(IPMI.password)))
  })

  await t.test('the program', async (t) => {
    const inventory = {
      all: { hosts: { n1: { runbook_power: settings }, n2: { runbook_power: { ...settings, password: 'wrong' } } } },
    }
    const folder = t.testdir({ 'inventory.yml': JSON.stringify(inventory) })
    const bin = join(import.meta.dirname, '../../bin/runbook.js')
    // Not spawnSync: the outlet is served by this process.
    const runbook = (...args: string[]) =>
      new Promise<{ status: number | null; stdout: string; stderr: string }>((done) => {
        const child = execFile(process.execPath, [bin, 'power', ...args], { cwd: folder }, (_, stdout, stderr) =>
          done({ status: child.exitCode, stdout, stderr }),
        )
      })
    t.match(await runbook('off', 'n1', '--force'), { status: 0, stdout: 'n1  off\n' })
    t.match(await runbook('boot-pxe', 'n1', '--next'), {
      status: 0,
      stdout: /n1 {2}off\n.*\n.*\n {4}the next boot comes/,
    })
    t.match(await runbook('boot-pxe', 'n1'), { status: 0, stdout: /^n1 {2}on\n/ })
    const both = await runbook('status', 'all', '--json')
    t.equal(both.status, 2)
    t.match(JSON.parse(both.stdout), [
      { host: 'n1', power: 'on', notes: [] },
      { host: 'n2', power: 'unknown', error: { kind: 'auth', message: /does not let admin in/ } },
    ])
    t.notOk(both.stdout.includes('wrong') || both.stderr.includes(IPMI.password))
  })
})

const found = sushyPython()

t.test("sushy-tools' emulator", { skip: found.skip ?? false }, async (t) => {
  const { outlet, wired } = await wires(t)
  const sushy = await startSushy(found.python!, wired.url)
  t.teardown(() => sushy[Symbol.asyncDispose]())
  const settings = { type: 'redfish', address: sushy.base.href, ...LOGIN }

  // The fake of redfish.test.ts, told to behave as the emulator does, must not be told from it.
  const fake = await startFakeBmc({ basicOnly: true, lateLooks: 2, enabledAs: 'Continuous', mode: 'sent' })
  t.teardown(() => fake[Symbol.asyncDispose]())
  for (const [name, base] of [
    ['the emulator', sushy.base],
    ['our fake', fake.base],
  ] as const)
    await t.test(`on, boot, off: ${name}`, async (t) => {
      const { power, notes } = open(t, { ...settings, address: base.href })
      t.equal(await power.state(), 'off')
      t.match(notes, [/recorded at first sight: SHA256:/])
      t.equal(await power.on(), 'on')
      if (base === sushy.base) t.ok(outlet.isOn(), 'it powers on late; that it is on was waited for')
      const pxe = await power.bootOnce('pxe')
      t.match(
        pxe,
        { target: 'pxe', once: false, notes: [/for every boot/] },
        'it stores Continuous when asked for Once',
      )
      t.match(await power.bootOnce('none'), { target: 'none' })
      await t.rejects(power.bootOnce('usb'), { name: 'PowerError', kind: 'unsupported', message: /it offers .*Pxe/ })
      t.equal(await power.off({ force: true }), 'off')
    })
  t.notOk(outlet.isOn())
  t.same(wired.log, ['sushy On', 'sushy Off'])

  await t.test('login and certificate', async (t) => {
    const wrong = open(t, { ...settings, password: 'wrong' })
    await t.rejects(wrong.power.on(), { name: 'PowerError', kind: 'auth' })
    t.equal(await open(t, { ...settings, certificate: sushy.sha256, system: 'n1' }).power.state(), 'off')
    const other = open(t, { ...settings, certificate: `SHA256:${'00'.repeat(32)}` })
    await t.rejects(other.power.on(), { name: 'PowerError', kind: 'certificate' })
    const text = readFileSync(
      execFileSync('sh', ['-c', `ls '${FOLDER}'/.runbook/bmc-certificates/*_${sushy.port}.json`], {
        encoding: 'utf8',
      }).trim(),
      'utf8',
    )
    t.match(JSON.parse(text), { subject: 'sushy' })
  })
})
