/** Encrypted files as a user meets them: runs that never show a secret, and `runbook secrets`. */
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { folderOf, runbook } from '../acceptance/support.ts'
import { KEY_FILE, RECIPIENT } from '../secrets/tools.ts'

t.setTimeout(120_000)

// Made from parts, so that this file's own text is no find.
const secret = (name: string): string => `${name}-${'s3cret'.repeat(2)}`
const GROUP = secret('group')
const FILE = secret('file')
const EXTRA = secret('extra')
const AROUND = secret('around')

const PLAYBOOK = `
- name: Show
  hosts: all
  gather_facts: false
  vars_files: [more.yml]
  tasks:
    - name: Print
      debug: { msg: "{{ group_secret }} {{ file_secret }} {{ extra_secret }} {{ template_secret }}" }
    - name: Named {{ group_secret }}
      command: echo {{ file_secret }}
    - name: Written
      copy: { dest: "{{ out }}", content: "{{ group_secret }} {{ file_secret }} {{ extra_secret }} {{ template_secret }}\\n", mode: '0600' }
    - name: Fails
      command: ls /does/not/exist/{{ extra_secret }}
      ignore_errors: true
`

const env = { SOPS_AGE_KEY_FILE: KEY_FILE }
const ran = async (args: string[], cwd: string, more: Record<string, string> = {}) => {
  const { code, stdout, stderr } = await runbook(args, { cwd, env: { ...env, ...more } })
  return { code, stdout, stderr }
}

function files(t: Parameters<typeof folderOf>[0]): string {
  return folderOf(t, {
    'inventory.yml': 'all: {hosts: {here: {ansible_connection: local, ansible_host: localhost}}}\n',
    'group_vars/all.yml': `# the group\nn: 2\ngroup_secret: ${GROUP}\ntemplate_secret: "${AROUND}{{ n }}"\n`,
    'more.yml': `file_secret: ${FILE}\n`,
    'extra.json': `{"extra_secret": "${EXTRA}"}\n`,
    'site.yml': PLAYBOOK,
  })
}

t.test('a run reads encrypted files and shows nothing of them', async (t) => {
  const folder = files(t)
  for (const name of ['group_vars/all.yml', 'more.yml', 'extra.json']) {
    t.match(await ran(['secrets', 'encrypt', name, '--age', RECIPIENT], folder), { code: 0, stdout: '' })
    t.notMatch(readFileSync(join(folder, name), 'utf8'), /s3cret|the group/)
  }
  const out = join(folder, 'out')
  const seen: string[] = []
  for (const args of [
    ['apply', 'site.yml', '-i', 'inventory.yml', '-e', '@extra.json', '-e', `out=${out}`, '-vvv', '--diff'],
    ['apply', 'site.yml', '-i', 'inventory.yml', '-e', '@extra.json', '-e', `out=${out}`, '-vvv', '--output', 'json'],
    ['inventory', 'host', 'here', '-i', 'inventory.yml'],
    ['inventory', 'list', '--json', '-i', 'inventory.yml'],
    ['validate', 'site.yml', '-i', 'inventory.yml'],
  ]) {
    const { code, stdout, stderr } = await ran(args, folder)
    t.equal(code, 0, `${args.join(' ')}: ${stderr}${stdout.slice(-2000)}`)
    seen.push(stdout, stderr)
  }
  t.equal(readFileSync(out, 'utf8'), `${GROUP} ${FILE} ${EXTRA} ${AROUND}2\n`, 'the host has them')
  t.match(seen[0], /\*{8}/)
  for (const name of readdirSync(join(folder, '.runbook'), { recursive: true, withFileTypes: true }))
    if (name.isFile()) seen.push(readFileSync(join(name.parentPath, name.name), 'latin1'))
  t.notOk(
    seen.some((text) => text.includes('s3cret')),
    'no output and no journal has one',
  )

  const { code, stderr } = await ran(['apply', 'site.yml', '-i', 'inventory.yml'], folder, {
    SOPS_AGE_KEY_FILE: '',
    HOME: folder,
  })
  t.equal(code, 3)
  t.match(stderr, `encrypted to ${RECIPIENT}`)
})

t.test('runbook secrets', async (t) => {
  const folder = files(t)
  const path = join(folder, 'more.yml')
  chmodSync(path, 0o640)
  t.match(await ran(['secrets', 'encrypt', 'more.yml'], folder), { code: 3, stderr: /no recipient is given/ })
  t.match(await ran(['secrets', 'encrypt', 'more.yml', '--age', RECIPIENT], folder), { code: 0 })
  t.equal(statSync(path).mode & 0o777, 0o640, 'keeps the mode')
  t.match(await ran(['secrets', 'decrypt', 'more.yml'], folder), { code: 0, stdout: `file_secret: ${FILE}\n` })

  const before = readFileSync(path, 'utf8')
  t.match(await ran(['secrets', 'edit', 'more.yml'], folder, { EDITOR: 'true' }), {
    code: 0,
    stderr: /was not changed/,
  })
  t.equal(readFileSync(path, 'utf8'), before, 'unchanged is unwritten')

  const watched = join(folder, 'watched')
  const editor = join(folder, 'editor')
  const write = (script: string): void => writeFileSync(editor, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  write(`stat -c '%a %n' "$1" "$(dirname "$1")" >${watched}; echo 'added: 5' >>"$1"`)
  t.match(await ran(['secrets', 'edit', 'more.yml'], folder, { EDITOR: editor }), { code: 0 })
  t.match(await ran(['secrets', 'decrypt', 'more.yml'], folder), { stdout: `file_secret: ${FILE}\nadded: 5\n` })
  const [file, parent] = readFileSync(watched, 'utf8').split('\n')
  t.match(file, /^600 .*more\.yml$/)
  t.match(parent, /^700 /)
  const gone = (line: string | undefined): boolean => !statSync(line!.split(' ')[1]!, { throwIfNoEntry: false })
  t.ok(gone(parent), 'the folder is gone')

  const edited = readFileSync(path, 'utf8')
  write('echo "{ s3cret" >>"$1"')
  const wrong = await ran(['secrets', 'edit', 'more.yml'], folder, { EDITOR: editor })
  t.match(wrong, { code: 3, stderr: /nothing was written/ })
  t.notMatch(wrong.stderr, /s3cret/)
  write('echo "x: y" >>"$1"; exit 1')
  t.match(await ran(['secrets', 'edit', 'more.yml'], folder, { EDITOR: editor }), { code: 3, stderr: /exit status 1/ })
  t.equal(readFileSync(path, 'utf8'), edited)

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    write(`stat -c '%a %n' "$1" "$(dirname "$1")" >${watched}.${signal}; echo ready >&2; exec sleep 20`)
    let killed = false
    const started = Date.now()
    await runbook(['secrets', 'edit', 'more.yml'], {
      cwd: folder,
      env: { ...env, EDITOR: editor },
      during(child, _stdout, stderr) {
        if (killed || !stderr.includes('ready')) return
        killed = true
        child.kill(signal)
        // The editor that nobody killed keeps the pipe.
        if (signal === 'SIGKILL') setTimeout(() => child.stderr!.destroy(), 100).unref()
        if (signal === 'SIGKILL') setTimeout(() => child.stdout!.destroy(), 100).unref()
      },
    })
    const line = readFileSync(`${watched}.${signal}`, 'utf8').split('\n')[1]
    while (!gone(line) && Date.now() - started < 15_000) await new Promise((done) => setTimeout(done, 50))
    t.ok(killed && gone(line), `${signal}: the folder is gone`)
    t.equal(readFileSync(path, 'utf8'), edited, 'and the file as it was')
  }

  t.match(await ran(['secrets', 'rekey', 'more.yml'], folder), { code: 0 })
  t.not(readFileSync(path, 'utf8'), edited)
  t.match(await ran(['secrets', 'decrypt', 'more.yml'], folder), { stdout: `file_secret: ${FILE}\nadded: 5\n` })
})
