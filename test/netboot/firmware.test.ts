/** Real firmware against our DHCP and TFTP: OVMF under QEMU, as far as iPXE's request for its script. Minutes. */
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { firmwareTest, Namespace } from './lab.ts'
import type { Serve } from './serve.ts'

const MAC = '52:54:00:77:00:0a'
const IPXE = '/usr/lib/ipxe'
const SECONDS = 240

t.setTimeout(SECONDS * 4000)
t.jobs = 1

interface Booted {
  dhcp: string[]
  tftp: string[]
  /** What was asked of the web server, in order: method and URL. */
  http: string[]
}

interface Setting {
  readonly dhcp?: Partial<Serve['dhcp']>
  /** More arguments for QEMU. */
  readonly firmware?: readonly string[]
  /** Something else on the machine's wire, `tap0`, which has the address 10.77.0.1. */
  readonly beside?: (wire: Namespace) => void
  /** Our server is not on that wire: it has 10.78.0.1, behind a router with a relay. */
  readonly isRelayed?: boolean
}

/** Boots OVMF until iPXE asks for its script. */
async function boot(t: Test, { dhcp, firmware = [], beside, isRelayed = false }: Setting): Promise<Booted> {
  const wire = new Namespace(t)
  const space = isRelayed ? new Namespace(t) : wire
  wire.ip('tuntap add tap0 mode tap')
  wire.ip('link set tap0 up')
  wire.ip('addr add 10.77.0.1/24 dev tap0')
  const networks: NonNullable<Serve['dhcp']>['networks'] = [{ subnet: '10.77.0.0/24', router: '10.77.0.1' }]
  if (isRelayed) {
    space.join('sv0', '10.78.0.1/24', wire, 'rs0', '10.78.0.2/24')
    space.ip('route add 10.77.0.0/24 via 10.78.0.2')
    await wire.run('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'])
    networks.push({ subnet: '10.78.0.0/24' })
  }
  beside?.(wire)
  const folder = t.testdir({ root: {} })
  const root = join(folder, 'root')
  // A copy: Debian's name is a link to a file elsewhere, and those are not served.
  copyFileSync(`${IPXE}/ipxe.efi`, join(root, 'ipxe.efi'))
  const http: string[] = []
  const web = space.start(process.execPath, [
    '-e',
    `require('http').createServer((q, r) => {
      console.log(q.method + ' ' + q.url)
      if (q.url.startsWith('/boot.ipxe')) return r.end('#!ipxe\\nsleep 1000\\n')
      const body = require('fs').readFileSync('${root}/' + require('path').basename(q.url))
      r.setHeader('content-length', body.length)
      r.end(q.method === 'HEAD' ? undefined : body)
    }).listen(8080)`,
  ])
  web.stdout?.on('data', (text) => http.push(...String(text).trim().split('\n')))
  const served = await space.serve({
    dhcp: {
      interfaces: [isRelayed ? 'sv0' : 'tap0'],
      leases: join(folder, 'leases'),
      networks,
      machines: { [MAC]: '10.77.0.10' },
      httpPort: 8080,
      ...dhcp,
    },
    tftp: { root, addresses: [isRelayed ? '10.78.0.1' : '10.77.0.1'] },
  })
  if (isRelayed) {
    const relay = wire.start('dhcrelay', ['-4', '-d', '-a', '-i', 'tap0', '-i', 'rs0', '10.78.0.1'])
    relay.stderr?.on('data', (text) => t.comment(String(text)))
  }
  const vars = join(folder, 'vars.fd')
  copyFileSync('/usr/share/OVMF/OVMF_VARS_4M.fd', vars)
  const qemu = wire.start('qemu-system-x86_64', [
    ...['-M', 'q35,accel=tcg', '-cpu', 'max', '-m', '1024', '-nodefaults', '-display', 'none'],
    ...['-drive', 'if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd'],
    ...['-drive', `if=pflash,format=raw,file=${vars}`],
    ...['-object', 'rng-random,filename=/dev/urandom,id=rng', '-device', 'virtio-rng-pci,rng=rng'],
    ...['-netdev', 'tap,id=net,ifname=tap0,script=no,downscript=no'],
    // Without a ROM, or QEMU's iPXE would hide OVMF's own PXE.
    ...['-device', `virtio-net-pci,netdev=net,romfile=,mac=${MAC}`],
    ...firmware,
  ])
  let errors = ''
  qemu.stderr?.on('data', (text) => {
    errors += text
  })
  const end = Date.now() + SECONDS * 1000
  while (!http.some((line) => line.includes('/boot.ipxe')) && Date.now() < end && qemu.exitCode === null) {
    await new Promise((done) => setTimeout(done, 200))
  }
  if (qemu.exitCode !== null) t.fail(`QEMU: ${errors}`)
  const tftp = served.lines.flatMap(({ tftp: event }) => (event ? [`${event.outcome} ${event.file}`] : []))
  const result: Booted = { dhcp: served.exchanges, tftp, http }
  t.comment(JSON.stringify(result, null, 1))
  return result
}

const COMMANDS = ['qemu-system-x86_64']
if (!existsSync(`${IPXE}/ipxe.efi`)) COMMANDS.push('ipxe')
const SCRIPT = `GET /boot.ipxe?mac=${MAC.replaceAll(':', '-')}`

firmwareTest('OVMF PXE, our addresses', COMMANDS, async (t) => {
  const { dhcp, tftp, http } = await boot(t, {})
  t.equal(http.at(-1), SCRIPT)
  t.strictSame(tftp, ['started ipxe.efi', 'stopped ipxe.efi', 'started ipxe.efi', 'done ipxe.efi'])
  t.equal(dhcp[0], 'DISCOVER OFFER 10.77.0.10 configured address')
  t.equal(dhcp[1], 'REQUEST ACK 10.77.0.10 took the offer')
})

firmwareTest('OVMF PXE, proxyDHCP beside dnsmasq', [...COMMANDS, 'dnsmasq'], async (t) => {
  // Two servers on one machine cannot share a port, so dnsmasq is on the other end of the wire: a bridge.
  const other = (space: Namespace): void => {
    const site = new Namespace(t)
    space.ip('addr del 10.77.0.1/24 dev tap0')
    space.ip('link add br0 type bridge')
    space.ip('link set tap0 master br0')
    space.ip('addr add 10.77.0.1/24 dev br0')
    space.ip('link set br0 up')
    space.join('site0', undefined, site, 'eth0', '10.77.0.3/24')
    space.ip('link set site0 master br0')
    const options = ['-k', '--conf-file=/dev/null', '--port=0', '--leasefile-ro', '--no-ping', '--user=root']
    site.start('dnsmasq', [...options, '-i', 'eth0', '--dhcp-range=10.77.0.50,10.77.0.60'])
  }
  const { dhcp, tftp, http } = await boot(t, {
    dhcp: { mode: 'proxy', interfaces: ['br0'] },
    beside: other,
  })
  t.equal(http.at(-1), SCRIPT)
  t.equal(tftp.at(-1), 'done ipxe.efi')
  t.ok(dhcp.includes('DISCOVER OFFER boot file beside another DHCP server'))
  t.ok(dhcp.includes('REQUEST ACK boot server'), 'on port 4011')
})

firmwareTest('OVMF PXE, through isc-dhcp-relay', [...COMMANDS, 'dhcrelay'], async (t) => {
  const { dhcp, tftp, http } = await boot(t, { isRelayed: true })
  t.equal(http.at(-1), SCRIPT)
  t.equal(tftp.at(-1), 'done ipxe.efi')
  t.equal(dhcp[0], 'DISCOVER OFFER 10.77.0.10 configured address')
  t.equal(dhcp[1], 'REQUEST ACK 10.77.0.10 took the offer')
})

firmwareTest('OVMF HTTP boot', COMMANDS, async (t) => {
  const noPxe = ['IPv4PXESupport', 'IPv6PXESupport', 'IPv6Support'].flatMap((name) => [
    '-fw_cfg',
    `name=opt/org.tianocore/${name},string=n`,
  ])
  const { dhcp, tftp, http } = await boot(t, { firmware: noPxe })
  t.strictSame(http.slice(0, 2), ['HEAD /ipxe.efi', 'GET /ipxe.efi'])
  t.equal(http.at(-1), SCRIPT)
  t.strictSame(tftp, [])
  t.equal(dhcp[0], 'DISCOVER OFFER 10.77.0.10 configured address')
})
