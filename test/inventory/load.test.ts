import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { explain, type InventoryOptions, loadInventory, targetOf } from '../../src/inventory/index.ts'
import { UserError } from '../../src/shared/errors.ts'
import { makeScope } from '../../src/values/index.ts'

/** Writes files into a new folder, which is the tap test's. */
function folder(t: { teardown(fn: () => void): void }, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'inventory-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    if (text.startsWith('#!')) chmodSync(join(root, path), 0o755)
  }
  return root
}

async function problem(sources: string[], options?: InventoryOptions): Promise<string> {
  try {
    await loadInventory(sources, options)
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  return 'no error'
}

async function values(sources: string[], host: string, options?: InventoryOptions): Promise<Record<string, unknown>> {
  const inventory = await loadInventory(sources, options)
  const scope = makeScope(inventory.match(host)[0]!.layers)
  return Object.fromEntries([...scope.names()].map((name) => [name, scope.get(name)]))
}

const lab = `
all:
  vars: {who: all, color: red}
  hosts:
    lonely:
  children:
    workers:
      vars: {who: workers, url: "https://{{ ansible_host }}:{{ port }}"}
      hosts:
        w[01:02]: {port: 1}
        w03: {ansible_host: 10.0.0.3, port: 3, who: w03}
    masters:
      hosts: {m1: , m2: }
    cluster:
      vars: {who: cluster, only: cluster}
      children: {workers: , masters: }
`

t.test('YAML: groups, ranges, children, order', async (t) => {
  const root = folder(t, { 'lab.yml': lab })
  const inventory = await loadInventory([join(root, 'lab.yml')])
  t.same([...inventory.hosts.keys()], ['lonely', 'w01', 'w02', 'w03', 'm1', 'm2'])
  t.same(inventory.hosts.get('w01')!.groups, ['cluster', 'workers'])
  t.same(inventory.hosts.get('lonely')!.groups, ['ungrouped'])
  t.same(inventory.groups.get('cluster')!.hosts, ['w01', 'w02', 'w03', 'm1', 'm2'])
  t.same(inventory.groups.get('ungrouped')!.hosts, ['lonely'])
  t.same(inventory.groups.get('all')!.hosts.length, 6)
  t.same(
    inventory.match('m1:w03:lonely').map(({ name }) => name),
    ['lonely', 'w03', 'm1'],
    'the order of the inventory',
  )
  t.same(await values([join(root, 'lab.yml')], 'w03'), {
    who: 'w03',
    color: 'red',
    only: 'cluster',
    url: 'https://10.0.0.3:3',
    ansible_host: '10.0.0.3',
    port: 3,
  })
  t.equal(await values([join(root, 'lab.yml')], 'm1').then((all) => all.who), 'cluster')
  const [one, two] = ['w01', 'w02'].map((name) => inventory.hosts.get(name)!)
  t.equal(one!.layers[0], two!.layers[0], 'layers of groups are shared')
})

t.test('an undefined name in a variable is found at its place', async (t) => {
  const root = folder(t, { 'lab.yml': lab })
  await t.rejects(values([join(root, 'lab.yml')], 'w01'), { message: /lab\.yml:8:45: "ansible_host" is not defined/ })
})

t.test('localhost is always there', async (t) => {
  const root = folder(t, { 'lab.yml': lab, 'group_vars/all.yml': 'x: 1\n' })
  const inventory = await loadInventory([join(root, 'lab.yml')])
  const [local] = inventory.match('localhost')
  t.equal(inventory.match('all').length, 6)
  const scope = makeScope(local!.layers)
  t.same([scope.get('x'), scope.get('who')], [1, 'all'])
  t.match(targetOf(local!, scope), { name: 'localhost', connection: 'local', address: 'localhost' })
  t.same((await loadInventory([])).match('localhost').length, 1)
})

t.test('precedence is that of Ansible', async (t) => {
  const order = [
    'inventory all',
    'inventory parent',
    'inventory child',
    'group_vars/all',
    'play group_vars/all',
    'group_vars/parent',
    'group_vars/child',
    'play group_vars/child',
    'inventory host',
    'host_vars',
    'play host_vars',
  ]
  // v0 is set by the first level alone, v1 by the first two …: the last level that sets v<i> must win it.
  const vars = (level: string) =>
    order
      .map((_, i) => i)
      .filter((i) => i >= order.indexOf(level))
      .map((i) => `v${i}: ${level}`)
  const flow = (level: string) => `{${vars(level).join(', ')}}`
  const file = (level: string) => `${vars(level).join('\n')}\n`
  const root = folder(t, {
    'inv/hosts.yml': `all:\n  vars: ${flow('inventory all')}\n  children:\n    parent:\n      vars: ${flow('inventory parent')}\n      children:\n        child:\n          vars: ${flow('inventory child')}\n          hosts:\n            h: ${flow('inventory host')}\n`,
    'inv/group_vars/all.yml': file('group_vars/all'),
    'inv/group_vars/parent/a.yml': file('group_vars/parent'),
    'inv/group_vars/parent/.hidden.yml': 'v0: hidden\n',
    'inv/group_vars/parent/notes.txt': 'v0: text\n',
    'inv/group_vars/child.json': JSON.stringify(
      Object.fromEntries(vars('group_vars/child').map((line) => line.split(': '))),
    ),
    'inv/host_vars/h': file('host_vars'),
    'play/group_vars/all/x.yml': file('play group_vars/all'),
    'play/group_vars/child.yaml': file('play group_vars/child'),
    'play/host_vars/h.yml': file('play host_vars'),
  })
  const found = await values([join(root, 'inv/hosts.yml')], 'h', { playbookFolders: [join(root, 'play')] })
  order.forEach((level, i) => {
    t.equal(found[`v${i}`], level, `${level} is in its place`)
  })
})

t.test('explain says where a value comes from', async (t) => {
  const root = folder(t, { 'lab.yml': lab, 'host_vars/w03.yml': 'who: file\n' })
  const inventory = await loadInventory([join(root, 'lab.yml')])
  t.match(
    explain(inventory.hosts.get('w03')!.layers, 'who').map(({ layer, place }) => [
      layer.slice(root.length + 1),
      place?.line,
    ]),
    [
      ['host_vars/w03.yml', 1],
      ['lab.yml, host w03', 11],
      ['lab.yml, group workers', 8],
      ['lab.yml, group cluster', 15],
      ['lab.yml, group all', 3],
    ],
  )
})

t.test('depth, priority, then the name', async (t) => {
  const root = folder(t, {
    'a.yml': 'b: {vars: {v: b}, hosts: {h: }}\na: {vars: {v: a}, hosts: {h: }}\n',
    'p.yml': 'b: {vars: {v: b}, hosts: {h: }}\na: {vars: {v: a, ansible_group_priority: 10}, hosts: {h: }}\n',
    'd.yml': 'z: {vars: {v: z}, hosts: {h: }}\ntop: {children: {a: {vars: {v: deep}, hosts: {h: }}}}\n',
  })
  t.equal((await values([join(root, 'a.yml')], 'h')).v, 'b')
  t.equal((await values([join(root, 'p.yml')], 'h')).v, 'a')
  t.equal((await values([join(root, 'd.yml')], 'h')).v, 'deep')
})

t.test('INI', async (t) => {
  const root = folder(t, {
    hosts: `# lab
lonely ansible_host=10.0.0.9 note="two words" # comment
[web]
web[1:2]:2222 on=True n=5 ratio=0.5 text='a=b' list="['x', 1]" zero=007 ; x=1
[web:vars]
url=http://{{ ansible_host }}/ # kept
who = web
none=None
[prod:children]
web
[prod:vars]
who=prod
`.replace(' ; x=1', ''),
  })
  const inventory = await loadInventory([join(root, 'hosts')])
  t.same([...inventory.hosts.keys()], ['lonely', 'web1', 'web2'])
  t.same(inventory.hosts.get('web2')!.groups, ['prod', 'web'])
  t.same(await values([join(root, 'hosts')], 'lonely'), { ansible_host: '10.0.0.9', note: 'two words' })
  const scope = makeScope([...inventory.hosts.get('web1')!.layers, { name: 'x', vars: { ansible_host: 'h' } }])
  const get = (name: string) => scope.get(name)
  t.same(['ansible_port', 'on', 'n', 'ratio', 'text', 'list', 'zero', 'who', 'none', 'url'].map(get), [
    2222,
    true,
    5,
    0.5,
    'a=b',
    ['x', 1],
    '007',
    'web',
    null,
    'http://h/ # kept',
  ])
})

t.test('executables', async (t) => {
  const root = folder(t, {
    meta: '#!/bin/sh\necho \'{"web": {"hosts": ["w1", "w2"], "vars": {"v": 1}, "children": ["sub"]}, "sub": ["w3"], "_meta": {"hostvars": {"w1": {"x": "{{ v }}"}}}}\'\n',
    old: '#!/bin/sh\n[ "$1" = --list ] && echo \'{"web": ["w1"]}\' || echo "{\\"name\\": \\"$2\\"}"\n',
    fails: '#!/bin/sh\necho no token >&2; exit 3\n',
    garbage: '#!/bin/sh\necho hello\n',
    shape: '#!/bin/sh\necho \'{"web": {"hosts": "w1"}}\'\n',
    hangs: '#!/bin/sh\nsleep 60 & sleep 60\n',
    floods: '#!/bin/sh\nexec yes\n',
  })
  const inventory = await loadInventory([join(root, 'meta')])
  t.same(inventory.groups.get('web')!.hosts, ['w1', 'w2', 'w3'])
  t.same(await values([join(root, 'meta')], 'w1'), { v: 1, x: '{{ v }}' }, 'what a program prints is no template')
  t.same(await values([join(root, 'old')], 'w1'), { name: 'w1' })
  t.match(await problem([join(root, 'fails')]), /fails --list ended with 3:\nno token/)
  t.match(await problem([join(root, 'garbage')]), /printed no JSON but "hello\\n"/)
  t.match(await problem([join(root, 'shape')]), /group "web"/)
  t.match(await problem([join(root, 'floods')]), /printed more than 32 MiB/)
  const start = performance.now()
  t.match(await problem([join(root, 'hangs')], { timeoutMs: 300 }), /did not end within 0\.3 s/)
  t.ok(performance.now() - start < 5000)
})

t.test('names that could steer a terminal', async (t) => {
  const root = folder(t, {
    'a.yml': 'all:\n  hosts:\n    "w\\e]0;x\\a": {}\n  children:\n    "g\\u202e": {}\n',
    'b.ini': '[web]\nw\x1b[2J\n',
    program: `#!/bin/sh\ncat <<'E'\n${JSON.stringify({ web: { hosts: ['w\n1'] } })}\nE\n`,
  })
  const message = await problem([join(root, 'a.yml'), join(root, 'b.ini'), join(root, 'program')])
  t.match(message, /a\.yml:3:5: the name of a host, "w\\u001b\]0;x\\u0007", holds control characters/)
  t.match(message, /a\.yml:5:5: the name of a group, "g\\u202e", holds control characters/)
  t.match(message, /b\.ini:2:\d+: the name of a host, "w\\u001b\[2J"/)
  t.match(message, /the name of a host, "w\\u000a1"/)
})

t.test('several sources, folders of sources, lists of names', async (t) => {
  const root = folder(t, {
    'inv/01.yml': 'web: {hosts: {w1: {v: 1, x: 1}}}\n',
    'inv/02.ini': '[web]\nw1 v=2\nw2\n',
    'inv/group_vars/web.yml': 'g: 1\n',
    'inv/README.md': 'not an inventory',
    'inv/old.bak': '[',
  })
  t.same(await values([join(root, 'inv')], 'w1'), { v: 2, x: 1, g: 1 })
  const inventory = await loadInventory([join(root, 'inv'), 'w9:22,w8'])
  t.same([...inventory.hosts.keys()], ['w1', 'w2', 'w9', 'w8'])
  t.match(await problem(['/no/such/file']), /the inventory \/no\/such\/file does not exist/)
})

t.test('all mistakes at once, with their places', async (t) => {
  const root = folder(t, {
    'bad.yml':
      'all:\n  host: {a: }\n  vars: [1]\n  children:\n    web:\n      hosts: [w1]\n      w2: {}\n      vars: {x: "{{ uper y }}", z: !cel "1 +"}\n    a: {children: {b: {children: {a: }}}}\n    r: {hosts: {"w[3:1]": }}\n',
    'bad.ini': '[web\n[x:y]\nh1 a b=1\nh2 "x\n[v:vars]\nnovalue\n',
    'group_vars/all.yml': 'a: {{ x }}\n',
    'group_vars/web.yml': '- 1\n',
    'group_vars/r.yml': 'a: 1\n',
    'group_vars/r/b.yml': 'a: 1\n',
  })
  const message = await problem([join(root, 'bad.yml'), join(root, 'bad.ini')])
  for (const expected of [
    /bad\.yml:2:3: the group "all" cannot have "host"[\s\S]+?did you mean "hosts"/,
    /bad\.yml:3:9: "vars" is a map/,
    /bad\.yml:6:14: "hosts" is a map of names/,
    /bad\.yml:7:7: the group "web" cannot have "w2"[\s\S]+?under "children"/,
    /bad\.yml:8:21: template: unknown helper "uper"/,
    /bad\.yml:8:\d+: expression: /,
    /bad\.yml:9:35: the group "a" cannot be a child of "b"/,
    /bad\.yml:10:17: "\[3:1\]" is not a range/,
    /bad\.ini:1:1: this is no section/,
    /bad\.ini:2:1: unknown kind of section "y"/,
    /bad\.ini:3:4: expected name=value, got "a"/,
    /bad\.ini:4:4: the quote " is not closed/,
    /bad\.ini:6:1: expected name=value/,
    /group_vars\/all\.yml:1:4: a value that starts with "\{\{" must stand in quotes/,
    /group_vars\/web\.yml:1:1: expected a map of variables/,
    /group_vars has r and r\.yml: which one counts would be a guess/,
  ]) {
    t.match(message, expected)
  }
  t.equal(message.match(/all\.yml:1:4/g)?.length, 1, 'each problem once')
})

t.test('a vars file of 50 MB is refused without reading it', async (t) => {
  const root = folder(t, {
    'a.yml': 'web: {hosts: {w1: }}\n',
    'group_vars/all.yml': `a: "${'x'.repeat(50_000_000)}"\n`,
  })
  t.match(await problem([join(root, 'a.yml')]), /all\.yml has 47\.7 MiB, more than the 4 MiB that are read/)
})

t.test('SOPS files need a key', async (t) => {
  const root = folder(t, { 'a.yml': 'web: {hosts: {w1: }}\n', 'group_vars/all.yml': 'a: ENC[x]\nsops: {mac: x}\n' })
  t.match(await problem([join(root, 'a.yml')]), /all\.yml:2:7: this file is encrypted with SOPS/)
  const decrypt: InventoryOptions['decrypt'] = async (document) => {
    document.entries.delete('sops')
    return document
  }
  t.same(await values([join(root, 'a.yml')], 'w1', { decrypt }), { a: 'ENC[x]' })
})

t.test('targets', async (t) => {
  const hosts = (vars: string) => `all: {hosts: {h: {${vars}}}}\n`
  const target = async (vars: string) => {
    const root = folder(t, { 'a.yml': hosts(vars) })
    const [host] = (await loadInventory([join(root, 'a.yml')])).match('h')
    return targetOf(host!, makeScope(host!.layers))
  }
  t.match(
    await target(
      'ansible_host: 10.0.0.1, ansible_port: "{{ base }}", base: 2222, ansible_user: root, ansible_ssh_private_key_file: k, ansible_timeout: 5',
    ),
    {
      name: 'h',
      connection: 'ssh2',
      address: '10.0.0.1',
      port: 2222,
      user: 'root',
      privateKeyFile: 'k',
      connectTimeoutMs: 5000,
    },
  )
  t.match(await target('ansible_connection: openssh, ansible_ssh_pass: 123'), {
    connection: 'openssh',
    address: 'h',
    password: '123',
  })
  const table: [string, RegExp][] = [
    ['ansible_connection: docker', /a\.yml:1:39: host h: the connection "docker" is not supported/],
    ['ansible_connection: opensh', /did you mean "openssh"/],
    ['ansible_port: 99999', /a\.yml:1:33: host h: ansible_port must be a number from 1 to 65535/],
    ['ansible_port: ssh', /ansible_port must be a number/],
    ['ansible_ssh_common_args: -W x', /"-W" is not supported[\s\S]+ssh\/config/],
    ['ansible_ssh_common_args: -o Ciphers=x', /the option Ciphers is not supported/],
    ['ansible_ssh_common_args: -o StrictHostKeyChecking=no', /accept-new/],
    ['ansible_shell_type: powershell', /shell type/],
    ['ansible_host: [a]', /ansible_host must be a text/],
    ['ansible_host: "{{ nix }}"', /a\.yml:1:\d+: "nix" is not defined/],
  ]
  for (const [vars, expected] of table) await t.rejects(target(vars), { message: expected }, vars)
})

t.test('3,000 hosts load quickly and share their groups', async (t) => {
  const root = folder(t, {
    'a.yml': 'all: {children: {dc: {children: {rack: {hosts: {"n[0001:3000]": {ansible_user: root}}}}}}}\n',
    'group_vars/all.yml': Array.from({ length: 200 }, (_, i) => `v${i}: {a: "{{ v0 }}", b: [1, 2]}`).join('\n'),
  })
  const start = performance.now()
  const inventory = await loadInventory([join(root, 'a.yml')])
  t.equal(inventory.match('rack:!n0001').length, 2999)
  t.ok(performance.now() - start < 3000, `${Math.round(performance.now() - start)} ms`)
})

t.test('what YAML 1.1 takes for a boolean is refused, wherever variables stand', async (t) => {
  const root = folder(t, {
    'i.yml':
      'all:\n  vars: {a: [x, {deep: no}], quoted: "no", word: nobody, map: {no: 1}}\n  hosts: {h: {ansible_become: Yes}}\n',
    'group_vars/all.yml': 'tls: on\n',
    'host_vars/h/main.yml': 'text: |\n  no\nnever: OFF\nold: !unsafe no\n',
  })
  const said = await problem([join(root, 'i.yml')])
  for (const words of [
    /i\.yml:2:24: no without quotes is a text in YAML 1\.2, and false to Ansible\n.*\n.*\n {2}write false, or "no" for the text/,
    /i\.yml:3:31: Yes without quotes .* true to Ansible/,
    /group_vars\/all\.yml:1:6: on without/,
    /main\.yml:3:8: OFF without/,
  ])
    t.match(said, words)
  t.equal(said.match(/without quotes/g)?.length, 4, 'and nothing else')
})
