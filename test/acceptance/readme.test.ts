/** What the README shows works: every command is run, every playbook applied, the table of exit codes is the program's. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { EXIT } from '../../src/cli/exit.ts'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { folderOf, ROOT, runbook } from './support.ts'

t.setTimeout(300_000)

const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** Lines that are indented by four spaces below the README's text, and by seven in its lists: commands. */
const COMMANDS = [...README.matchAll(/^(?: {4}| {7})(npm|npx|runbook)\b(.*)$/gm)].map((m) =>
  `${m[1]}${m[2]}`.replace(/ {2,}.*$/, ''),
)
/** Commands in the text: `runbook …`. */
const INLINE = [...README.matchAll(/`(runbook [^`]+)`/g)].map((m) => m[1]!)

/** How each is tried: in the folder that `init` made, with the README's own playbook, or by the test that is named. */
const TRIED: Readonly<Record<string, string[] | string>> = {
  'npm ci && npm run demo': 'continuous integration, before this suite',
  'npm run demo -- kubernetes': 'its parts are the kubernetes suite',
  'npm run demo -- netboot': 'its parts are the netboot suite',
  'npm ci && npm test': 'this is part of it',
  'runbook plan site.yml': ['plan', 'site.yml'],
  'runbook apply site.yml': ['apply', 'site.yml'],
  'npx runbook init my-site && cd my-site': 'below',
  'runbook validate site.yml': ['validate', 'site.yml'],
  'runbook apply site.yml --limit web1': ['apply', 'site.yml', '--limit', 'web1'],
  'runbook history': ['history'],
  'runbook node maintain web1 --dry-run': ['node', 'maintain', 'web1', '--dry-run'],
  'runbook netboot': ['netboot', '--help'],
  'runbook schedule': ['schedule', '--help'],
  'runbook secrets': ['secrets', '--help'],
  'runbook import ansible': ['import', 'ansible', '--help'],
  'runbook history show ID': 'below',
  'runbook --help': ['--help'],
  'runbook modules': ['modules'],
  'runbook modules lineinfile': ['modules', 'lineinfile'],
}

t.test('every command of the README is known here', async (t) => {
  t.ok(COMMANDS.length >= 5 && INLINE.length >= 5)
  for (const command of new Set([...COMMANDS, ...INLINE])) t.ok(TRIED[command], command)
})

t.test('the exit codes', async (t) => {
  const codes = [...README.matchAll(/^\| (\d+) \|/gm)].map((m) => Number(m[1]))
  t.strictSame(
    codes.toSorted((a, b) => a - b),
    Object.values(EXIT).toSorted((a, b) => a - b),
  )
})

t.test('links lead somewhere', async (t) => {
  for (const [, target] of README.matchAll(/\]\(([^)#]+)\)/g))
    t.ok(readFileSync(join(ROOT, target!)).length > 0, target!)
})

t.test('npm scripts that are named are there', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  for (const [, name] of README.matchAll(/npm run ([\w:-]+)/g)) t.ok(scripts[name!], name!)
})

t.test('commands and the playbook, on a host', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 1 })
  const folder = folderOf(t, {})
  const made = spawnSync(process.execPath, [join(ROOT, 'bin/runbook.js'), 'init', 'my-site'], {
    cwd: folder,
    encoding: 'utf8',
  })
  t.equal(made.status, 0, made.stderr)
  const cwd = join(folder, 'my-site')
  // The host of the starter's inventory, under the name that the README uses.
  const { lab: group } = parse(readFileSync(lab.inventoryFile, 'utf8')) as {
    lab: { hosts: { n1: object }; vars: object }
  }
  const inventory = { all: { children: { workers: { hosts: { web1: { ...group.hosts.n1, ...group.vars } } } } } }
  writeFileSync(join(cwd, 'inventory.yml'), JSON.stringify(inventory))

  for (const [command, args] of Object.entries(TRIED)) {
    if (typeof args === 'string') continue
    const { code, stdout, stderr } = await runbook(args, { cwd })
    t.equal(code, 0, `${command}: ${stderr}${stdout}`)
    t.ok(stdout.length > 20, command)
  }
  const id = (await runbook(['history'], { cwd })).stdout.split(' ')[0]!
  t.match(await runbook(['history', 'show', id], { cwd }), { code: 0, stdout: /RECAP/ })
  t.match(await runbook(['history'], { cwd: folder }), { code: 0, stdout: new RegExp(id) }, 'from the folder above too')

  const [, playbook] = /```yaml\n(# site\.yml\n[\s\S]*?)```/.exec(README)!
  writeFileSync(join(cwd, 'site.yml'), playbook!)
  const valid = await runbook(['validate', 'site.yml'], { cwd })
  t.match(valid, { code: 0, stderr: '' })
  // The lab has no chrony: a unit of that name, and its folder.
  await lab.exec('n1', [
    'sh',
    '-c',
    'mkdir -p /etc/chrony; printf "[Service]\\nExecStart=/bin/sleep 1d\\n" >/etc/systemd/system/chrony.service; systemctl daemon-reload',
  ])
  writeFileSync(join(cwd, 'chrony.conf.hbs'), '# {{ inventory_hostname }}\n')
  // vm.swappiness is the machine's own in the lab.
  writeFileSync(join(cwd, 'site.yml'), playbook!.replace(', vm.swappiness: 10', ''))
  const first = await runbook(['apply', 'site.yml'], { cwd })
  t.match(first, { code: 0, stdout: /handler Restart chrony/ }, first.stdout + first.stderr)
  const second = await runbook(['apply', 'site.yml'], { cwd })
  t.match(second, { code: 0, stdout: /nothing to change on 1 host/ }, second.stdout)
})
