import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import getUrl from '../../modules/get_url.ts'
import { apply, check, converge, inEachShell, modeOf } from './drive.ts'
import { table } from './table.ts'

const file = { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' }
const D = 'a'.repeat(64)

table(getUrl, [
  { name: 'nothing there', args: { url: 'http://h/x', dest: '/x' }, state: {}, changes: ['download http://h/x to /x'] },
  { name: 'there, no checksum', args: { url: 'http://h/x', dest: '/x' }, state: { direct: file }, changes: [] },
  {
    name: 'there, another checksum',
    args: { url: 'http://h/x', dest: '/x', checksum: `sha256:${D}`, mode: '0755' },
    state: { direct: file, digests: { direct: 'b' } },
    changes: ['download http://h/x to /x (0755)'],
  },
  {
    name: 'there, the right one in a list of sums',
    args: { url: 'http://h/x.tgz', dest: '/d/', checksum: 'sha256:http://h/SUMS', mode: '0600' },
    state: {
      within: file,
      digests: { within: D },
      published: Buffer.from(`${'c'.repeat(64)}  ./y.tgz\n${D.toUpperCase()} *dir/x.tgz\n`),
    },
    changes: ['chmod 0600 /d/x.tgz'],
  },
  {
    name: 'a list of sums without it',
    args: { url: 'http://h/x.tgz', dest: '/x', checksum: 'sha256:http://h/SUMS' },
    state: { direct: file, digests: {}, published: Buffer.from('<html>\nnot found') },
    fails: /holds no sha256 of x.tgz/,
  },
  {
    name: 'digest too short',
    args: { url: 'http://h/x', dest: '/x', checksum: 'sha256:abc' },
    state: {},
    invalid: /ALGORITHM:DIGEST/,
  },
  { name: 'password in the URL', args: { url: 'http://u:p@h/x', dest: '/x' }, state: {}, invalid: /url_username/ },
  { name: 'file URL', args: { url: 'file:///etc/shadow', dest: '/x' }, state: {}, invalid: /http, https or ftp/ },
])

const body = Buffer.concat([Buffer.from('binary\0'), Buffer.alloc(200_000, 'x')])
const sha = createHash('sha256').update(body).digest('hex')
let requests: string[] = []
const server = createServer((request, response) => {
  requests.push(`${request.url} ${request.headers.authorization ?? ''} ${request.headers['x-"odd"'] ?? ''}`)
  if (request.url === '/tool.bin') response.end(body)
  else if (request.url === '/secret') response.writeHead(request.headers.authorization ? 200 : 401).end('secret')
  else if (request.url === '/SUMS') response.end(`${sha}  tool.bin\n`)
  else if (request.url === '/moved') response.writeHead(302, { location: '/tool.bin' }).end()
  else if (request.url === '/stall') response.write('begun')
  else response.writeHead(404).end('no such file')
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
t.teardown(() => {
  server.closeAllConnections()
  server.close()
})
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

for (const tool of ['curl', 'wget', 'controller'] as const) {
  inEachShell(`get_url by ${tool}`, async (t, bench) => {
    const busybox = t.name.includes('busybox')
    const bin = join(bench.controller, 'bin')
    if (tool === 'wget') {
      // A PATH without curl: links to all that scripts need.
      fs.mkdirSync(bin)
      for (const name of 'cat chmod chown cp date grep id mkdir mv readlink mktemp rm sed sh sha256sum stat wget'.split(
        ' ',
      )) {
        fs.symlinkSync(busybox ? '/bin/busybox' : which(name), join(bin, name))
      }
      bench.shell.env.PATH = bin
    }
    const via = tool === 'controller' ? 'controller' : 'host'
    requests = []
    const dest = join(bench.host, `the 'tool'`)
    const digest = `sha256:${sha}`
    await converge(t, bench, getUrl, { url: `${base}/tool.bin`, dest, checksum: digest, mode: '0755', via })
    t.same(fs.readFileSync(dest), body)
    t.equal(modeOf(dest), '0755')
    t.equal(requests.length, 1, 'one download, none in check mode')
    fs.writeFileSync(dest, 'old')
    await converge(t, bench, getUrl, { url: `${base}/moved`, dest, checksum: digest, via, backup: true })
    t.same(fs.readFileSync(dest), body)
    if (via === 'host') {
      fs.rmSync(dest)
      const { result } = await converge(t, bench, getUrl, {
        url: `${base}/tool.bin`,
        dest: bench.host,
        checksum: `sha256:${base}/SUMS`,
      })
      t.match(result, { dest: join(bench.host, 'tool.bin'), checksum: digest })
    }
    const wrong = { url: `${base}/tool.bin`, dest: join(bench.host, 'new'), checksum: `sha256:${D}`, via }
    await t.rejects(apply(bench, getUrl, wrong), /expected sha256 aaa.*, got/)
    await t.rejects(apply(bench, getUrl, { url: `${base}/none`, dest: join(bench.host, 'new'), via }), /404/)
    // curl looks at its speed over five seconds; busybox wget has no time limit that works.
    if (t.name.includes('dash'))
      await t.rejects(apply(bench, getUrl, { url: `${base}/stall`, dest: join(bench.host, 'new'), via, timeout: 1 }))
    const secret = { url: `${base}/secret`, dest: join(bench.host, 's'), url_username: 'me', url_password: 'p"w', via }
    if (tool === 'wget' && busybox) await t.rejects(apply(bench, getUrl, secret), /show the headers to other users/)
    else {
      await apply(bench, getUrl, secret)
      t.equal(fs.readFileSync(join(bench.host, 's'), 'utf8'), 'secret')
    }
    t.notOk(fs.existsSync(join(bench.host, 'new')))
    t.notOk(
      fs.readdirSync(bench.host).some((f) => f.startsWith('.rb-')),
      'nothing is left of failed downloads',
    )
    t.same(await check(bench, getUrl, { url: `${base}/x`, dest: bench.host, via }), [
      `download ${base}/x to ${bench.host}/x`,
    ])
  })
}

function which(name: string): string {
  return process.env
    .PATH!.split(':')
    .map((d) => join(d, name))
    .find((p) => fs.existsSync(p))!
}
