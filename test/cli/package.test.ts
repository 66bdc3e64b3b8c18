/** The program as it is published: one script, of which is kept what V8 has compiled (build.ts, bin/compiled.js). */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stagePackage } from '../stage.ts'
import { BIN } from './runbook.ts'

const folder = t.testdir({
  'kubeconfig.yml': JSON.stringify({
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [
      { name: 'u', user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'no-such-helper' } } },
    ],
  }),
  'play.yml': JSON.stringify([
    {
      name: 'Für alle',
      hosts: 'localhost',
      connection: 'local',
      gather_facts: false,
      tasks: [{ name: 'µ', copy: { content: '{{ upper "grün" }} · 12µs\n', dest: `${t.testdirName}/out` } }],
    },
  ]),
  'wrong.yml': JSON.stringify([{ hosts: 'all', tasks: [{ cpy: {} }] }]),
})
const packaged = stagePackage(join(folder, 'package'))
const cache = join(folder, 'cache')
const code = join(cache, 'runbook/code')

function run(program: string, args: readonly string[]): SpawnSyncReturns<string> {
  const env = { ...process.env, XDG_CACHE_HOME: cache, RUNBOOK_INVENTORY: 'localhost,', NO_COLOR: '1' }
  return spawnSync(process.execPath, [program, ...args], { cwd: folder, env, encoding: 'utf8' })
}

const said = ({ status, stdout, stderr }: SpawnSyncReturns<string>) => ({ status, stdout, stderr })
const kept = (): string[] => readdirSync(code).sort()

t.test('it says what the sources say', async (t) => {
  for (const args of [
    ['--version'],
    ['--help'],
    ['modules'],
    ['modules', 'copy'],
    ['schema'],
    ['completion', 'bash'],
    ['validate', 'wrong.yml'],
    ['validate', 'play.yml'],
    ['node', 'drain', 'n1', '--kubeconfig', 'kubeconfig.yml', '--dry-run'],
  ]) {
    const theirs = run(BIN, args)
    for (const time of ['first', 'with the code of the time before']) {
      t.strictSame(said(run(packaged, args)), said(theirs), `${args.join(' ')}, ${time}`)
    }
  }
})

t.test('what has run is kept, a file for each command, for its user alone', async (t) => {
  t.equal(statSync(code).mode & 0o777, 0o700)
  const commands = kept().map((name) => name.replace(/-.*/, ''))
  t.strictSame(commands, ['completion', 'modules', 'other', 'schema', 'validate'], 'not of the drain, which failed')
  for (const name of kept()) t.equal(statSync(join(code, name)).mode & 0o777, 0o600, name)
  t.equal(run(packaged, ['no-such-command']).status, 3)
  t.equal(kept().length, commands.length)
})

t.test('plays, with text that is not ASCII', async (t) => {
  for (const words of ['1 of 1 host changed ·', 'nothing to change on 1 host ·']) {
    const { status, stdout, stderr } = run(packaged, ['apply', 'play.yml'])
    t.equal(status, 0, stderr)
    t.match(stdout, words)
    t.match(stdout, 'Für alle')
  }
  t.equal(readFileSync(join(folder, 'out'), 'utf8'), 'GRÜN · 12µs\n')
})

t.test('what was kept and is damaged, of another version or not ours is not used', async (t) => {
  const file = join(code, kept().find((name) => name.startsWith('validate'))!)
  const good = readFileSync(file)
  const middle = good.length >> 1
  for (const [name, bytes] of Object.entries({
    empty: Buffer.alloc(0),
    'cut off': good.subarray(0, middle),
    'a bit that changed': Buffer.concat([
      good.subarray(0, middle),
      Buffer.of(good[middle]! ^ 4),
      good.subarray(middle + 1),
    ]),
    zeros: Buffer.alloc(good.length),
  })) {
    writeFileSync(file, bytes)
    const { status, stdout } = run(packaged, ['validate', 'play.yml'])
    t.strictSame([status, stdout], [0, 'play.yml: valid; plays: 1, tasks: 1\n'], name)
    t.ok(statSync(file).size > middle, 'it is made anew')
    t.notOk(readFileSync(file).equals(bytes))
  }
  chmodSync(join(cache, 'runbook'), 0o777)
  writeFileSync(file, 'x')
  t.equal(run(packaged, ['validate', 'play.yml']).status, 0)
  t.equal(readFileSync(file, 'utf8'), 'x', 'a folder that others may write is left alone')
  const elsewhere = join(folder, 'file')
  writeFileSync(elsewhere, '')
  const env = { ...process.env, XDG_CACHE_HOME: elsewhere, RUNBOOK_INVENTORY: '' }
  t.equal(spawnSync(process.execPath, [packaged, 'validate', join(folder, 'play.yml')], { env }).status, 0, 'no folder')
})

t.test('what another version has kept goes after a month', async (t) => {
  const other = join(folder, 'other/runbook/code')
  mkdirSync(other, { recursive: true, mode: 0o700 })
  const stale = join(other, 'apply-0-v1')
  const fresh = join(other, 'apply-1-v1')
  for (const file of [stale, fresh]) writeFileSync(file, '')
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, 'other') }
  t.equal(spawnSync('touch', ['-d', '40 days ago', stale]).status, 0)
  t.equal(spawnSync(process.execPath, [packaged, '--version'], { env }).status, 0)
  t.match(readdirSync(other).sort(), ['apply-1-v1', /^other-/])
})
