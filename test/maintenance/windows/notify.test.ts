/** Notifications to a real HTTP server, one that fails and one that hangs included, and to commands. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { ScheduleEvent } from '../../../src/maintenance/windows/events.ts'
import { Notifier, requestOf } from '../../../src/maintenance/windows/notify.ts'
import { readSchedule } from '../../../src/maintenance/windows/schema.ts'
import { parseYaml } from '../../../src/shared/yaml.ts'

const EVENT: ScheduleEvent = {
  at: Date.UTC(2026, 10, 24, 2),
  kind: 'node_failed',
  window: 'workers',
  occurrence: '20261124-020000-workers',
  host: 'k8s-1',
  text: 'k8s-1: "drain" <!channel> & more\nsecond line',
}

function channel(yaml: string, folder = '.') {
  const text = `notify:\n  ops:\n${yaml.replace(/^/gm, '    ')}\n`
  const { channels, bad } = readSchedule(parseYaml({ path: join(folder, 'maintenance.yml'), text }), Date.now())
  const found = channels.get('ops')
  if (!found) throw new Error(JSON.stringify(bad.map(({ problems }) => problems.map(({ message }) => message))))
  return found
}

interface Got {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

async function server(
  t: { teardown(fn: () => void): void },
  answer: (count: number, response: ServerResponse) => void,
) {
  const got: Got[] = []
  const http = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => {
      got.push({ headers: request.headers, body })
      answer(got.length, response)
    })
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => {
    http.closeAllConnections()
    http.close()
  })
  return { got, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/hook/s3cret` }
}

function notifier() {
  const outcomes: string[] = []
  const made = new Notifier({
    onOutcome: (name, outcome, why) => outcomes.push(`${name} ${outcome}${why ? `: ${why}` : ''}`),
    retries: [20, 40],
  })
  return { outcomes, made }
}

t.test('Slack: a text, with what has a meaning there escaped', async (t) => {
  const { got, url } = await server(t, (_, response) => response.end('ok'))
  const { outcomes, made } = notifier()
  made.send(channel(`webhook: ${url}`), EVENT)
  await made.drain(20_000)
  t.same(outcomes, ['ops sent'])
  t.equal(got[0]!.headers['content-type'], 'application/json')
  t.same(JSON.parse(got[0]!.body), { text: 'k8s-1: "drain" &lt;!channel&gt; &amp; more\nsecond line' })
})

t.test('a body and headers of the site, from templates and the environment', async (t) => {
  const { got, url } = await server(t, (_, response) => response.end())
  process.env.RUNBOOK_TEST_HOOK = url
  t.teardown(() => {
    delete process.env.RUNBOOK_TEST_HOOK
  })
  const { outcomes, made } = notifier()
  const yaml = `webhook: '{{ env "RUNBOOK_TEST_HOOK" }}'
headers: { Authorization: 'Bearer {{ env "RUNBOOK_TEST_HOOK" }}' }
body:
  summary: '[{{ window }}] {{ text }}'
  fields: [{ name: host, value: '{{ host }}' }]
  kind: '{{ kind }}'
  fixed: 5`
  made.send(channel(yaml), EVENT)
  await made.drain(20_000)
  t.same(outcomes, ['ops sent'])
  t.equal(got[0]!.headers.authorization, `Bearer ${url}`)
  t.same(JSON.parse(got[0]!.body), {
    summary: `[workers] ${EVENT.text}`,
    fields: [{ name: 'host', value: 'k8s-1' }],
    kind: 'node_failed',
    fixed: 5,
  })
})

t.test('tried again; given up; never the address in the words', async (t) => {
  const flaky = await server(t, (count, response) => {
    response.statusCode = count < 3 ? 503 : 200
    response.end()
  })
  const broken = await server(t, (_, response) => {
    response.statusCode = 500
    response.end()
  })
  const { outcomes, made } = notifier()
  made.send(channel(`webhook: ${flaky.url}`), EVENT)
  await made.drain(20_000)
  made.send(channel(`webhook: ${broken.url}`), EVENT)
  await made.drain(20_000)
  made.send(channel('webhook: http://127.0.0.1:1/s3cret'), EVENT)
  await made.drain(20_000)
  t.match(outcomes, ['ops sent', 'ops failed: it answered 500 (try 3)', /^ops failed: .+\(try 3\)$/])
  t.equal(flaky.got.length, 3)
  t.notMatch(outcomes.join(), /s3cret/)
})

t.test('one that hangs holds nobody up, and the others get theirs', async (t) => {
  const hangs = await server(t, () => {})
  const fine = await server(t, (_, response) => response.end())
  const { outcomes, made } = notifier()
  const slow = channel(`webhook: ${hangs.url}\ntimeout: 1s`)
  const before = performance.now()
  for (let i = 0; i < 150; i++) made.send(slow, EVENT)
  made.send({ ...channel(`webhook: ${fine.url}`), name: 'fine' }, EVENT)
  t.ok(performance.now() - before < 900, 'nothing is waited for')
  while (!outcomes.includes('fine sent')) await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(outcomes.filter((one) => one === 'ops dropped: too many wait already').length, 50)
  while (!outcomes.some((one) => one.includes('no answer within 1 s')))
    await new Promise((resolve) => setTimeout(resolve, 50))
  const drained = performance.now()
  await made.drain(200)
  t.ok(performance.now() - drained < 20_000, 'the end of the daemon waits so long and no longer')
})

t.test('commands', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-windows-notify-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'tell'), '#!/bin/sh\n{ cat; echo "$RUNBOOK_KIND $RUNBOOK_HOST"; } >told\n', {
    mode: 0o755,
  })
  const { outcomes, made } = notifier()
  made.send(channel('command: [./tell]', folder), EVENT)
  await made.drain(20_000)
  const [json, words] = readFileSync(join(folder, 'told'), 'utf8').split('\n')
  t.match(JSON.parse(json!), EVENT)
  t.equal(words, 'node_failed k8s-1')
  made.send(channel("command: [sh, -c, 'echo no >&2; exit 7']", folder), EVENT)
  await made.drain(20_000)
  made.send(channel('command: [./not-there]', folder), EVENT)
  await made.drain(20_000)
  made.send(channel("command: [sh, -c, 'sleep 1000 | cat']\ntimeout: 1s", folder), EVENT)
  await made.drain(30_000)
  t.match(outcomes, [
    'ops sent',
    'ops failed: it ended with 7: no (try 3)',
    /it cannot be started/,
    /it took longer than 1 s/,
  ])
})

t.test('a command that leaves something running has ended all the same', async (t) => {
  const { outcomes, made } = notifier()
  const leaves = channel("command: [sh, -c, 'setsid sleep 5 & exit 0']\ntimeout: 1s")
  made.send(leaves, EVENT)
  await made.drain(20_000)
  t.same(outcomes, ['ops sent'])
  // Past the time limit, when there is nothing of it left to kill.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  made.send(leaves, EVENT)
  await made.drain(20_000)
  t.same(outcomes, ['ops sent', 'ops sent'])
})

t.test('only what it is for', async (t) => {
  const { outcomes, made } = notifier()
  made.send(channel('command: ["true"]\non: [missed]'), EVENT)
  await made.drain(5000)
  t.same(outcomes, [])
})

t.test('what is wrong is known when the file is read', async (t) => {
  for (const [yaml, why] of [
    ['webhook: http://x\ncommand: [x]', /one of: webhook, command/],
    ['{}', /one of: webhook, command/],
    ['webhook: "{{ if }"', /template/],
    ['webhook: http://x\non: [opend]', /on\.0/],
    ['webhook: http://x\nbdy: 1', /unknown key/],
    ['command: [x]\nbody: 1', /body belongs to a webhook/],
  ] as const)
    t.throws(() => channel(yaml), { message: why }, yaml)
  t.throws(() => requestOf(channel('webhook: "{{ wndow }}"'), EVENT), { message: /wndow/ })
  t.throws(() => requestOf(channel('webhook: ftp://x'), EVENT), { message: /http/ })
})
