/** The HTTP server as machines, and others, see it: over sockets. */
import { once } from 'node:events'
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Desk } from '../../../src/netboot/boot.ts'
import { readConfig } from '../../../src/netboot/config.ts'
import { openNetbootDatabase } from '../../../src/netboot/database.ts'
import { Directory } from '../../../src/netboot/directory.ts'
import { HttpServer, type HttpServerOptions } from '../../../src/netboot/http/server.ts'
import { Machines } from '../../../src/netboot/machines.ts'
import { Tokens } from '../../../src/netboot/tokens.ts'

const CONFIG = `
interfaces: [lo]
networks: [{subnet: 10.77.0.0/24, router: 10.77.0.1}]
files: boot
profiles:
  debian: {kernel: linux, initrd: initrd.gz, cmdline: "s={{ seed }} r={{ report }}", seed: {preseed.cfg: preseed.cfg}}
  talos: {uki: linux}
assign: {default: debian, machines: {n2: talos}}
`
const KERNEL = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) & 255))

async function setUp(t: Test, options: Partial<HttpServerOptions> = {}) {
  const folder = t.testdir({
    'netboot.yml': CONFIG,
    'preseed.cfg': 'd-i secret',
    secret: 'outside',
    boot: { linux: '', 'initrd.gz': 'initrd', sub: { 'a b': 'spaced' }, empty: '' },
    bootx: { file: 'beside' },
  })
  writeFileSync(join(folder, 'boot/linux'), KERNEL)
  symlinkSync('../secret', join(folder, 'boot/link'))
  symlinkSync('linux', join(folder, 'boot/inside'))
  const config = readConfig(join(folder, 'netboot.yml'))
  const db = openNetbootDatabase(undefined)
  const machine = { macs: ['52:54:00:77:00:01'], address: '10.77.0.11', groups: [], sshKeys: ['ssh-ed25519 AAAA me'] }
  const two = { ...machine, macs: ['52:54:00:77:00:02'], address: '10.77.0.12' }
  const directory = new Directory(config, [
    { ...machine, name: 'n1' },
    { ...two, name: 'n2' },
  ])
  const machines = new Machines(db)
  const tokens = new Tokens(db)
  let now = 1000
  const troubles: string[] = []
  const lines: string[] = []
  const desk = new Desk({ config, directory, machines, tokens, now: () => now })
  const server = new HttpServer({
    addresses: ['127.0.0.1'],
    port: 0,
    root: config.files,
    desk,
    downloads: 2,
    onTrouble: (trouble) => troubles.push(trouble),
    onEvent: ({ method, path, status, bytes, complete }) =>
      lines.push(`${method} ${path} ${status} ${complete ? bytes : 'broken'}`),
    ...options,
  })
  await server.start()
  t.teardown(async () => {
    await server.close()
    db.close()
  })
  const get = (path: string, more: Record<string, unknown> = {}) => ask(server.port, path, more)
  const script = `/m/n1/${tokens.tag('n1')}/boot.ipxe`
  const repave = { valid: 10_000, timeout: 1000, retries: 0 }
  return {
    server,
    folder,
    desk,
    machines,
    tokens,
    get,
    script,
    repave,
    troubles,
    lines,
    later: (ms: number) => (now += ms),
  }
}

interface Got {
  status: number
  headers: Record<string, string | undefined>
  body: Buffer
}

/** A request with its path exactly as given. */
function ask(
  port: number,
  path: string,
  { method = 'GET', headers = {}, body }: Record<string, unknown> = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const options = {
      port,
      host: '127.0.0.1',
      path,
      method: method as string,
      headers: headers as Record<string, string>,
      agent: false,
    }
    const req = request(options, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part) => parts.push(part))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers as Got['headers'],
          body: Buffer.concat(parts),
        }),
      )
    })
    req.on('error', reject)
    req.end(body as string | undefined)
  })
}

t.test('files: whole, ranges, validators, HEAD', async (t) => {
  const { get, lines } = await setUp(t)
  const whole = await get('/files/linux')
  t.equal(whole.status, 200)
  t.ok(whole.body.equals(KERNEL))
  const { etag } = whole.headers
  for (const [range, status, from, to] of [
    ['bytes=0-0', 206, 0, 0],
    ['bytes=2999999-', 206, 2999999, 2999999],
    ['bytes=-10', 206, 2999990, 2999999],
    ['bytes=-9999999', 206, 0, 2999999],
    ['bytes=100-99999999', 206, 100, 2999999],
    ['bytes=600000-1700000', 206, 600000, 1700000],
  ] as const) {
    const part = await get('/files/linux', { headers: { range } })
    t.equal(part.status, status, range)
    t.equal(part.headers['content-range'], `bytes ${from}-${to}/3000000`)
    t.ok(part.body.equals(KERNEL.subarray(from, to + 1)), range)
  }
  for (const range of ['bytes=3000000-', 'bytes=-0']) {
    t.match(await get('/files/linux', { headers: { range } }), {
      status: 416,
      headers: { 'content-range': 'bytes */3000000' },
    })
  }
  for (const range of ['bytes=5-4', 'bytes=-', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=x-1', '']) {
    t.equal((await get('/files/linux', { headers: { range } })).status, 200, range)
  }
  t.equal((await get('/files/linux', { headers: { 'if-none-match': `"x", W/${etag}` } })).status, 304)
  t.equal((await get('/files/linux', { headers: { 'if-range': '"old"', range: 'bytes=0-1' } })).status, 200)
  t.equal((await get('/files/linux', { headers: { 'if-range': etag!, range: 'bytes=0-1' } })).status, 206)
  const head = await get('/files/linux', { method: 'HEAD' })
  t.match(head, { status: 200, headers: { 'content-length': '3000000', etag } })
  t.equal(head.body.length, 0)
  t.match(await get('/files/empty'), { status: 200, headers: { 'content-length': '0' } })
  t.equal(String((await get('//files//sub/a%20b?x=1')).body), 'spaced')
  t.ok((await get('/files/inside')).body.equals(KERNEL), 'a symlink that stays below the root')
  await pause(50)
  t.equal(lines[0], 'GET /files/linux 200 3000000')
  t.equal(lines[6], 'GET /files/linux 206 1100001')
  t.notMatch(lines.join('\n'), /broken/)
})

t.test('paths that lead out of the root', async (t) => {
  const { get } = await setUp(t)
  for (const path of [
    '/files/../secret',
    '/files/%2e%2e/secret',
    '/files/..%2fsecret',
    '/files/%2e%2e%2fsecret',
    '/files/..\\secret',
    '/files/..%5csecret',
    '/files/link',
    '/files/sub/../../secret',
    '/files/%2fetc/passwd',
    '/files//etc/passwd',
    '/files/./../secret',
    '/files/../bootx/file',
    '/files/linux%00',
    '/files/%ff',
    '/files/%',
    '/files/sub',
    '/files/',
    '/files',
    '/files/%252e%252e/secret',
    'http://x/files/../secret',
    '/preseed.cfg',
    '/.runbook/netboot.db',
    '/m/n1',
    '/m/../n1',
  ]) {
    const { status, body } = await get(path)
    t.ok(status === 404 || status === 400, `${path} ${status}`)
    t.notMatch(String(body), /outside|beside|root:/)
  }
})

t.test('methods, sizes, health, metrics', async (t) => {
  const { get, script, lines } = await setUp(t)
  for (const [method, path] of [
    ['POST', '/files/linux'],
    ['PUT', '/x'],
    ['DELETE', script],
    ['POST', '/healthz'],
    ['GET', '/report/x'],
    ['HEAD', '/seed/a/b/c'],
  ] as const) {
    t.equal((await get(path, { method })).status, 405, `${method} ${path}`)
  }
  t.equal((await get('/report/x', { method: 'POST', body: 'x'.repeat(65537) })).status, 413)
  const chunked = { 'transfer-encoding': 'chunked' }
  t.equal((await get('/report/x', { method: 'POST', headers: chunked, body: 'x'.repeat(65537) })).status, 413)
  t.equal((await get(`/files/${'x'.repeat(9000)}`)).status, 431)
  t.equal((await get('/x', { headers: { x: 'y'.repeat(9000) } })).status, 431)
  t.match(await get('/healthz'), { status: 200 })
  t.match(String((await get('/metrics')).body), /^runbook_netboot_http_status_405_total 6$/m)
  await get('/seed/SECRET/SECRET/user-data')
  await get('/m/n1/SECRET/boot.ipxe')
  t.notMatch(lines.join('\n'), /SECRET/)
})

t.test('an installer goes out once, to whom DHCP told where it is', async (t) => {
  const { get, script, machines, repave, tokens } = await setUp(t)
  const text = async (path: string) => String((await get(path)).body)
  t.match(await text(script), /n1 has no repave pending: booting the local disk/)
  machines.repave('n1', 1000, repave)
  t.equal((await get(`/m/n1/${tokens.tag('n2')}/boot.ipxe`)).status, 404)
  t.equal((await get('/m/n1//boot.ipxe')).status, 404)
  t.equal((await get(script, { method: 'HEAD' })).status, 200, 'uses nothing up')
  const both = await Promise.all([text(script), text(script)])
  t.equal(
    both.filter((one) => /^kernel http:\/\/127\.0\.0\.1\/files\/linux initrd=initrd0 s=http/m.test(one)).length,
    1,
  )
  t.equal(both.filter((one) => /no repave pending/.test(one)).length, 1)
  t.match(await text(script), /no repave pending/)
})

t.test('seed, reports and phone-home by token, each secret once', async (t) => {
  const { get, script, machines, repave, tokens, later } = await setUp(t)
  machines.repave('n1', 1000, repave)
  const body = String((await get(script)).body)
  const seed = /s=http:\/\/127\.0\.0\.1(\/seed\/\S+)/.exec(body)![1]!
  const report = /r=http:\/\/127\.0\.0\.1(\/report\/\S+)/.exec(body)![1]!
  t.equal(String((await get(`${seed}/preseed.cfg`)).body), 'd-i secret')
  t.equal((await get(`${seed}/preseed.cfg`)).status, 410, 'replayed')
  t.match(JSON.parse(String((await get(`${seed}/meta-data`)).body)), { 'local-hostname': 'n1' })
  t.match(JSON.parse(String((await get(`${seed}/network-config`)).body)), {
    ethernets: { boot: { addresses: ['10.77.0.11/24'] } },
  })
  t.match(String((await get(`${seed}/vendor-data`)).body), /^#cloud-config\n.*phone-home/s)
  t.equal((await get(`${seed}/other`)).status, 404)
  t.equal((await get(`${seed.replace(/.(?=\/[^/]+$)/, '.')}/user-data`)).status, 403, 'a wrong secret')
  const foreign = tokens.issue('report', { machine: 'n2', repave: 'x' }, 1000)
  t.equal((await get(`${seed.replace(/[^/]+$/, foreign)}/user-data`)).status, 403, "another machine's")

  const post = (path: string, body: string) => get(path, { method: 'POST', body }).then(({ status }) => status)
  t.equal(await post(report, '{"status": "installing", "step": "disk\\u001b[2J"}'), 200)
  t.match(machines.state('n1'), { phase: 'installing', detail: 'disk?[2J' })
  t.equal(await post(report, '{"name": "modules-final", "event_type": "start", "origin": "cloudinit"}'), 200)
  for (const wrong of ['', '{', '[]', '{"status": "done"}', 'null']) t.equal(await post(report, wrong), 400, wrong)
  t.equal(await post(report.slice(0, -1), '{"status": "installed"}'), 403)
  t.equal(await post(seed.split('/').slice(0, 3).join('/').replace('seed', 'report'), '{"status": "installed"}'), 403)
  t.equal(machines.state('n1')?.phase, 'installing')
  t.equal(await post(report, '{"status": "installed"}'), 200)
  t.equal(machines.state('n1')?.phase, 'installed')
  const home = report.replace('report', 'phone-home')
  const key = `ssh-ed25519 ${'A'.repeat(68)}`
  t.equal(await post(home, `pub_key_ed25519=${encodeURIComponent(`${key} root@n1`)}&hostname=n1&pub_key_rsa=evil`), 200)
  t.equal(machines.state('n1')?.phase, 'reachable')
  t.strictSame(machines.hostKeys('n1'), [key])
  t.equal(await post(home, 'pub_key_ed25519=x'), 410)
  t.strictSame(machines.hostKeys('n1'), [key], 'a second one changes nothing')
  later(25 * 3600_000)
  t.equal(await post(report, '{"status": "installed"}'), 403, 'expired')
  t.equal((await get(`${seed}/user-data`)).status, 403, 'expired')
})

t.test('a UKI goes out once; asking for its size is free', async (t) => {
  const { get, machines, repave, tokens } = await setUp(t)
  const uki = `/m/n2/${tokens.tag('n2')}/uki.efi`
  t.equal((await get(uki)).status, 404)
  machines.repave('n2', 1000, repave)
  t.match(await get(uki, { method: 'HEAD' }), { status: 200, headers: { 'content-length': '3000000' } })
  t.match(String((await get(uki.replace('uki.efi', 'boot.ipxe'))).body), /^chain http:.*\/uki\.efi/m)
  t.ok((await get(uki)).body.equals(KERNEL))
  t.equal((await get(uki)).status, 404)
  t.equal((await get(uki, { method: 'HEAD' })).status, 404)
})

t.test('readers that do not read are cut off, and the others have their places', async (t) => {
  const { server, folder, get, lines } = await setUp(t, { limits: { least: 100_000, window: 300 } })
  truncateSync(join(folder, 'boot/empty'), 64 << 20)
  const stuck = [0, 1, 2].map(() => {
    const socket = connect(server.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /files/empty HTTP/1.1\r\nHost: x\r\n\r\n')
    socket.pause()
    return socket
  })
  await pause(100)
  t.equal(String((await get('/files/initrd.gz')).body), 'initrd', 'after a wait for a place')
  t.match(String((await get('/metrics')).body), /^runbook_netboot_http_broken_total [123]$/m)
  t.equal(lines[0], 'GET /files/empty 200 broken')
  const gone = connect(server.port, '127.0.0.1')
  gone.write('GET /files/linux HTTP/1.1\r\nHost: x\r\n\r\n')
  gone.once('data', () => gone.destroy())
  const cutOff = () => lines.filter((line) => line.includes('/empty'))
  for (let tries = 0; tries < 300 && cutOff().length < 3; tries++) await pause(100)
  t.strictSame(cutOff(), Array(3).fill('GET /files/empty 200 broken'))
  t.ok((await get('/files/linux')).body.equals(KERNEL))
  for (const socket of stuck) socket.destroy()
})

t.test('an address that opens all the connections that it can leaves some to the others', async (t) => {
  const { server } = await setUp(t, { connections: 8 })
  const open = async (localAddress: string): Promise<Socket> => {
    const socket = connect({ host: '127.0.0.1', port: server.port, localAddress })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    return socket
  }
  const greedy: Socket[] = []
  for (let i = 0; i < 6; i++) greedy.push(await open('127.0.0.2'))
  const refused = await open('127.0.0.2')
  await once(refused, 'close')
  t.ok(greedy.every((one) => !one.destroyed))
  t.equal(server.counters.refused_connections, 1)
  const other = await open('127.0.0.3')
  other.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  t.match(String(await once(other, 'data')), /^HTTP\/1\.1 200 /)
  // One that is closed makes room for the next.
  greedy[0]!.destroy()
  const again = async (): Promise<string> => {
    const socket = await open('127.0.0.2')
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    const [data] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
    return String(data)
  }
  let answer = await again()
  for (let i = 0; i < 200 && !answer.startsWith('HTTP'); i++) {
    await pause(20)
    answer = await again()
  }
  t.match(answer, /^HTTP\/1\.1 200 /)
})

t.test('a file that is cut short while it is sent breaks the connection', async (t) => {
  const { server, folder } = await setUp(t)
  const path = join(folder, 'boot/empty')
  truncateSync(path, 256 << 20)
  const socket = connect(server.port, '127.0.0.1')
  let bytes = 0
  await new Promise<void>((done) => {
    socket.on('error', () => {})
    socket.on('close', () => done())
    socket.write('GET /files/empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    socket.once('data', () => truncateSync(path, 1 << 20))
    socket.on('data', (part) => {
      bytes += part.length
    })
  })
  t.ok(bytes < 256 << 20)
})
