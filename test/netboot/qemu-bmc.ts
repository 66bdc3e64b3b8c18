/**
 * A controller that others wrote (ipmi_sim, or sushy-tools' for Redfish) whose switch is that of a QEMU machine:
 * `qemu-bmc.ts ipmi|redfish FOLDER`. Prints the `runbook_power` that reaches it, then what it is told. Like hardware, the
 * machine boots its disk unless the controller was told to boot from the network before it was turned on.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { LOGIN } from '../power/fake-bmc.ts'
import { type Outlet, wire } from '../power/outlet.ts'
import { IPMI, startIpmiSim, startSushy, sushyPython } from '../power/peers.ts'

const [kind, folder] = process.argv.slice(2) as [string, string]

function power(action: string, env: Record<string, string> = {}): string {
  const argv = [join(import.meta.dirname, 'qemu-power.ts'), folder]
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    env: { ...process.env, ACTION: action, ...env },
  })
  if (status !== 0) throw new Error(`${action}: ${stderr}`)
  return stdout.trim()
}

let isNetworkNext = false
const outlet: Outlet = {
  isOn: () => power('state') === 'on',
  async on() {
    power('on', isNetworkNext ? {} : { BOOT: 'disk' })
    isNetworkNext = false
  },
  button: () => void power('soft-off'),
  async cut() {
    power('hard-off')
  },
  boot(device) {
    isNetworkNext = device.toLowerCase() === 'pxe'
  },
}

const wired = await wire(outlet)
const say = (text: string): void => void process.stdout.write(`${text}\n`)
let peer: AsyncDisposable | undefined
process.once('SIGTERM', async () => {
  await peer?.[Symbol.asyncDispose]()
  process.exit()
})
if (kind === 'ipmi') {
  const sim = await startIpmiSim(wired.url)
  peer = sim
  say(JSON.stringify({ type: 'ipmi', address: '127.0.0.1', port: sim.port, cipher: 3, ...IPMI }))
} else {
  const { python, skip } = sushyPython()
  if (!python) throw new Error(skip)
  const sushy = await startSushy(python, wired.url)
  peer = sushy
  say(JSON.stringify({ type: 'redfish', address: sushy.base.href, ...LOGIN }))
}
for (let told = 0; ; await new Promise((done) => setTimeout(done, 200))) {
  while (told < wired.log.length) say(wired.log[told++]!)
}
