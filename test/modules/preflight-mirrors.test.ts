/** Mirrors of containerd_registries: where and how they are asked, and real ones, with TLS and behind a proxy. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import preflight from '../../modules/preflight.ts'
import { apiOf, proxyFor } from '../../src/module/containerd/index.ts'
import { CHECKS, look, type MirrorToTry, type Wanted } from '../../src/module/preflight/index.ts'
import { act, actionContext, inEachShell } from './drive.ts'

t.test('where containerd asks a mirror', async (t) => {
  const rows: readonly (readonly [url: string, overridePath: boolean, asked: string])[] = [
    ['https://m', false, 'https://m/v2/'],
    ['https://m/', false, 'https://m/v2/'],
    ['https://m/docker.io', false, 'https://m/docker.io/v2/'],
    ['https://m:5000/v2', false, 'https://m:5000/v2/'],
    ['https://m/v2/docker.io/', true, 'https://m/v2/docker.io/'],
  ]
  for (const [url, overridePath, asked] of rows) t.equal(apiOf({ url, overridePath }), asked, url)
})

t.test('the proxy that containerd takes, as Go finds it', async (t) => {
  const none = ['10.0.0.0/8', 'fd00::/8', '.below.org', '*.star.org', 'name.org', 'port.org:5000', '192.0.2.7', '::5']
  const rows: readonly (readonly [url: string, proxy: string | undefined])[] = [
    ['https://m.example/', 'http://s'],
    ['http://m.example/', 'http://p'],
    ['https://10.1.2.3/', undefined],
    ['https://11.1.2.3/', 'http://s'],
    ['https://[fd00::1]/', undefined],
    ['https://[fe80::1]/', 'http://s'],
    ['https://[::5]/', undefined],
    ['https://192.0.2.7:5000/', undefined],
    ['https://below.org/', 'http://s'],
    ['https://a.below.org/', undefined],
    ['https://star.org/', 'http://s'],
    ['https://a.star.org/', undefined],
    ['https://name.org/', undefined],
    ['https://a.name.org/', undefined],
    ['https://aname.org/', 'http://s'],
    ['https://port.org/', 'http://s'],
    ['https://port.org:5000/', undefined],
    ['https://localhost/', undefined],
    ['http://127.0.0.1:5000/', undefined],
  ]
  for (const [url, proxy] of rows) t.equal(proxyFor(url, { http: 'http://p', https: 'http://s', none }), proxy, url)
  t.equal(proxyFor('https://m.example/', { https: 'http://s', none: ['*'] }), undefined)
  t.equal(proxyFor('https://m.example/', { https: '', none: [] }), undefined)
})

const folder = mkdtempSync(join(tmpdir(), 'runbook-mirrors-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const ca = join(folder, 'ca of the site.crt')
const key = join(folder, 'key')
const subject = '-subj /CN=mirror -addext subjectAltName=IP:127.0.0.1'
const made = spawnSync('openssl', [
  ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'.split(' '),
  ...subject.split(' '),
  ...['-keyout', key, '-out', ca],
])
const missing = [made, spawnSync('curl', ['--version'])].some(({ status }) => status !== 0)
const skip = missing && 'no openssl or no curl'

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

if (skip) t.test('real mirrors', { skip }, async () => {})
else {
  const tls = { key: readFileSync(key), cert: readFileSync(ca) }
  const registry = createTlsServer(tls, ({ url }, response) => response.writeHead(url === '/v2/' ? 401 : 404).end())
  const port = await listen(registry)
  const asked: (string | undefined)[] = []
  const proxy = await listen(
    createServer(({ url, headers }, response) => {
      asked.push(url, headers['proxy-authorization'])
      response.end()
    }),
  )

  inEachShell('real mirrors', async (t, bench) => {
    const context = actionContext(bench, { facts: { os: { id: 'debian', version: '12' }, user: { uid: 0 } } })
    const of = (more: Partial<MirrorToTry>): MirrorToTry => ({
      registry: 'docker.io',
      url: `https://127.0.0.1:${port}/v2/`,
      skipVerify: false,
      ...more,
    })
    const answer = async (more: Partial<MirrorToTry>) => {
      const wanted: Wanted = {
        ...{
          kubernetesVersion: 'v1.34.1',
          role: 'worker',
          endpoint: undefined,
          virtualIp: undefined,
          hostname: undefined,
        },
        ...{ bindPort: 6443, kubeProxyMode: 'iptables', supportedOs: {}, minCpus: 1, minMemoryMb: 1, minDiskGb: {} },
        ...{ maxClockSkew: 5, swap: 'off', upgrade: false, names: [], urls: [], peers: [], mirrors: [of(more)] },
      }
      return Object.values((await context.read(look(wanted))).mirrors)[0]
    }
    t.match(await answer({}), /certificate/, 'a certificate that nobody vouches for')
    t.equal(await answer({ skipVerify: true }), '401')
    t.equal(await answer({ ca }), '401')
    t.equal(await answer({ ca: join(folder, 'none') }), '401', 'an authority that the preparation brings')
    t.equal(await answer({ skipVerify: true, url: `https://127.0.0.1:${port}/v2/docker.io/` }), '404')
    t.match(await answer({ url: 'https://127.0.0.1:9/v2/' }), /refused|connect/)
    const before = asked.length
    t.equal(await answer({ url: 'http://m.invalid/v2/', proxy: `http://u:secret@127.0.0.1:${proxy}` }), '200')
    const basic = `Basic ${Buffer.from('u:secret').toString('base64')}`
    t.same(asked.slice(before), ['http://m.invalid/v2/', basic], 'through the proxy')

    const args = {
      ...{
        kubernetes_version: 'v1.34.1',
        role: 'worker',
        min_disk_gb: { '/': 0 },
        http_proxy: `http://127.0.0.1:${proxy}`,
      },
      ignore: CHECKS.filter((check) => check !== 'mirror'),
      registries: {
        'docker.io': { mirrors: ['http://m.invalid'] },
        'quay.io': { mirrors: ['http://127.0.0.1:9', { url: `https://127.0.0.1:${port}`, skip_verify: true }] },
        'ghcr.io': {
          mirrors: [{ url: 'http://127.0.0.1:9/v2/ghcr', override_path: true, username: 'u', password: 'hush' }],
        },
      },
    }
    const failed: Error = await act(preflight, args, context).then(
      () => t.fail('it must fail') as never,
      (error) => error,
    )
    t.match(
      failed.message,
      /a problem:\n- mirror: http:\/\/127\.0\.0\.1:9\/v2\/ghcr\/, the mirror of ghcr\.io, cannot be had: /,
    )
    t.notMatch(failed.message, /hush/)
    const { notes } = (failed as unknown as { data: { notes: { check: string; message: string }[] } }).data
    t.match(
      notes.filter(({ check }) => check === 'mirror'),
      [{ message: /mirror of quay\.io, cannot be had: .*Images come from https:\/\/127\.0\.0\.1:\d+\/v2\/$/ }],
    )
  })
}
