import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import uri from '../../modules/uri.ts'
import { act, actionContext, inEachShell } from './drive.ts'

const seen: { method: string; body: string; headers: Record<string, unknown> }[] = []
const server = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  seen.push({ method: request.method!, body, headers: request.headers })
  if (request.url === '/json')
    response.writeHead(200, { 'Content-Type': 'application/json', 'X-Odd': 'a: b' }).end('{"a":[1,"ü"]}')
  else if (request.url === '/tricky') response.end('HTTP/1.1 200 OK\r\n\r\nnot a header\n200 1 x')
  else if (request.url === '/moved') response.writeHead(302, { location: '/json' }).end()
  else if (request.url === '/made') response.writeHead(201).end()
  else if (request.url !== '/never') response.writeHead(503).end('busy')
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
t.teardown(() => {
  server.closeAllConnections()
  server.close()
})
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

for (const via of ['host', 'controller'] as const) {
  inEachShell(`uri from the ${via}`, async (t, bench) => {
    const ctx = actionContext(bench)
    const call = (path: string, more: object = {}, context = ctx) =>
      act(uri, { url: base + path, via, ...more }, context)
    t.match(await call('/json', { return_content: true }), {
      changed: false,
      data: { status: 200, json: { a: [1, 'ü'] }, content: '{"a":[1,"ü"]}', headers: { 'x-odd': 'a: b' } },
    })
    t.match(await call('/moved'), { data: { status: 200, url: `${base}/json` } })
    t.match(await call('/moved', { follow_redirects: false, status_code: 302 }), { data: { status: 302 } })
    t.match(await call('/tricky', { return_content: true }), {
      data: { content: 'HTTP/1.1 200 OK\r\n\r\nnot a header\n200 1 x' },
    })
    const body = { text: `it's "odd" \\ \n\t ü` }
    const posted = {
      method: 'post',
      body,
      body_format: 'json',
      status_code: [200, 201],
      url_username: 'me',
      url_password: 'p"\\w',
    }
    seen.length = 0
    t.match(await call('/made', posted, { ...ctx, check: true }), { changed: true, msg: 'would send POST' })
    t.equal(seen.length, 0, 'nothing is sent in check mode')
    t.match(await call('/made', posted), { changed: true, data: { status: 201 } })
    t.same(JSON.parse(seen[0]!.body), body)
    t.match(seen[0]!.headers, {
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from('me:p"\\w').toString('base64')}`,
    })
    await call('/made', { method: 'PUT', body: { a: 'b c', d: 1 }, body_format: 'form-urlencoded', status_code: 201 })
    t.equal(seen[1]!.body, 'a=b+c&d=1')
    await call('/made', { method: 'PUT', body: '@/etc/passwd', status_code: 201 })
    t.equal(seen[2]!.body, '@/etc/passwd', 'no file is read')
    t.match(await call('/json', {}, { ...ctx, check: true }), { data: { status: 200 } }, 'GET runs in check mode')
    await call('/json', { method: 'HEAD' })
    await t.rejects(call('/busy'), /status 503, not 200: busy/)
    await t.rejects(call('/never', { timeout: 0.5 }), /time/i)
    await t.rejects(act(uri, { url: 'http://127.0.0.1:1/', via }, ctx), /refused|connect|bad port/i)
  })
}
