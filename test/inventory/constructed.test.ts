import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { loadInventory } from '../../src/inventory/index.ts'
import { UserError } from '../../src/shared/errors.ts'
import { makeScope } from '../../src/values/index.ts'

const HOSTS = `
all:
  hosts:
    web1: { rack: r-1, roles: [web, cache], ports: { http: 80 }, cores: 4 }
    web2: { rack: "2", roles: [web], ports: {}, cores: 64 }
    db1: { rack: "", roles: [], ports: {}, cores: 64 }
`

async function load(t: Test, constructed: string, more: Readonly<Record<string, string>> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-constructed-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries({ 'hosts.yml': HOSTS, 'made.yml': constructed, ...more })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return loadInventory([join(folder, 'hosts.yml'), join(folder, 'made.yml')])
}

t.test('groups by expression, by key, and variables', async (t) => {
  const inventory = await load(
    t,
    `
plugin: ansible.builtin.constructed
compose:
  big: cores > 32
  label: inventory_hostname + "/" + string(big)
groups:
  large: big
  web: '"web" in roles'
keyed_groups:
  - { key: rack, prefix: rack, parent_group: racks, default_value: none }
  - { key: roles, separator: "" }
  - { key: ports, prefix: port }
`,
    { 'group_vars/large.yml': 'from_large: true\n' },
  )
  const groups = Object.fromEntries([...inventory.hosts].map(([name, host]) => [name, host.groups]))
  t.same(groups, {
    web1: ['cache', 'port_http_80', 'rack_r_1', 'racks', 'web'],
    web2: ['large', 'rack_2', 'racks', 'web'],
    db1: ['large', 'rack_none', 'racks'],
  })
  t.same(
    inventory.match('racks:!large').map(({ name }) => name),
    ['web1'],
  )
  const scope = makeScope(inventory.hosts.get('db1')!.layers)
  t.equal(scope.get('label'), 'db1/true')
  t.equal(scope.get('from_large'), true, 'group_vars of a group that was made')
})

t.test('what is wrong is said, of all hosts at once', async (t) => {
  const wrong = async (text: string): Promise<string[]> => {
    try {
      await load(t, `plugin: constructed\n${text}`)
      return []
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      return error.problems.map(({ message, place }) => `${place?.line}: ${message}`)
    }
  }
  t.match(
    (await wrong('groups: { a: "port > 1" }')).join('\n'),
    /2: host web1: .*port.*\n2: host web2: .*\n2: host db1: /,
  )
  t.same(await wrong('strict: false\ngroups: { a: "port > 1" }'), [])
  t.match(await wrong('groups: { a: "cores" }'), [/neither true nor false/])
  t.match(await wrong('groups: { "a b": "true" }'), [/cannot be a name/])
  t.match(await wrong('group: {}'), [/has no "group"/])
  t.match(await wrong('keyed_groups: [{ prefix: a }]'), [/needs "key"/])
  t.match(await wrong('keyed_groups: [{ key: "cores +" }]'), [/2: /])
  t.match(await wrong('keyed_groups: [{ key: "[[1]]" }]'), [/must be a text or a number/])
  t.match(await wrong('keyed_groups: [{ key: rack, parent_group: rack_2, prefix: rack }]'), [/cannot be a child/])
  t.match(await wrong('groups: [a]'), [/is a map of names/])
})
