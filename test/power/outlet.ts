/** What a controller of the tests switches: something with power, behind HTTP so that other programs reach it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Outlet {
  isOn(): boolean
  /** Returns when the power is on, not yet when a host is up. */
  on(): Promise<void>
  /** The power button: returns at once. */
  button(): void
  cut(): Promise<void>
  /** From where it is to boot, as the controller names it: `pxe`, `none`; `Pxe`, `Hdd`. */
  boot?(device: string): void
}

/** A host in memory that needs some time to shut down. */
export function memoryOutlet(): Outlet & { on_: boolean } {
  const outlet = {
    on_: false,
    isOn: () => outlet.on_,
    async on() {
      outlet.on_ = true
    },
    button() {
      setTimeout(() => {
        outlet.on_ = false
      }, 300)
    },
    async cut() {
      outlet.on_ = false
    },
  }
  return outlet
}

export interface Wires extends AsyncDisposable {
  readonly url: string
  /** What was asked for, in order: `ipmi set power 1`, `sushy On`. */
  readonly log: string[]
}

/**
 * `POST /ipmi` with the arguments of ipmi_sim's chassis script as JSON; `PUT /` with a system as sushy-tools' fake driver
 * notifies of it. Answers when the outlet has done it.
 */
export async function wire(outlet: Outlet): Promise<Wires> {
  const log: string[] = []
  let boot = 'none'
  const ipmi = async (args: readonly string[]): Promise<string> => {
    const [verb, ...rest] = args
    if (verb === 'set') log.push(`ipmi ${args.join(' ')}`)
    let out = ''
    for (let i = 0; i < rest.length; i += verb === 'set' ? 2 : 1) {
      const [name, value] = [rest[i]!, rest[i + 1]]
      if (verb === 'get') out += `${name}:${name === 'power' ? (outlet.isOn() ? 1 : 0) : name === 'boot' ? boot : 0}\n`
      else if (verb === 'set' && name === 'power') await (value === '1' ? outlet.on() : outlet.cut())
      else if (verb === 'set' && name === 'boot') {
        boot = value!
        outlet.boot?.(boot)
      } else if (verb === 'set' && name === 'shutdown') outlet.button()
      else if (verb === 'set' && name === 'reset') await outlet.cut().then(() => outlet.on())
    }
    return out
  }
  const sushy = async (system: { power_state?: string; boot_device?: string }): Promise<void> => {
    const { power_state: power, boot_device: device } = system
    if (device !== undefined) outlet.boot?.(device)
    if ((power === 'On') === outlet.isOn()) return
    log.push(`sushy ${power}`)
    await (power === 'On' ? outlet.on() : outlet.cut())
  }
  const server = createServer(async (request, response) => {
    try {
      const body = JSON.parse(await text(request))
      const out = request.url === '/ipmi' ? await ipmi(body) : await sushy(body)
      response.end(out ?? '')
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    log,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
