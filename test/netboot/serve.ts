/** A DHCP and TFTP server in a process of its own, for tests in network namespaces. Prints events as JSON lines. */
import { parseIp4, parseSubnet } from '../../src/netboot/address.ts'
import { defaultBoot } from '../../src/netboot/dhcp/boot.ts'
import { Leases } from '../../src/netboot/dhcp/leases.ts'
import type { DhcpSettings } from '../../src/netboot/dhcp/network.ts'
import { DhcpServer } from '../../src/netboot/dhcp/server.ts'
import { UdpTransport } from '../../src/netboot/dhcp/udp-transport.ts'
import { TftpServer, type TftpServerOptions } from '../../src/netboot/tftp/server.ts'

export interface Serve {
  dhcp?: {
    interfaces: string[]
    fds?: Record<string, number>
    leases: string
    mode?: DhcpSettings['mode']
    unknown?: DhcpSettings['unknown']
    /** Subnet, its router, first and last address of its pool. */
    networks: { subnet: string; router?: string; pool?: [string, string]; leaseTime?: number }[]
    /** Addresses or networks of relays. */
    relays?: string[]
    /** Addresses by MAC. */
    machines?: Record<string, string>
    httpPort?: number
  }
  tftp?: TftpServerOptions
  /** Prints nothing but `ready`: for measurements. */
  quiet?: boolean
}

const { dhcp, tftp, quiet = false } = JSON.parse(process.argv[2]!) as Serve
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
const closing: (() => Promise<void>)[] = []

if (dhcp) {
  const machines = new Map(Object.entries(dhcp.machines ?? {}).map(([mac, address]) => [mac, parseIp4(address)!]))
  const reserved = new Set(machines.values())
  const leases = await Leases.open(dhcp.leases, (address) => reserved.has(address))
  const server = new DhcpServer({
    settings: {
      mode: dhcp.mode ?? 'server',
      unknown: dhcp.unknown ?? 'ignore',
      networks: dhcp.networks.map(({ subnet, router, pool, leaseTime }) => ({
        name: subnet,
        subnet: parseSubnet(subnet)!,
        router: router === undefined ? undefined : parseIp4(router),
        pools: pool && [{ from: parseIp4(pool[0])!, to: parseIp4(pool[1])! }],
        leaseTime,
      })),
      relays: dhcp.relays?.map((text) => parseSubnet(text)!),
    },
    transport: new UdpTransport({ interfaces: dhcp.interfaces, fds: dhcp.fds }),
    leases,
    machine: ({ mac }) => (machines.has(mac) ? { name: mac, address: machines.get(mac) } : undefined),
    boot: defaultBoot({ port: dhcp.httpPort ?? 80 }),
    ...(!quiet && { onEvent: (event) => say({ dhcp: event }) }),
    onTrouble: (trouble) => say({ trouble }),
  })
  await server.start()
  closing.push(async () => {
    await server.close()
    await leases.close()
  })
}
if (tftp) {
  const server = new TftpServer({ ...tftp, ...(!quiet && { onEvent: (event) => say({ tftp: event }) }) })
  await server.start()
  closing.push(() => server.close())
}
say({ ready: true })
process.on('SIGTERM', async () => {
  for (const close of closing) await close()
  process.exit()
})
