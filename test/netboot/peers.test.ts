/** Real DHCP and TFTP clients, relays and servers against ours, in network namespaces. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { labTest, Namespace } from './lab.ts'

const MAC = '52:54:00:77:00:0a'
const KNOWN = { [MAC]: '10.77.0.10' }

/** A server's namespace and a client's with one wire between them. */
function wire(t: Test) {
  const server = new Namespace(t)
  const client = new Namespace(t)
  server.join('sv0', '10.77.0.1/24', client, 'cv0')
  client.ip(`link set cv0 address ${MAC}`)
  const folder = t.testdir()
  const leases = join(folder, 'leases')
  // What udhcpc was told goes to a file, and its address onto the interface.
  const script = join(folder, 'script')
  const told = join(folder, 'told')
  writeFileSync(
    script,
    `#!/bin/sh\nenv > ${told}.new && mv ${told}.new ${told}\n[ -z "$ip" ] || ip addr replace "$ip/24" dev "$interface"\n`,
    { mode: 0o755 },
  )
  const dhcp = { interfaces: ['sv0'], leases, networks: [{ subnet: '10.77.0.0/24', router: '10.77.0.1' }] }
  const tell = (name: string): string | undefined =>
    new RegExp(`^${name}=(.*)$`, 'm').exec(readFileSync(told, 'utf8'))?.[1]
  return { server, client, folder, script, dhcp, tell }
}

const UDHCPC = ['udhcpc', '-i', 'cv0', '-f', '-n', '-t', '3', '-T', '2', '-O', 'bootfile', '-O', 'tftp']

labTest('udhcpc: lease, boot file, renewal, release, crash of the server', ['busybox'], async (t) => {
  const { server, client, script, dhcp, tell } = wire(t)
  let served = await server.serve({ dhcp: { ...dhcp, machines: KNOWN } })
  const pxe = ['-V', 'PXEClient:Arch:00007:UNDI:003000', '-x', '0x5d:0007']
  const once = await client.run('busybox', [...UDHCPC, '-q', '-s', script, ...pxe])
  t.equal(once.code, 0, once.out)
  t.equal(tell('ip'), '10.77.0.10')
  t.equal(tell('siaddr'), '10.77.0.1')
  t.equal(tell('boot_file'), 'ipxe.efi')
  t.equal(tell('router'), '10.77.0.1')

  const daemon = client.start('busybox', [...UDHCPC, '-s', script])
  await served.until(({ dhcp: event }) => event?.message === 'REQUEST' && event.kind === 'os')
  await served.kill()
  served = await server.serve({ dhcp: { ...dhcp, machines: KNOWN } })
  await new Promise((done) => setTimeout(done, 300))
  daemon.kill('SIGUSR1')
  await served.until(({ dhcp: event }) => event?.reason === 'renewed')
  t.strictSame(served.exchanges, ['REQUEST ACK 10.77.0.10 renewed'], 'by unicast, after the crash')
  daemon.kill('SIGUSR2')
  await served.until(({ dhcp: event }) => event?.message === 'RELEASE')
})

labTest('udhcpc: pool, the same address again, NAK, strangers', ['busybox'], async (t) => {
  const { server, client, script, dhcp, tell } = wire(t)
  const networks = [{ ...dhcp.networks[0]!, pool: ['10.77.0.100', '10.77.0.101'] as [string, string] }]
  let served = await server.serve({ dhcp: { ...dhcp, networks, unknown: 'pool' } })
  const get = () => client.run('busybox', [...UDHCPC, '-q', '-s', script])
  t.equal((await get()).code, 0)
  t.equal(tell('ip'), '10.77.0.100')
  client.ip('link set cv0 address 52:54:00:77:00:0b')
  t.equal((await get()).code, 0)
  t.equal(tell('ip'), '10.77.0.101')
  client.ip('link set cv0 address 52:54:00:77:00:0c')
  t.not((await get()).code, 0, 'the pool is full')
  t.equal(served.exchanges.at(-1), 'DISCOVER no free address in network 10.77.0.0/24')
  await served.stop()
  client.ip(`link set cv0 address ${MAC}`)
  served = await server.serve({ dhcp: { ...dhcp, networks, unknown: 'pool' } })
  t.equal((await get()).code, 0)
  t.equal(tell('ip'), '10.77.0.100', 'the same after a restart')
  await served.stop()
  served = await server.serve({ dhcp: { ...dhcp, networks } })
  t.not((await get()).code, 0)
  t.equal(served.exchanges.at(-1), 'DISCOVER unknown machine')
})

labTest('through isc-dhcp-relay, on another interface', ['busybox', 'dhcrelay'], async (t) => {
  const { server, client, script, dhcp, tell } = wire(t)
  const relay = new Namespace(t)
  server.join('sv1', '10.78.0.1/24', relay, 'rs0', '10.78.0.2/24')
  relay.join('rc0', '10.88.0.1/24', client, 'cv1')
  server.ip('route add 10.88.0.0/24 via 10.78.0.2')
  client.ip('link set cv1 address 52:54:00:88:00:07')
  // A cable that is out must not keep the others from being served.
  client.ip('link set cv0 down')
  const networks = [...dhcp.networks, { subnet: '10.78.0.0/24' }, { subnet: '10.88.0.0/24', router: '10.88.0.1' }]
  const machines = { ...KNOWN, '52:54:00:88:00:07': '10.88.0.7' }
  const settings = { ...dhcp, interfaces: ['sv0', 'sv1'], networks, machines }
  let served = await server.serve({ dhcp: settings })
  // The kernel may take a second to say so; it is then a cable that went out while we served.
  await served.until(({ trouble }) => /^sv0 has no address or no carrier|gone from sv0/.test(trouble ?? ''))
  const plain = relay.start('dhcrelay', ['-4', '-d', '-a', '-i', 'rc0', '-i', 'rs0', '10.78.0.1'])
  await new Promise((done) => setTimeout(done, 1000))
  const args = UDHCPC.map((arg) => (arg === 'cv0' ? 'cv1' : arg))
  const { code, out } = await client.run('busybox', [...args, '-q', '-s', script])
  t.equal(code, 0, out)
  t.equal(tell('ip'), '10.88.0.7')
  t.equal(tell('serverid'), '10.78.0.1')
  t.equal(tell('router'), '10.88.0.1')
  t.match(served.lines.find(({ dhcp: event }) => event)?.dhcp, { relay: '10.88.0.1', answer: 'OFFER' })

  // With -U it gives its address on the server's side, and says in option 82 where the client is (RFC 3527).
  plain.kill('SIGKILL')
  await new Promise((done) => plain.once('close', done))
  relay.start('dhcrelay', ['-4', '-d', '-a', '-i', 'rc0', '-i', 'rs0', '-U', 'rs0', '10.78.0.1'])
  for (const [relays, reason] of [
    [['10.88.0.1/32'], 'DISCOVER relay 10.78.0.2 is not in relays: of netboot.yml'],
    [['10.78.0.2/32'], 'DISCOVER OFFER 10.88.0.7 configured address'],
  ] as const) {
    await served.stop()
    served = await server.serve({ dhcp: { ...settings, relays: [...relays] } })
    const { code } = await client.run('busybox', [...args, '-q', '-s', script])
    t.equal(code === 0, reason.includes('OFFER'))
    t.ok(served.exchanges.includes(reason), served.exchanges.join('; '))
  }
  t.equal(tell('ip'), '10.88.0.7')
})

labTest('two interfaces, of which one goes away and comes back', ['busybox'], async (t) => {
  const { server, client, script, dhcp, tell } = wire(t)
  server.join('sv1', '10.78.0.1/24', client, 'cv1')
  client.ip('link set cv1 address 52:54:00:78:00:08')
  const networks = [...dhcp.networks, { subnet: '10.78.0.0/24' }]
  const machines = { ...KNOWN, '52:54:00:78:00:08': '10.78.0.8' }
  const served = await server.serve({ dhcp: { ...dhcp, interfaces: ['sv0', 'sv1'], networks, machines } })
  const get = (link: string) =>
    client.run('busybox', [...UDHCPC.map((arg) => (arg === 'cv0' ? link : arg)), '-q', '-s', script])
  for (const [link, address] of [
    ['cv0', '10.77.0.10'],
    ['cv1', '10.78.0.8'],
  ] as const) {
    t.equal((await get(link)).code, 0)
    t.equal(tell('ip'), address)
  }
  server.ip('addr del 10.77.0.1/24 dev sv0')
  await served.until(({ trouble }) => trouble?.includes('10.77.0.1 is gone from sv0') ?? false)
  t.not((await get('cv0')).code, 0)
  t.equal((await get('cv1')).code, 0, 'service to the others goes on')
  server.ip('addr add 10.77.0.1/24 dev sv0')
  await new Promise((done) => setTimeout(done, 2500))
  t.equal((await get('cv0')).code, 0, 'and comes back')
})

labTest('sockets bound to their interfaces by the parent', ['busybox', 'perl'], async (t) => {
  const { server, client, script, dhcp, tell } = wire(t)
  server.join('sv1', '10.78.0.1/24', client, 'cv1')
  // What systemd's BindToDevice= does. The two networks' pools need no machine to tell them apart.
  const bindTo = `use Socket; use Fcntl;
    my $fd = 3;
    for my $name ("sv0", "sv1") {
      socket(my $s, PF_INET, SOCK_DGRAM, 17) or die; setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
      setsockopt($s, SOL_SOCKET, 25, "$name\\0") or die; bind($s, sockaddr_in(67, INADDR_ANY)) or die "$!";
      push @keep, $s; $^F = 100; POSIX::dup2(fileno($s), 10 + $fd++);
    } exec @ARGV`
  const networks = [
    { subnet: '10.77.0.0/24', pool: ['10.77.0.100', '10.77.0.110'] as [string, string] },
    { subnet: '10.78.0.0/24', pool: ['10.78.0.100', '10.78.0.110'] as [string, string] },
  ]
  const fds = { sv0: 13, sv1: 14 }
  const served = await server.serve({ dhcp: { ...dhcp, interfaces: ['sv0', 'sv1'], fds, networks, unknown: 'pool' } }, [
    'perl',
    '-MPOSIX',
    '-e',
    bindTo,
  ])
  for (const [link, address] of [
    ['cv0', '10.77.0.100'],
    ['cv1', '10.78.0.100'],
  ] as const) {
    const { code, out } = await client.run('busybox', [
      ...UDHCPC.map((arg) => (arg === 'cv0' ? link : arg)),
      '-q',
      '-s',
      script,
    ])
    t.equal(code, 0, out)
    t.equal(tell('ip'), address)
  }
  t.equal(served.exchanges.length, 4)
})

labTest('perfdhcp: a storm loses nothing', ['perfdhcp'], async (t) => {
  const { server, client, dhcp } = wire(t)
  client.ip('addr add 10.77.0.2/24 dev cv0')
  const networks = [{ subnet: '10.77.0.0/24', pool: ['10.77.0.10', '10.77.0.250'] as [string, string] }]
  const served = await server.serve({ dhcp: { ...dhcp, networks, unknown: 'pool' } })
  const args = ['-4', '-l', 'cv0', '-r', '100', '-R', '200', '-n', '200', '-W', '1000000', '10.77.0.1']
  const { code, out } = await client.run('perfdhcp', args)
  t.equal(code, 0, out)
  // A burst of perfdhcp may go beyond its -n by one: what it says it sent counts.
  const [, sent, received] = /REQUEST-ACK[\s\S]*?sent packets: (\d+)\s+received packets: (\d+)/.exec(out) ?? []
  t.ok(Number(sent) >= 200, out)
  t.equal(received, sent)
  t.equal(served.exchanges.filter((line) => line.startsWith('REQUEST ACK')).length, Number(sent))
})

labTest('the probe finds other servers, and only those', ['dnsmasq'], async (t) => {
  const { server, client, dhcp } = wire(t)
  await server.serve({ dhcp: { ...dhcp, unknown: 'pool', networks: [{ subnet: '10.77.0.0/24' }] } })
  const look = async (): Promise<unknown> => {
    const script = `
      import { probe } from ${JSON.stringify(new URL('../../src/netboot/dhcp/probe.ts', import.meta.url).href)}
      console.log(JSON.stringify(await probe(['sv0'])))`
    const { out } = await server.run(process.execPath, ['--input-type=module-typescript', '-e', script])
    return JSON.parse(out)
  }
  t.strictSame(await look(), [])
  client.ip('addr add 10.77.0.2/24 dev cv0')
  const range = '--dhcp-range=10.77.0.50,10.77.0.60'
  const options = ['-k', '--conf-file=/dev/null', '--port=0', '--leasefile-ro', range, '--dhcp-boot=theirs.efi']
  client.start('dnsmasq', [...options, '-i', 'cv0'])
  await new Promise((done) => setTimeout(done, 500))
  t.match(await look(), [{ interface: 'sv0', server: 0x0a4d0002, bootfile: 'theirs.efi' }])
})

labTest('port 67 is taken', ['dnsmasq'], async (t) => {
  const { server, dhcp } = wire(t)
  const range = '--dhcp-range=10.77.0.50,10.77.0.60'
  server.start('dnsmasq', ['-k', '--conf-file=/dev/null', '--port=0', '--leasefile-ro', range, '-i', 'sv0'])
  await new Promise((done) => setTimeout(done, 500))
  await t.rejects(server.serve({ dhcp }), /UDP port 67 is in use/)
})

labTest('TFTP clients of the field', ['busybox', 'curl', 'atftp', 'tftp'], async (t) => {
  const { server, client, folder } = wire(t)
  client.ip('addr add 10.77.0.2/24 dev cv0')
  const root = t.testdir()
  const big = Buffer.from(Uint8Array.from({ length: 1_000_003 }, (_, i) => (i * 13 + (i >> 9)) & 255))
  writeFileSync(join(root, 'big'), big)
  writeFileSync(join(root, 'text'), 'one\ntwo\n')
  const addresses = ['10.77.0.1']
  const served = await server.serve({ tftp: { root, addresses } })
  const out = join(folder, 'out')
  for (const [name, command, args] of [
    ['curl', 'curl', ['-sS', '-o', out, 'tftp://10.77.0.1/big']],
    ['curl, blksize', 'curl', ['-sS', '--tftp-blksize', '1400', '-o', out, 'tftp://10.77.0.1//big']],
    ['atftp, windowsize', 'atftp', ['--option', 'windowsize 8', '-g', '-r', 'big', '-l', out, '10.77.0.1']],
    [
      'atftp, all options',
      'atftp',
      [
        '--option',
        'windowsize 16',
        '--option',
        'blksize 1468',
        '--option',
        'tsize 0',
        '-g',
        '-r',
        'big',
        '-l',
        out,
        '10.77.0.1',
      ],
    ],
    ['tftp-hpa', 'tftp', ['-m', 'binary', '10.77.0.1', '-c', 'get', 'big', out]],
    ['busybox', 'busybox', ['tftp', '-g', '-b', '1468', '-r', 'big', '-l', out, '10.77.0.1']],
  ] as const) {
    writeFileSync(out, '')
    const result = await client.run(command, [...args])
    t.equal(result.code, 0, `${name}: ${result.out}`)
    t.ok(readFileSync(out).equals(big), name)
  }
  await client.run('tftp', ['-m', 'ascii', '10.77.0.1', '-c', 'get', 'text', out])
  t.equal(readFileSync(out, 'utf8'), 'one\ntwo\n', 'tftp-hpa, netascii')
  const none = await client.run('curl', ['-sS', '-o', out, 'tftp://10.77.0.1/revocations_sku.efi'])
  t.equal(none.code, 68, `curl: file not found: ${none.out}`)
  await served.stop()
  await server.serve({ tftp: { root, addresses, transferPorts: 'single' } })
  await client.run('atftp', ['--option', 'windowsize 8', '-g', '-r', 'big', '-l', out, '10.77.0.1'])
  t.ok(readFileSync(out).equals(big), 'atftp, single port')
})
