/**
 * A local user of a managed host plants files and links where root is about to write. In a sticky folder such as /tmp
 * root's own files are safe; what must not happen is that root writes through a link, or leaves a file to the planter.
 */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { asidePath, sha256Of } from '../../src/module/change.ts'
import { makeConnection } from '../../src/session/connection.ts'
import { openLocal } from '../../src/session/local.ts'
import { runHere } from './here.ts'

/** A user id that nobody has. */
const MALLORY = 54_321
const skip = process.getuid?.() !== 0 && 'needs root'

/** Where everybody may write. */
function tmp(t: Test): string {
  const folder = mkdtempSync('/tmp/runbook-attack-')
  chmodSync(folder, 0o1777)
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function plant(path: string, content = ''): void {
  writeFileSync(path, content)
  chownSync(path, MALLORY, MALLORY)
}

t.test('a file that waits beside its target is never the planter’s', { skip }, async (t) => {
  const folder = tmp(t)
  // Too large and too binary to ride in a script.
  const content = Buffer.alloc(100_000, 'a\0')
  writeFileSync(join(folder, 'tool'), content)
  const dest = join(folder, 'installed')
  plant(asidePath(dest, sha256Of(content)))
  t.match(await runHere(folder, [{ copy: { src: 'tool', dest, mode: '0755' } }]), { trace: ['copy changed'] })
  t.match(statSync(dest), { uid: 0, mode: 0o100755 })
})

t.test('a fresh upload takes nothing over, another one does', { skip }, async (t) => {
  const path = join(tmp(t), 'file')
  await using connection = makeConnection(openLocal('here'))
  const shell = await connection.shell()
  plant(path)
  await shell.upload(Buffer.from('x'), path)
  t.match(statSync(path), { uid: MALLORY, mode: 0o100644 })
  await shell.upload(Buffer.from('x'), path, { fresh: true })
  t.match(statSync(path), { uid: 0, mode: 0o100600 })
})

t.test('a copy on the host and a download write through no link', { skip }, async (t) => {
  const folder = tmp(t)
  const victim = join(folder, 'victim')
  writeFileSync(victim, 'precious')
  writeFileSync(join(folder, 'source'), 'new')
  const copied = join(folder, 'copied')
  symlinkSync(victim, asidePath(copied, sha256Of('new')))
  t.match(await runHere(folder, [{ copy: { src: join(folder, 'source'), dest: copied, remote_src: true } }]), {
    trace: ['copy changed'],
  })
  const server = createServer((_, response) => response.end('fetched')).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/f`
  const fetched = join(folder, 'fetched')
  symlinkSync(victim, asidePath(fetched, sha256Of(url)))
  t.match(await runHere(folder, [{ get_url: { url, dest: fetched } }]), { trace: ['get_url changed'] })
  t.equal(readFileSync(victim, 'utf8'), 'precious')
  t.equal(readFileSync(copied, 'utf8'), 'new')
  t.equal(readFileSync(fetched, 'utf8'), 'fetched')
})

t.test('root follows no link that somebody else has made to what is not theirs', { skip }, async (t) => {
  const folder = tmp(t)
  const home = join(folder, 'home')
  const etc = join(folder, 'etc')
  for (const path of [home, etc, join(etc, 'real')]) mkdirSync(path)
  chownSync(home, MALLORY, MALLORY)
  const link = (to: string, path: string, owner = MALLORY) => {
    symlinkSync(to, path)
    lchownSync(path, owner, owner)
  }
  const shadow = join(etc, 'shadow')
  writeFileSync(shadow, 'precious', { mode: 0o600 })
  plant(join(home, 'dotfile'), 'mine')
  link('../etc/shadow', join(home, '.profile'))
  link(etc, join(home, '.ssh'))
  link('.ssh', join(folder, 'admin'), 0)
  link(join(home, '.ssh'), join(folder, 'through'), 0)
  link(join(etc, 'new'), join(home, 'new'))
  link('dotfile', join(home, 'own'))
  link(etc, join(folder, 'etc-link'), 0)
  const owner = String(MALLORY)
  const refused = [
    { copy: { content: 'x', dest: join(home, '.profile') } },
    { copy: { content: Buffer.alloc(70_000, 'x').toString(), dest: join(home, '.profile') } },
    { copy: { content: 'x', dest: join(home, '.ssh/authorized_keys') } },
    { copy: { content: 'x', dest: join(folder, 'through/authorized_keys') } },
    { copy: { content: 'x', dest: join(home, 'new') } },
    { lineinfile: { path: join(home, '.profile'), line: 'x' } },
    { file: { path: join(home, '.profile'), owner } },
    { file: { path: join(home, '.profile'), mode: '0666' } },
    { file: { path: join(home, '.ssh'), state: 'directory', owner } },
    { file: { path: join(home, '.ssh/made'), state: 'directory', owner } },
    { file: { path: join(home, '.ssh/made'), state: 'touch' } },
    { file: { path: join(home, '.ssh/made'), src: 'x', state: 'link' } },
    { file: { path: join(home, '.ssh/made'), src: shadow, state: 'hard' } },
    { file: { path: join(home, '.ssh/shadow'), state: 'absent' } },
    { file: { path: join(home, '.ssh/real'), state: 'absent' } },
    { file: { path: join(home, '.ssh/real'), recurse: true, owner } },
    { file: { path: join(home, '.ssh/real'), recurse: true, mode: 'a+rwX' } },
    { unarchive: { src: 'x.tar', dest: join(home, '.ssh'), owner } },
  ]
  execFileSync('tar', ['-cf', join(folder, 'x.tar'), '-C', etc, 'real'])
  for (const task of refused) {
    const { results } = await runHere(folder, [task])
    t.match(
      results,
      [{ status: 'failed', stderr: /is a link of user 54321 to .*, which is not theirs/ }],
      JSON.stringify(task),
    )
  }
  t.match(statSync(shadow), { uid: 0, mode: 0o100600 })
  t.equal(readFileSync(shadow, 'utf8'), 'precious')
  t.strictSame(readdirSync(etc).sort(), ['real', 'shadow'])
  t.match(statSync(join(etc, 'real')), { uid: 0, mode: 0o40755 })
  const done = [
    { copy: { content: 'x', dest: join(home, 'own') } },
    { copy: { content: 'x', dest: join(folder, 'etc-link/passwd') } },
    { file: { path: join(folder, 'etc-link/real/sub'), state: 'directory', mode: '0700' } },
  ]
  t.match(await runHere(folder, done), { trace: ['copy changed', 'copy changed', 'file changed'] })
  t.equal(readFileSync(join(home, 'dotfile'), 'utf8'), 'x')
})
