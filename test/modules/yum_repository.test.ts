import fs from 'node:fs'
import { join } from 'node:path'
import yumRepository from '../../modules/yum_repository.ts'
import type { Module } from '../../src/module/index.ts'
import { apply, converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

const file = (text: string) => ({
  file: { exists: true, text, stat: { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' } },
})
const none = { file: { exists: false, text: '', stat: undefined } }
const k8s = { name: 'k8s', description: 'Kubernetes', baseurl: 'https://r.test/rpm/' }
const TEXT = '[k8s]\nbaseurl = https://r.test/rpm/\nname = Kubernetes\n\n'

table(yumRepository as Module, [
  { name: 'new', args: k8s, state: none, changes: ['create /etc/yum.repos.d/k8s.repo (0644)'] },
  { name: 'there', args: k8s, state: file(TEXT), changes: [] },
  {
    name: 'there in other words',
    args: { ...k8s, exclude: ['kubelet', 'kubeadm'], gpgcheck: true, baseurl: ['https://a.test/', 'https://b.test/'] },
    state: file(
      '# by hand\n[k8s]\nname=Kubernetes\nGPGCheck=1\nbaseurl=https://a.test/\n  https://b.test/\n\nexclude = kubelet,kubeadm\n',
    ),
    changes: [],
  },
  {
    name: 'an option too much',
    args: k8s,
    state: file(`${TEXT}[other]\nname = o\n`.replace('name', 'enabled = 0\nname')),
    changes: ['write /etc/yum.repos.d/k8s.repo'],
  },
  {
    name: 'permissions alone',
    args: { ...k8s, mode: '0600' },
    state: file(TEXT),
    changes: ['chmod 0600 /etc/yum.repos.d/k8s.repo'],
  },
  {
    name: 'gone',
    args: { name: 'k8s', state: 'absent' },
    state: file(TEXT),
    changes: ['remove /etc/yum.repos.d/k8s.repo'],
  },
  { name: 'gone already', args: { name: 'k8s', state: 'absent' }, state: none, changes: [] },
  {
    name: 'one of two gone',
    args: { name: 'k8s', file: 'site', state: 'absent' },
    state: file(`${TEXT}[other]\nname = o\n`),
    changes: ['write /etc/yum.repos.d/site.repo'],
  },
  { name: 'where?', args: { name: 'k8s', description: 'K' }, state: {}, invalid: /say where/ },
  { name: 'what?', args: { name: 'k8s', baseurl: 'https://r.test/' }, state: {}, invalid: /description/ },
  {
    name: 'a second option inside a value',
    args: { ...k8s, proxy: 'x\ngpgcheck = 0' },
    state: {},
    invalid: /one line/,
  },
  { name: 'a list', args: { ...k8s, baseurl: 'https://r.test/ x' }, state: {}, invalid: /without blanks/ },
])

inEachShell('yum_repository', async (t, bench) => {
  const path = join(bench.host, 'site.repo')
  const text = (): string => fs.readFileSync(path, 'utf8')
  const site = { reposdir: bench.host, file: 'site' }
  const base = { ...site, name: 'base', description: 'Base', baseurl: ['http://m.test/base/', 'http://n.test/base/'] }
  await converge(t, bench, yumRepository, { ...base, gpgcheck: false, priority: 10 })
  const BASE = `[base]
baseurl = http://m.test/base/
	http://n.test/base/
gpgcheck = 0
name = Base
priority = 10

`
  t.equal(text(), BASE)
  t.equal(fs.statSync(path).mode & 0o777, 0o644)
  fs.writeFileSync(path, `# mine\n${BASE.trimEnd()}\n# about the next\n[other]\nname=Other\n`)
  await converge(t, bench, yumRepository, { ...base, enabled: false, mode: '0600' })
  t.equal(
    text(),
    `# mine\n[base]\nbaseurl = http://m.test/base/\n\thttp://n.test/base/\nenabled = 0\nname = Base\n\n# about the next\n[other]\nname=Other\n`,
  )
  t.equal(fs.statSync(path).mode & 0o777, 0o600)
  await converge(t, bench, yumRepository, {
    ...site,
    name: 'extras',
    description: 'Extras',
    mirrorlist: 'http://m.test/list',
  })
  t.match(text(), /name=Other\n\n\[extras\]\nmirrorlist = http:\/\/m.test\/list\nname = Extras\n\n$/)
  await converge(t, bench, yumRepository, { ...site, name: 'base', state: 'absent' })
  t.match(text(), /^# mine\n# about the next\n\[other\]/)
  await apply(bench, yumRepository, { ...site, name: 'other', state: 'absent' })
  await converge(t, bench, yumRepository, { ...site, name: 'extras', state: 'absent' })
  t.notOk(fs.existsSync(path), 'a file without a repository goes')
})
