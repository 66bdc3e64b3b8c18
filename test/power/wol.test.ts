import { execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import t from 'tap'
import { makePower } from '../../src/power/power.ts'
import { broadcastOf, magicPacket, parseMac, wolDriver } from '../../src/power/wol.ts'
import fc from '../property.ts'
import { without } from './peers.ts'

const MAC = Buffer.from('020000abcdef', 'hex')

t.test('the packet', async (t) => {
  const bytes = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((array) => Buffer.from(array))
  fc.assert(
    fc.property(bytes, fc.option(bytes, { nil: undefined }), (mac, password) => {
      const packet = magicPacket(mac, password)
      if (packet.length !== 102 + (password?.length ?? 0)) throw new Error(`length ${packet.length}`)
      if (!packet.subarray(0, 6).equals(Buffer.alloc(6, 255))) throw new Error('no preamble')
      for (let i = 6; i < 102; i += 6) if (!packet.subarray(i, i + 6).equals(mac)) throw new Error(`at ${i}`)
      if (password && !packet.subarray(102).equals(password)) throw new Error('no password')
    }),
  )
  t.equal(magicPacket(MAC).toString('hex'), `ffffffffffff${'020000abcdef'.repeat(16)}`)
})

t.test('addresses', async (t) => {
  for (const text of [
    '02:00:00:ab:cd:ef',
    '02-00-00-AB-CD-EF',
    '020000abcdef',
    '0200.00ab.cdef',
    ' 02:00:00:ab:cd:ef ',
  ])
    t.same(parseMac(text), MAC, text)
  for (const text of [
    '',
    '02:00:00:ab:cd',
    '02:00-00:ab:cd:ef',
    '02:00:00:ab:cd:eg',
    '0200:00ab:cdef',
    '02:00:00:ab:cd:ef:00',
  ])
    t.equal(parseMac(text), undefined, text)
  for (const [address, netmask, broadcast] of [
    ['10.1.2.3', '255.255.255.0', '10.1.2.255'],
    ['10.1.2.3', '255.255.252.0', '10.1.3.255'],
    ['172.16.5.9', '255.255.255.252', '172.16.5.11'],
    ['10.1.2.3', '255.255.255.255', '255.255.255.255'],
    ['10.1.2.2', '255.255.255.254', '255.255.255.255'],
  ] as const)
    t.equal(broadcastOf(address, netmask), broadcast, `${address} ${netmask}`)
})

t.test('it is sent, several times, and nothing is claimed', async (t) => {
  const socket = createSocket('udp4')
  t.teardown(() => void socket.close())
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
  const received: string[] = []
  socket.on('message', (packet) => received.push(packet.toString('hex')))
  const password = Buffer.from('a1b2c3d4', 'hex')
  const settings = { macs: [MAC], broadcast: '127.0.0.1', port: socket.address().port, password }
  const power = makePower('n1', wolDriver('n1', settings))
  t.equal(await power.state(), 'unknown')
  t.equal(await power.on(), 'unknown')
  await new Promise((done) => setTimeout(done, 50))
  t.same(received, Array(3).fill(magicPacket(MAC, password).toString('hex')))
  await t.rejects(power.off({ force: true }), { name: 'PowerError', kind: 'unsupported', hint: /over SSH/ })
  await t.rejects(power.cycle({ force: true }), { name: 'PowerError', kind: 'unsupported' })
  await t.rejects(power.bootOnce('pxe'), { name: 'PowerError', kind: 'unsupported' })
})

const noNamespaces =
  process.platform === 'linux' && process.getuid?.() === 0
    ? without({ ip: 'iproute2', python3: 'python3' })
    : 'needs root on Linux, for network namespaces'

t.test(
  'a host on the same Ethernet hears it, from every network of this machine',
  { skip: noNamespaces },
  async (t) => {
    const space = (name: string) => `rbpower-${process.pid}-${name}`
    const ip = (...args: string[]): void => void execFileSync('ip', args)
    for (const name of ['us', 'a', 'b']) {
      ip('netns', 'add', space(name))
      t.teardown(() => ip('netns', 'del', space(name)))
    }
    for (const [name, net] of [
      ['a', '10.91.1'],
      ['b', '10.91.2'],
    ] as const) {
      ip('-n', space('us'), 'link', 'add', `nic-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space(name))
      ip('-n', space('us'), 'addr', 'add', `${net}.1/24`, 'dev', `nic-${name}`)
      ip('-n', space('us'), 'link', 'set', `nic-${name}`, 'up')
      // The sleeping host has no address: its card alone listens.
      ip('-n', space(name), 'link', 'set', 'eth0', 'up')
    }
    /** Frames that arrive, by a packet socket: `destination payload`. */
    const listen = (name: string) => {
      const script = `import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.bind(('eth0', 0))
print('ready', flush=True)
s.settimeout(20)
while True:
    f = s.recv(2048)
    if f[23] == 17 and f[36:38] == b'\\x00\\x09':
        print(f[0:6].hex(), f[42:].hex(), flush=True)
        break
`
      const child = spawn('ip', ['netns', 'exec', space(name), 'python3', '-c', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      t.teardown(() => void child.kill('SIGKILL'))
      let out = ''
      let ready: () => void
      const isReady = new Promise<void>((done) => {
        ready = done
      })
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text
        if (out.includes('ready')) ready()
      })
      return { isReady, ended: new Promise<string>((done) => child.on('close', () => done(out.split('\n')[1] ?? ''))) }
    }
    const listeners = [listen('a'), listen('b')]
    await Promise.all(listeners.map(({ isReady }) => isReady))
    const wol = new URL('../../src/power/wol.ts', import.meta.url)
    const send = `import { wolDriver } from ${JSON.stringify(wol.href)}
await wolDriver('n1', { macs: [Buffer.from('020000abcdef', 'hex')], port: 9 }).act('on', new AbortController().signal)`
    execFileSync('ip', ['netns', 'exec', space('us'), process.execPath, '--input-type=module', '-e', send])
    for (const { ended } of listeners) t.equal(await ended, `ffffffffffff ${magicPacket(MAC).toString('hex')}`)
  },
)
