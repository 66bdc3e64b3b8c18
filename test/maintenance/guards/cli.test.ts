/** `runbook node locks` and `break` as a user starts them. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { serve } from '../../kubernetes/drain/server.ts'
import { addNode, Site, settings } from './setting.ts'

t.setTimeout(120_000)
const BIN = join(import.meta.dirname, '../../../bin/runbook.js')

function runbook(
  argv: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [BIN, 'node', ...argv], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

t.test('in a cluster', async (t) => {
  const site = new Site(t, ['n1', 'n2', 'n3', 'n4'])
  addNode(site.world, 'n4', { cordoned: true })
  const server = await serve(site.world, site.folder)
  if (!server) return void t.comment('no openssl')
  t.teardown(() => server.close())
  const node = (...words: string[]) => runbook([...words, '--kubeconfig', server.kubeconfig, '--folder', site.folder])
  const many = settings({ max_unavailable: 9 })

  t.match(await node('locks'), { code: 0, out: /^n4 {2}cordoned {2}cordoned, not by runbook; nobody has its lock\n$/ })
  const live = await site.enter('n1', { run: 'live', reason: 'disk', settings: many })
  const left = await site.enter('n2', { run: 'gone', settings: many })
  await left.release('left', 'it does not come back')
  addNode(site.world, 'n2', { ready: false })
  t.match(await node('locks'), {
    code: 0,
    out: /n1 {2}held for \d+ s {2}run live of alice on \S+ since \S+: disk; last sign of life.*\nn2 {2}left for \d+ s {2}.*it does not come back; NotReady\nn4/,
  })
  const { out } = await node('locks', '--json')
  t.match(JSON.parse(out), [
    { node: 'n1', state: 'held', holder: { run: 'live', actor: 'alice', token: 1 }, silentMs: Number },
    { node: 'n2', state: 'left' },
    { node: 'n4', state: 'cordoned' },
  ])

  t.match(await node('break', 'n1'), { code: 3, err: /--reason/ })
  t.match(await node('break', 'n1', '--reason', 'x'), { code: 3, err: /has to be confirmed[\s\S]*--yes/ })
  t.match(await node('break', 'n9', '--reason', 'x', '-y'), { code: 3, err: /nobody has a lock on n9/ })
  t.match(await node('break', 'all', '--reason', 'x', '--yes'), {
    code: 2,
    out: /n1: its holder lives: run live .*--force\nn2: broke the lock of run gone/,
  })
  t.notOk(live.signal.aborted)
  await live.renew()
  t.match(await node('break', 'n1', '--reason', 'wrong node', '--yes', '--force'), {
    code: 0,
    out: /n1: broke the lock/,
  })
  await t.rejects(live.renew(), { message: /its lock was broken by \S+: wrong node[\s\S]*nothing more was begun/ })
  t.same(site.ledger.entries, [])
  t.match(await node('break', 'all', '--reason', 'x', '--yes'), { code: 0, out: 'no locks\n' })
})

t.test('plain hosts', async (t) => {
  const site = new Site(t)
  const only = { transport: undefined }
  const inventory = { hosts: ['h1', 'h2'], groups: {} }
  const hold = await site.enter('h1', { inventory }, only)
  await hold.release('left', 'powered off')
  const home = mkdtempSync(join(tmpdir(), 'runbook-guards-home-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  const env = { HOME: home, KUBECONFIG: '' }
  t.match(await runbook(['locks', '--folder', site.folder], env), { code: 0, out: /^h1 {2}left for .*powered off\n$/ })
  t.match(await runbook(['break', 'h1', '--reason', 'it is gone', '-y', '--folder', site.folder], env), {
    code: 0,
    out: /h1: broke the lock/,
  })
  const next = await site.enter('h2', { inventory }, only)
  await next.release('untouched')
  mkdirSync(join(home, 'empty'))
  t.match(await runbook(['locks', '--folder', join(home, 'empty')], env), { code: 3, err: /neither a kubeconfig/ })
})
