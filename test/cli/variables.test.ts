/** The precedence of docs/variables.md: with the rows up to the n-th filled in, a task sees the n-th value. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { runbook } from './runbook.ts'

interface Row {
  readonly n: number
  /** A file in backticks, or a place in the playbook. */
  readonly where: string
  readonly example: string
}

const page = readFileSync(join(import.meta.dirname, '../../docs/variables.md'), 'utf8')
const rows: Row[] = [...page.matchAll(/^\| (\d+) \| .+ \| (.+?) \| `(.+)` \|$/gm)].map(([, n, where, example]) => ({
  n: Number(n),
  where: where!,
  example: example!,
}))

t.equal(rows.length, 20, 'the table was read')
t.same(
  rows.map(({ n }) => n),
  rows.map((_, i) => i + 1),
)

t.test('each row wins over those above it', async (t) => {
  // Two at a time: each is a process of its own.
  const left = [...rows]
  const work = async (): Promise<void> => {
    for (let row = left.shift(); row; row = left.shift())
      t.equal(await seen(rows.slice(0, row.n)), String(row.n), row.where)
  }
  await Promise.all([work(), work()])
})

/** What `port` is for a task when these rows are there. */
async function seen(given: readonly Row[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-variables-'))
  try {
    const write = (name: string, text: string): void => {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    const at = (where: string): string[] => given.filter((row) => row.where === where).map(({ example }) => example)
    for (const { where, example } of given) {
      const name = /^`(.+)`$/.exec(where)?.[1]
      if (name && name !== 'inventory/hosts.yml') write(name, example)
    }
    const [all, group, host] = at('`inventory/hosts.yml`')
    // Sources of one inventory, each with one of the examples.
    write('inventory/1.yml', 'web: {hosts: {n1: }}')
    for (const [i, text] of [all, group, host].entries()) if (text) write(`inventory/${i + 2}.yml`, text)
    const lines = (indent: string, texts: readonly string[]): string => texts.map((one) => `${indent}${one}\n`).join('')
    write('site.yml', `- import_playbook: play.yml\n${lines('  ', at('site.yml'))}`)
    const [loop] = at('task').filter((one) => one.startsWith('loop'))
    write('roles/web/tasks/main.yml', '[]')
    write(
      'play.yml',
      `- hosts: n1
  gather_facts: false
  roles: [web]
${lines('  ', at('play'))}${given.length >= 13 ? '  vars_files: [vars/site.yml]\n' : ''}
  tasks:
${lines('    - ', at('task before'))}
    - block:
        - debug: { msg: "port is {{ port }}" }
${lines('          ', at('task'))}${loop ? '          loop_control: { loop_var: port }\n' : ''}
${lines('      ', at('block'))}`,
    )
    const extra = at('command line').flatMap((text) => ['-e', text])
    const inventory = join(folder, 'inventory')
    const { out, err } = await runbook([
      'apply',
      join(folder, 'site.yml'),
      '-i',
      inventory,
      '--output',
      'json',
      ...extra,
    ])
    return /port is (\d+)/.exec(out)?.[1] ?? out + err
  } finally {
    rmSync(folder, { recursive: true })
  }
}
