import { chmodSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { askBlockers } from '../../../src/maintenance/guards/blockers.ts'
import { Site, settings } from './setting.ts'

t.setTimeout(60_000)

const ask = (site: Site, blockers: object) =>
  askBlockers(settings({ blockers }).blockers, {
    ...site.dependencies(),
    node: 'n1',
    run: 'r1',
    reason: 'disk',
  })

t.test('pods', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const asked: unknown[] = []
  site.world.script = (request) => {
    if (!request.path.endsWith('/pods')) return undefined
    asked.push([request.path, request.query.labelSelector, request.query.fieldSelector])
    const items = request.query.labelSelector === 'none=x' ? [] : [{ metadata: { namespace: 'shop', name: 'import' } }]
    return { status: 200, body: { kind: 'PodList', metadata: {}, items } }
  }
  t.same(await ask(site, { pods: [{ selector: 'none=x' }] }), [])
  t.same(await ask(site, { pods: [{ selector: 'critical=yes', namespace: 'shop' }] }), [
    'blocked by pods with critical=yes: shop/import',
  ])
  await ask(site, { pods: [{ selector: 'critical=yes', on: 'cluster' }] })
  t.same(asked, [
    ['/api/v1/pods', 'none=x', 'spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed'],
    ['/api/v1/namespaces/shop/pods', 'critical=yes', 'spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed'],
    ['/api/v1/pods', 'critical=yes', 'status.phase!=Succeeded,status.phase!=Failed'],
  ])
})

t.test('alerts', async (t) => {
  const site = new Site(t)
  let answer: [status: number, body: unknown] = [200, {}]
  const seen: IncomingMessage[] = []
  const url = await listen(t, (request) => {
    seen.push(request)
    return answer
  })
  const alert = (alertname: string, state = 'firing', labels = {}) => ({ labels: { alertname, ...labels }, state })
  const alerts = (...all: object[]): void => {
    answer = [200, { status: 'success', data: { alerts: all } }]
  }
  const one = (more: object = {}) => ask(site, { alerts: [{ prometheus: url, ...more }] })
  alerts()
  t.same(await one(), [])
  alerts(alert('DiskFull'), alert('Watchdog'), alert('Slow', 'pending'))
  t.same(await one(), ['blocked by alerts: DiskFull, Watchdog'])
  t.same(await one({ ignore: ['Watchdog'] }), ['blocked by alerts: DiskFull'])
  t.same(await one({ match: ['Disk'] }), [], 'whole names')
  t.same(await one({ match: ['Disk.*'], pending: true }), ['blocked by alerts: DiskFull'])
  t.same(await one({ match: ['Slow'], pending: true }), ['blocked by alerts: Slow'])
  alerts(alert('A', 'firing', { node: 'n1' }), alert('B', 'firing', { node: 'n2' }))
  t.same(await one({ labels: { node: '{node}' } }), ['blocked by alerts: A'])
  writeFileSync(join(site.folder, 'token'), 'geheim\n')
  await one({ token_file: 'token' })
  t.equal(seen.at(-1)!.headers.authorization, 'Bearer geheim')
  t.equal(seen.at(-1)!.url, '/api/v1/alerts')
  answer = [503, 'no']
  t.match(await one(), [/cannot be read: HTTP 503/])
  answer = [200, { status: 'error' }]
  t.match(await one(), [/no answer of Prometheus/])
  answer = [200, 'x{']
  t.match(await one(), [/cannot be read/])
  t.match(await ask(site, { alerts: [{ prometheus: 'http://127.0.0.1:1' }] }), [/cannot be read: \S/])
  t.match(await one({ token_file: 'none' }), [/cannot be read: .*ENOENT/])
})

t.test('commands', async (t) => {
  const site = new Site(t)
  const script = (name: string, text: string): string => {
    writeFileSync(join(site.folder, name), `#!/bin/sh\n${text}\n`)
    chmodSync(join(site.folder, name), 0o755)
    return `./${name}`
  }
  const one = (command: string | string[], more: object = {}) => ask(site, { commands: [{ command, ...more }] })
  t.same(await one(['true']), [])
  t.same(await one(script('free', 'exit 0')), [])
  t.same(
    await one(script('no', 'echo first; echo "backup of $RUNBOOK_NODE runs ($RUNBOOK_RUN, $RUNBOOK_REASON)"; exit 3')),
    ['blocked by ./no: backup of n1 runs (r1, disk)'],
  )
  t.same(await one(['sh', '-c', 'exit 7']), ['blocked by sh: exit status 7'])
  t.match(await one('./gone'), [/blocked by \.\/gone: .*ENOENT/])
  t.same(await one(['sh', '-c', 'sleep 60 & sleep 60'], { timeout: '1s' }), [
    'blocked by sh: it did not end within 1 s',
  ])
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('interrupted')), 100)
  const asked = settings({ blockers: { commands: [{ command: ['sleep', '60'] }] } }).blockers
  await t.rejects(askBlockers(asked, { node: 'n1', run: 'r', folder: site.folder, signal: stop.signal }), {
    message: 'interrupted',
  })
})

t.test('asked before the lock and again after it', async (t) => {
  const site = new Site(t, ['n1'])
  // Free before, taken as soon as the lock is there.
  const answers = [0, 1, 1]
  let asked = 0
  const url = await listen(t, () => {
    const alerts = answers[asked++] ? [{ labels: { alertname: 'JustNow' }, state: 'firing' }] : []
    return [200, { status: 'success', data: { alerts } }]
  })
  const given = settings({ blockers: { alerts: [{ prometheus: url }] } })
  await t.rejects(site.enter('n1', { settings: given }), { message: /blocked by alerts: JustNow/ })
  t.equal(asked, 2)
  t.match(site.messages, /held: .*\nreleased: /)
  t.same(site.ledger.entries, [])
})

async function listen(t: Test, answer: (request: IncomingMessage) => [number, unknown]): Promise<string> {
  const server = createServer((request, response) => {
    const [status, body] = answer(request)
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
