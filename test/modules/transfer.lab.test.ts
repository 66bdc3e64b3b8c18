/** get_url, unarchive and uri on a real host, with a web server on this machine. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Test } from 'tap'
import { run } from '../lab/run.ts'
import { onLabHost } from './play.ts'

onLabHost('modules that fetch', async (t, host) => {
  const large = Buffer.alloc(5_000_000, 'payload \0')
  const sha256 = createHash('sha256').update(large).digest('hex')
  const archive = await makeArchive(t)
  const posted: string[] = []
  const base = await serve(t, host.address, (url, method, body, headers) => {
    if (url === '/large.bin') return [200, large]
    if (url === '/tool.tar.gz') return [200, archive]
    if (url === '/sums') return [200, `${sha256}  large.bin\n`]
    if (url === '/private') return headers.authorization === 'Basic dTpzM2NyZXQ=' ? [200, 'yes'] : [401, 'no']
    if (url === '/post') {
      posted.push(`${method} ${headers['content-type']} ${body}`)
      return [201, '{"id": 7}', 'application/json']
    }
    return [404, 'there is nothing']
  })

  await t.test('get_url', async (t) => {
    await host.sh("mkdir -p '/srv/get/a  b'; echo old >/srv/get/old; chown ops /srv/get/old")
    await host.converges(
      t,
      {
        name: 'into a folder',
        get_url: { url: `${base}/large.bin`, dest: '/srv/get/a  b/', mode: '0640', group: 'adm' },
      },
      { name: 'replaced', get_url: { url: `${base}/large.bin`, dest: '/srv/get/old', checksum: `sha256:${sha256}` } },
      {
        name: 'published sum',
        get_url: { url: `${base}/large.bin`, dest: '/srv/get/new', checksum: `sha256:${base}/sums` },
      },
      { name: 'by us', get_url: { url: `${base}/large.bin`, dest: '/srv/get/by', via: 'controller' } },
      {
        name: 'private',
        get_url: { url: `${base}/private`, dest: '/srv/get/p', url_username: 'u', url_password: 's3cret' },
      },
    )
    t.equal(
      await host.sh(
        "cd /srv/get; sha256sum 'a  b/large.bin' old new by | cut -c 1-64 | uniq; stat -c '%n %a %U:%G' */* old p; cat p",
      ),
      `${sha256}\na  b/large.bin 640 root:adm\nold 644 ops:root\np 644 root:root\nyes`,
    )
    await host.refuses(
      t,
      [/404/, { get_url: { url: `${base}/none`, dest: '/srv/get/none' } }],
      [
        /expected sha256 [0-9a-f]+, got/,
        { get_url: { url: `${base}/sums`, dest: '/srv/get/none', checksum: `sha256:${sha256}` } },
      ],
      [/refused|connect/i, { get_url: { url: 'http://127.0.0.1:9/x', dest: '/srv/get/none' } }],
    )
  })

  await t.test('unarchive', async (t) => {
    host.beside('files/tool.tar.gz', archive)
    await host.sh('mkdir -p /srv/un/url')
    const fromUrl = {
      src: `${base}/tool.tar.gz`,
      checksum: `sha256:${createHash('sha256').update(archive).digest('hex')}`,
    }
    await host.converges(
      t,
      { name: 'ours', unarchive: { src: 'tool.tar.gz', dest: '/srv/un/ours', owner: 'ops' } },
      { name: 'from a site', unarchive: { ...fromUrl, dest: '/srv/un/url', strip_components: 1, exclude: ['*/doc'] } },
    )
    t.equal(
      await host.sh("cd /srv/un; find . -printf '%p %m %U %l\\n' | sort; cat 'url/bin/a  b'"),
      `. 755 0 
./ours 755 0 
./ours/tool 755 1001 
./ours/tool/bin 755 1001 
./ours/tool/bin/a  b 755 1001 
./ours/tool/bin/link 777 1001 a  b
./ours/tool/doc 644 1001 
./url 755 0 
./url/bin 755 0 
./url/bin/a  b 755 0 
./url/bin/link 777 0 a  b
tool
`,
    )
    await host.sh("rm '/srv/un/ours/tool/bin/a  b'")
    await host.converges(t, { name: 'ours', unarchive: { src: 'tool.tar.gz', dest: '/srv/un/ours', owner: 'ops' } })
    t.equal(await host.sh("cat '/srv/un/ours/tool/bin/a  b'"), 'tool\n', 'what is gone comes back')
  })

  await t.test('uri', async (t) => {
    const post = { url: `${base}/post`, method: 'POST', body: { text: "it's" }, body_format: 'json', status_code: 201 }
    const private_ = { url: `${base}/private`, url_username: 'u', url_password: 's3cret', return_content: true }
    const tasks = [
      { name: 'get', uri: private_, register: 'got' },
      { name: 'said', assert: { that: "got.status == 200 && got.content == 'yes'" } },
      { name: 'post', uri: post, register: 'made' },
      { name: 'by us', uri: { ...post, via: 'controller' } },
    ]
    const checked = await host.run(tasks, ['--check'])
    t.strictSame(posted, [], 'check mode sends nothing that changes')
    const { code, results } = await host.run([...tasks, { assert: { that: 'made.json.id == 7' } }])
    t.equal(code, 0, JSON.stringify(results.at(-1)))
    t.strictSame(
      results.slice(0, 4).map((r) => r.changes),
      checked.results.map((r) => r.changes),
    )
    t.strictSame(posted, Array(2).fill('POST application/json {"text":"it\'s"}'))
    await host.refuses(
      t,
      [/status 404, not 200: there is nothing/, { uri: { url: `${base}/none` } }],
      [/refused|connect/i, { uri: { url: 'http://127.0.0.1:9/x' } }],
    )
  })
})

type Answer = readonly [status: number, body: string | Buffer, type?: string]

/** A web server at the address of this machine that the host can reach. */
async function serve(
  t: Test,
  hostAddress: string,
  answer: (url: string, method: string, body: string, headers: Record<string, unknown>) => Answer,
): Promise<string> {
  const net = hostAddress.replace(/\d+$/, '')
  const address = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find((a) => a.address.startsWith(net))!.address
  const server: Server = createServer((request, response) => {
    let body = ''
    request
      .setEncoding('utf8')
      .on('data', (chunk) => {
        body += chunk
      })
      .on('end', () => {
        const [status, content, type = 'text/plain'] = answer(request.url!, request.method!, body, request.headers)
        response.writeHead(status, { 'content-type': type, connection: 'close' }).end(content)
      })
  })
  server.listen(0, address)
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `http://${address}:${(server.address() as AddressInfo).port}`
}

/** An archive as releases have them: a folder at the top, a program, a link, a name with blanks. */
async function makeArchive(t: Test): Promise<Buffer> {
  const folder = t.testdir({ tool: { bin: { 'a  b': 'tool\n', link: t.fixture('symlink', 'a  b') }, doc: 'doc\n' } })
  await run([
    'sh',
    '-c',
    `cd "$0" && chmod -R u=rwX,go=rX . && chmod 755 'tool/bin/a  b' && tar -czf tool.tgz tool`,
    folder,
  ])
  return readFile(`${folder}/tool.tgz`)
}
