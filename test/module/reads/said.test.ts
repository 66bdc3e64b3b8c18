import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { said } from '../../../src/module/reads/said.ts'

const folder = mkdtempSync(join(tmpdir(), 'runbook-said-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const real = spawnSync('sh', ['-c', 'readlink -f "$(command -v date)"'], { encoding: 'utf8' }).stdout.trim()

const SHELLS = [['dash'], ['bash'], ['busybox', 'sh']].filter(
  ([program, ...words]) => spawnSync(program!, [...words, '-c', ':']).status === 0,
)

for (const [shell = '', ...words] of SHELLS) {
  t.test(`an answer is kept as long as the program is the same file, in ${shell}`, async (t) => {
    const kept = join(folder, shell)
    const bin = join(kept, 'bin')
    mkdirSync(bin, { recursive: true })
    const run = (script: string, where = kept) =>
      spawnSync(shell, [...words, '-c', `PATH=${bin}:$PATH\n${said(where)}\n${script}`], { encoding: 'utf8' })
    const install = () => copyFileSync(real, join(bin, 'program'))
    install()
    // An answer that is another one each time, so that a kept one shows.
    const ask = (where?: string) => run('said program +%s%N', where).stdout
    const first = ask()
    t.match(first, /^\d+\n$/)
    t.equal(ask(), first, 'kept')
    t.not(run('said program +%N%s').stdout, first, 'other arguments, another answer')
    t.not(ask(join(folder, 'none')), first, 'nothing is kept where nothing can be')
    rmSync(join(bin, 'program'))
    install()
    const second = ask()
    t.not(second, first, 'another file')
    t.equal(ask(), second)
    for (const name of readdirSync(kept)) if (name.startsWith('said-')) writeFileSync(join(kept, name), '')
    t.match(ask(), /^\d+\n$/, 'a broken one is not read')

    const bad = run('said program --no-such-option; echo "rc $?"')
    t.match(bad.stdout, 'rc 1')
    t.ok(bad.stderr, 'what it says when it fails comes through')
    t.notOk(
      readdirSync(kept).some((name) => name.includes('no-such')),
      'and is not kept',
    )
    writeFileSync(join(bin, 'launcher'), '#!/bin/sh\ndate +%s%N\n', { mode: 0o755 })
    t.not(run('said launcher').stdout, run('said launcher').stdout, 'a script is asked each time')
    t.match(run('said nowhere; echo "rc $?"').stdout, 'rc 127')
  })
}
