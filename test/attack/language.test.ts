/**
 * Input that a mistake or malice makes huge, endless or hanging: a clear error (exit code 3), in bounded time and memory, and
 * no host is reached.
 */
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'

t.setTimeout(300_000)

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const folder = mkdtempSync(join(tmpdir(), 'runbook-language-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const write = (name: string, text: string, mode = 0o644): string => {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

/** Told by the process itself when it ends: its peak. */
const told = join(folder, 'rss')
write(
  'rss.mjs',
  `import { writeFileSync } from 'node:fs'
process.on('exit', () => writeFileSync(process.env.RSS_FILE, String(process.resourceUsage().maxRSS)))
`,
)

async function apply(playbook: string, inventory = 'inv.yml') {
  const started = performance.now()
  const args = ['--import', join(folder, 'rss.mjs'), BIN, 'apply', playbook, '-i', `./${inventory}`]
  const env = { ...process.env, RUNBOOK_INVENTORY: '', NO_COLOR: '1', RSS_FILE: told }
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, text, ms: performance.now() - started, mb: Number(readFileSync(told, 'utf8')) / 1024 }
}

const play = (lines: string): string => `- hosts: all\n  gather_facts: false\n${lines}`
const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]', ...steps(9, (i) => `a${i}: &a${i} [${ten(`*a${i - 1}`)}]`)]
function steps(n: number, of: (i: number) => string): string[] {
  return Array.from({ length: n }, (_, i) => of(i + 1))
}
function ten(text: string): string {
  return Array.from({ length: 10 }, () => text).join(', ')
}

write('inv.yml', 'all: { hosts: { n1: { ansible_host: 127.0.0.1, ansible_port: 1 }, n2: { only: 1 } } }')
write('hang', '#!/bin/sh\nsleep 1000\n', 0o755)
write('garbage', '#!/bin/sh\nhead -c 3000 /dev/urandom\n', 0o755)
write('flood', '#!/bin/sh\nyes\n', 0o755)
write('bomb-inventory.yml', `all: { hosts: { n1: } }\n${bomb.join('\n')}\n`)
write(
  'big.yml',
  `${'key: "some text that is long enough to be worth a line"\n'.repeat(10)}x: "${'y'.repeat(50_000_000)}"\n`,
)
write('t.hbs', `${'{{#each @root.l}}'.repeat(8)}x${'{{/each}}'.repeat(8)}`)
write('roles/r/meta/argument_specs.yml', 'argument_specs: { main: { options: { port: { type: int } } } }')
write('roles/r/tasks/main.yml', '- debug: { msg: hello }')
const say = (text: string): string => `  tasks: [{ debug: { msg: ${text} } }]\n`
const nested = 'abcdefghi'.split('').reduceRight((inner, name) => `l.map(${name}, ${inner})`, '[1]')

/** Playbook, inventory, what the message says, and limits: seconds on a slow machine, and MB (Node alone takes 100). */
const TABLE: readonly [
  what: string,
  playbook: string,
  says: RegExp,
  seconds: number,
  mb: number,
  inventory?: string,
][] = [
  [
    'anchors in a playbook',
    play(`  vars:\n${bomb.map((l) => `    ${l}\n`).join('')}${say('"{{ json a9 }}"')}`),
    /the anchors of .* write out to more than/,
    20,
    400,
  ],
  [
    'anchors in an inventory',
    play(say('x')),
    /the anchors of .* write out to more than/,
    20,
    400,
    'bomb-inventory.yml',
  ],
  ['a vars file of 50 MB', play(`  vars_files: [big.yml]\n${say('x')}`), /47\.7 MiB, more than the 4 MiB/, 20, 400],
  [
    'variables in a circle',
    play(`  vars: { a: "{{ b }}", b: "{{ a }}" }\n${say('"{{ a }}"')}`),
    /refers to itself: a -> b -> a/,
    20,
    400,
  ],
  [
    'variables that grow tenfold',
    play(
      `  vars:\n    a0: xxxxxxxxxx\n${steps(12, (i) => `    a${i}: "${`{{ a${i - 1} }}`.repeat(10)}"\n`).join('')}${say('"{{ a12 }}"')}`,
    ),
    /more than 16 Mi characters/,
    20,
    500,
  ],
  [
    'loops in loops of a template',
    play(`  vars: { l: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }\n  tasks: [{ template: { src: t.hbs, dest: /tmp/x } }]\n`),
    /loops more than 1000000 times/,
    30,
    600,
  ],
  [
    'macros in macros',
    play(`  vars: { l: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }\n${say(`!cel "${nested}.size()"`)}`),
    /takes more than 2 s/,
    60,
    2500,
  ],
  ['an inventory that hangs', play(say('x')), /did not end within 10 s/, 60, 400, 'hang'],
  ['an inventory that prints garbage', play(say('x')), /printed no JSON/, 20, 400, 'garbage'],
  ['an inventory that never stops printing', play(say('x')), /printed more than 32 MiB/, 30, 600, 'flood'],
  ['a variable that one host lacks', play(say('"{{ only }}"')), /"only" is not defined \(host n1\)/, 20, 400],
  [
    'a variable that is wrong on one host',
    play('  tasks: [{ debug: { msg: "{{ onyl }}" }, when: inventory_hostname == "n2" }]\n'),
    /"onyl" is not defined \(host n2\)[\s\S]*did you mean "only"/,
    20,
    400,
  ],
  [
    'an unknown argument in roles',
    play('  roles: [{ role: r, vars: { prot: 1 } }]\n'),
    /no argument "prot"[\s\S]*did you mean "port"/,
    20,
    400,
  ],
  [
    '… of include_role',
    play('  tasks: [{ include_role: { name: r }, vars: { prot: 1 } }]\n'),
    /no argument "prot"/,
    20,
    400,
  ],
  [
    '… of import_role',
    play('  tasks: [{ import_role: { name: r }, vars: { prot: 1 } }]\n'),
    /no argument "prot"/,
    20,
    400,
  ],
  [
    'a handler that is not there',
    play('  tasks: [{ command: "true", notify: Restrat }]\n  handlers: [{ name: Restart, command: "true" }]\n'),
    /no handler has the name or topic "Restrat"[\s\S]*did you mean "Restart"/,
    20,
    400,
  ],
  [
    'lists nested 20,000 deep',
    play(`  vars: { a: ${'['.repeat(20_000)}${']'.repeat(20_000)} }\n${say('x')}`),
    /nested too deeply/,
    20,
    600,
  ],
]

for (const [i, [what, playbook, says, seconds, mb, inventory]] of TABLE.entries()) {
  t.test(what, async (t) => {
    const run = await apply(write(`play-${i}.yml`, playbook), inventory)
    t.equal(run.code, 3, run.text.slice(0, 2000))
    t.match(run.text, says)
    t.ok(run.text.length < 20_000, 'the message can be read')
    t.comment(`${Math.round(run.ms)} ms, ${Math.round(run.mb)} MB`)
    t.ok(run.ms < seconds * 1000, `${run.ms} ms`)
    t.ok(run.mb < mb, `${run.mb} MB`)
  })
}
