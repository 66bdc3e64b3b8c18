/** The servers of a first boot in one: DHCP, TFTP and HTTP over one desk. */
import { UserError } from '../shared/errors.ts'
import { addressesOf, type Ip4, parseIp4 } from './address.ts'
import { type BootEvent, Desk } from './boot.ts'
import type { NetbootConfig } from './config.ts'
import { Leases } from './dhcp/leases.ts'
import { type DhcpEvent, DhcpServer } from './dhcp/server.ts'
import { UdpTransport } from './dhcp/udp-transport.ts'
import type { Directory } from './directory.ts'
import { type HttpEvent, HttpServer } from './http/server.ts'
import { followAddresses } from './later-addresses.ts'
import type { Late, Machines } from './machines.ts'
import { RouterAdvertiser } from './router-advertisement.ts'
import { Strangers } from './strangers.ts'
import { type TftpEvent, TftpServer } from './tftp/server.ts'
import type { Tokens } from './tokens.ts'

export interface NetbootOptions {
  readonly config: NetbootConfig
  readonly directory: Directory
  readonly machines: Machines
  readonly tokens: Tokens
  /** The lease journal. */
  readonly leases: string
  readonly on?: {
    readonly dhcp?: (event: DhcpEvent) => void
    readonly tftp?: (event: TftpEvent) => void
    readonly http?: (event: HttpEvent) => void
    readonly boot?: (event: BootEvent) => void
    readonly reachable?: (machine: string) => void
    /** A look at the clock, with the machines that were waited for too long. */
    readonly tick?: (late: readonly Late[]) => void
  }
  /** What an operator should look at. */
  readonly onTrouble: (message: string) => void
}

/** How often late installers are looked for. Milliseconds. */
const TICK = 10_000

/** Starts all servers; stop them by disposing. Rejects with a UserError when one of them cannot be; then none is. */
export async function startNetboot(options: NetbootOptions): Promise<AsyncDisposable & { readonly http: HttpServer }> {
  const { config, directory, machines, tokens, on, onTrouble } = options
  const addresses = addressesOf(config.interfaces)
  if (addresses.length === 0) {
    const names = config.interfaces.join(', ')
    throw new UserError({
      message: `no IPv4 address on ${names}`,
      hint: 'give the interface an address in one of the networks',
    })
  }
  await using stack = new AsyncDisposableStack()
  const desk = new Desk({ config, directory, machines, tokens, onEvent: on?.boot, onReachable: on?.reachable })
  const advertiser = config.routerAdvertisement ? new RouterAdvertiser(config.interfaces, onTrouble) : undefined
  // HTTP first: its port tells whether another one of us runs here, before the lease journal is touched.
  const http = new HttpServer({
    addresses,
    port: config.http.port,
    root: config.files,
    desk,
    downloads: config.http.downloads,
    onEvent: on?.http,
    onTrouble,
    metrics: () => ({
      ...prefixed('dhcp', dhcp.counters),
      ...prefixed('tftp', tftp.counters),
      ...(advertiser && prefixed('router_solicitations', advertiser.counters)),
    }),
  })
  await http.start()
  stack.use(http)
  const tftp = new TftpServer({
    addresses,
    root: config.files,
    virtual: desk.tftp,
    ...(on?.tftp && { onEvent: on.tftp }),
  })
  await tftp.start()
  stack.defer(() => tftp.close())
  const ours = new Set(addresses.map((text) => parseIp4(text)!))
  const reserved = (address: Ip4): boolean => ours.has(address) || directory.reserved(address)
  const leases = stack.use(await Leases.open(options.leases, reserved))
  if (leases.damaged > 0) onTrouble(`${leases.damaged} lines of ${options.leases} cannot be read and are left out`)
  const strangers = new Strangers(machines, (machine, what) => on?.boot?.({ time: Date.now(), machine, what }))
  const dhcp = stack.use(
    new DhcpServer({
      settings: config.dhcp,
      transport: new UdpTransport({ interfaces: config.interfaces }),
      leases,
      machine: (client) => directory.machineOf(client),
      boot: desk.dhcp,
      onEvent: (event) => {
        strangers.see(event)
        on?.dhcp?.(event)
      },
      onTrouble,
    }),
  )
  await dhcp.start()
  if (advertiser) stack.use(advertiser).start()
  const follow = new AbortController()
  stack.defer(() => follow.abort())
  void followAddresses(config.interfaces, [http, tftp], { ours, onTrouble, signal: follow.signal })
  const ticking = setInterval(() => {
    try {
      const late = machines.tick(Date.now(), config)
      for (const { name, state } of late) {
        on?.boot?.({ time: Date.now(), machine: name, what: `${state.phase}: ${state.detail ?? ''}` })
      }
      on?.tick?.(late)
    } catch (error) {
      onTrouble(`states of machines cannot be written: ${(error as Error).message}`)
    }
  }, TICK)
  stack.defer(() => clearInterval(ticking))
  const all = stack.move()
  return { http, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** Our address in each network, as `explain` needs it where the servers do not run. */
export function likelyAddresses(config: NetbootConfig): Ip4[] {
  const real = addressesOf(config.interfaces).map((text) => parseIp4(text)!)
  return real.length > 0 ? real : config.dhcp.networks.map(({ subnet }) => subnet.address + 1)
}

function prefixed(prefix: string, counters: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counters).map(([name, value]) => [`${prefix}_${name}`, value]))
}
