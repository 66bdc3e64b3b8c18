/** When the answer of `ssh -G` need not be asked for again. */
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { included } from '../../src/session/included.ts'
import { configurationInputs } from '../../src/session/openssh-inputs.ts'
import type { Target } from '../../src/session/session.ts'

const target = (sshConfigFile: string, more: Partial<Target> = {}): Target => ({
  name: 'h1',
  connection: 'openssh',
  address: 'h1.example',
  user: 'ops',
  sshConfigFile,
  ...more,
})

t.test('what files and arguments decide, and what more does', async (t) => {
  const folder = t.testdir()
  const rows: readonly (readonly [text: string, is: boolean])[] = [
    ['', true],
    ['Host *\n  ControlMaster auto\n\tControlPath=~/.ssh/%C\n', true],
    ['Match host *.example user ops\n  Port 23', true],
    ['Match !localuser root originalhost="h1"\n  Port 23', true],
    ['match all\n  Port 23', true],
    ['Match exec "test -e /x"\n  HostName other', false],
    ['  MATCH host h1 EXEC=true', false],
    ['"Match" host h1 !exec true', false],
    ['Match=exec true', false],
    ['Match localnetwork 10.0.0.0/8', false],
    ['Match final host h1', false],
    ['Match canonical', false],
    ['Match tagged x', false],
    ['CanonicalizeHostname no', true],
    ['CanonicalizeHostname yes', false],
    ['CanonicalizeHostname = always', false],
    ['Include /nonexistent/*', true],
    ['Include ~other/x', false],
    ['Include ${HOME}/x', false],
    ['Include %d/x', false],
    ['# Match exec "x"', true],
  ]
  for (const [i, [text, is]] of rows.entries()) {
    const file = join(folder, `config-${i}`)
    await writeFile(file, text)
    t.equal(configurationInputs(target(file)) !== undefined, is, text)
  }
})

t.test('another input is another connection', async (t) => {
  const folder = t.testdir({ 'a.conf': '', b: { 'x.conf': 'Port 23\n' } })
  const file = join(folder, 'config')
  await writeFile(file, `Include ${folder}/*.conf ${folder}/b/*\nControlPath \${RUNBOOK_TEST_SOCKETS}/%C\n`)
  const seen = new Set<string>()
  const isNew = (words: string, inputs: string | undefined) => {
    t.ok(inputs !== undefined && !seen.has(inputs), words)
    seen.add(inputs!)
  }
  isNew('as it is', configurationInputs(target(file)))
  t.ok(seen.has(configurationInputs(target(file))!), 'the same again')
  t.ok(seen.has(configurationInputs(target(file, { connectTimeoutMs: 77_000 }))!), 'how long we wait does not matter')
  isNew('another host', configurationInputs(target(file, { address: 'h2.example' })))
  isNew('another port', configurationInputs(target(file, { port: 24 })))
  isNew('another user', configurationInputs(target(file, { user: 'root' })))
  isNew('a laxer check', configurationInputs(target(file, { hostKeys: 'accept-new' })))
  isNew('an option', configurationInputs(target(file, { sshOptions: [['hostkeyalias', 'x']] })))
  await appendFile(join(folder, 'b/x.conf'), 'Host h1*\n  HostName other\n')
  isNew('a file that is included', configurationInputs(target(file)))
  process.env.RUNBOOK_TEST_SOCKETS = '/other'
  isNew('a variable', configurationInputs(target(file)))
  await appendFile(join(folder, 'a.conf'), 'Match exec "true"\n  HostName other\n')
  t.equal(configurationInputs(target(file)), undefined, 'a program in a file that is included')
})

t.test('a login name that is not given is for ssh to read', async (t) => {
  const folder = t.testdir({ config: 'User bob\n', none: 'Port 22\n' })
  const nobody = (name: string, more?: Partial<Target>) =>
    configurationInputs(target(join(folder, name), { user: undefined, ...more }))
  t.equal(nobody('config'), undefined)
  t.not(nobody('none'), undefined)
  t.equal(nobody('none', { sshOptions: [['user', 'bob']] }), undefined)
})

t.test('options of the command line are asked as those of files are', async (t) => {
  const folder = t.testdir({ none: '' })
  const given = (value: string) =>
    configurationInputs(target(join(folder, 'none'), { sshOptions: [['canonicalizehostname', value]] }))
  t.equal(given('yes'), undefined)
  t.not(given('no'), undefined)
})

t.test('a file that includes itself', async (t) => {
  const folder = t.testdir()
  const file = join(folder, 'config')
  await writeFile(file, `Include ${file}\n`)
  t.equal(configurationInputs(target(file)), undefined)
})

t.test('which files an Include means', async (t) => {
  const folder = t.testdir({ 'b.conf': '', 'a.conf': '', 'c.txt': '', '.hidden.conf': '', d: { 'x.conf': '' } })
  const rows: readonly (readonly [pattern: string, files: readonly string[]])[] = [
    ['*.conf', ['a.conf', 'b.conf']],
    ['[!b].conf', ['a.conf']],
    ['?.txt', ['c.txt']],
    ['.*.conf', ['.hidden.conf']],
    ['a.conf', ['a.conf']],
    ['none', []],
    ['none/*', []],
    ['*/x.conf', ['d/x.conf']],
  ]
  for (const [pattern, files] of rows) {
    const paths = files.map((file) => join(folder, file))
    t.strictSame(included(join(folder, pattern)), paths, pattern)
  }
})
