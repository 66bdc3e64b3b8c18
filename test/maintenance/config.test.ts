import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readMaintenance } from '../../src/maintenance/config.ts'
import type { UserError } from '../../src/shared/errors.ts'
import { formatPlace } from '../../src/shared/source.ts'

const folder = mkdtempSync(join(tmpdir(), 'runbook-maintenance-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'maintenance.yml')

function read(text: string) {
  writeFileSync(path, text)
  return readMaintenance(folder)
}

t.test('without a file everything is the default', async (t) => {
  const { settings, path } = readMaintenance(folder)
  t.equal(path, undefined)
  t.match(settings.guards, {
    max_unavailable: undefined,
    budgets: [],
    soak: 0,
    blockers: { pods: [], alerts: [], commands: [] },
    lease: { namespace: 'kube-system', duration: 60_000 },
    etcd: { pki: '/etc/kubernetes/pki/etcd', port: 2379 },
  })
})

t.test('what it means', async (t) => {
  t.same(read('').settings, read('guards: {}').settings)
  const { settings, place } = read(`guards:
  max_unavailable: 10%
  soak: 5m
  lease: {duration: 90s}
  budgets:
    - label: pool=db,!spot
      max_unavailable: 1
    - per: zone
      max_unavailable: 2
  blockers:
    pods: [{selector: critical=yes}]
    alerts: [{prometheus: 'http://prometheus.example:9090', ignore: ['Watchdog|Info.*']}]
    commands: [{command: ./may-i, timeout: 10}]
`)
  t.match(settings.guards, {
    max_unavailable: '10%',
    soak: 300_000,
    lease: { duration: 90_000 },
    budgets: [{ label: 'pool=db,!spot' }, { per: 'zone', max_unavailable: 2 }],
    blockers: { pods: [{ on: 'node' }], commands: [{ command: ['./may-i'], timeout: 10_000 }] },
  })
  t.equal(formatPlace(place('guards', 'budgets', 1, 'per')!), `${path}:8:12`)
})

t.test('what is wrong, and where', async (t) => {
  const table: [text: string, ...expected: RegExp[]][] = [
    ['gaurds: {}', /maintenance\.yml:1:1: unknown key "gaurds"[\s\S]*did you mean "guards"/],
    ['guards:\n  soack: 1m', /:2:3: unknown key "soack"[\s\S]*did you mean "soak"/],
    ['guards:\n  soak: soon', /:2:9: guards\.soak: must be a time such as 90s, 15m, 1h/],
    ['guards:\n  max_unavailable: 1.5', /:2:20: guards\.max_unavailable: must be a whole number, or a percentage/],
    ['guards:\n  max_unavailable: 101%', /must be a whole number, or a percentage/],
    ['guards:\n  max_unavailable: -1', /must be a whole number, or a percentage/],
    ['guards:\n  lease: {duration: 1s}', /guards\.lease\.duration: must be from 5s to 1h/],
    ['guards:\n  budgets:\n    - label: "a b"\n      max_unavailable: 1', /:3:14: .*must be a label selector/],
    [
      'guards:\n  budgets:\n    - labels: a\n',
      /:3:7: unknown key "labels"[\s\S]*did you mean "label"/,
      /budgets\.0\.max_unavailable/,
    ],
    ['guards:\n  blockers:\n    alerts: [{prometheus: "ftp://x"}]', /:3:27: guards\.blockers\.alerts\.0\.prometheus/],
    ['guards:\n  blockers:\n    alerts: [{prometheus: "http://x", match: ["("]}]', /must be a regular expression/],
    ['guards:\n  blockers:\n    commands: [{command: []}]', /blockers\.commands\.0\.command/],
    ['- a', /maintenance\.yml:1:1: /],
    ['guards: 3', /:1:9: guards: /],
  ]
  for (const [text, ...expected] of table) {
    const error = await Promise.resolve()
      .then(() => read(text))
      .catch((error) => error as UserError)
    for (const one of expected) t.match((error as Error).message, one, text)
    t.match(error, { name: 'UserError' })
  }
})
