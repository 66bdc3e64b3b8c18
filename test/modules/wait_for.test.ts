import fs from 'node:fs'
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import fetchModule from '../../modules/fetch.ts'
import waitFor from '../../modules/wait_for.ts'
import { SessionError } from '../../src/session/session.ts'
import { act, actionContext, type Bench, inEachShell } from './drive.ts'

const listen = (server: Server) =>
  new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))

/** Only these programs in PATH, so that the way without bash or nc is taken. */
function onlyPrograms(bench: Bench, names: string): void {
  const bin = join(bench.controller, 'bin')
  fs.mkdirSync(bin)
  for (const name of names.split(' ')) fs.symlinkSync(name === 'nc' ? '/bin/busybox' : `/bin/${name}`, join(bin, name))
  bench.shell.env.PATH = bin
}

inEachShell('wait_for a path or a command', async (t, bench) => {
  const ctx = actionContext(bench)
  const path = join(bench.host, `a 'path'`)
  setTimeout(() => fs.writeFileSync(path, 'begun\n'), 300)
  setTimeout(() => fs.appendFileSync(path, 'done 42\n'), 600)
  t.match(await act(waitFor, { path, sleep: 0.1 }, ctx), { changed: false })
  t.match(await act(waitFor, { path, search_regex: '^done [0-9]+$', sleep: 0.1 }, ctx), { changed: false })
  await t.rejects(act(waitFor, { path, state: 'absent', timeout: 1, sleep: 0.3 }, ctx), /did not go away within 1 s/)
  fs.rmSync(path)
  await act(waitFor, { path, state: 'absent' }, ctx)
  const once = `test -e '${path}' || { : > '${path}'; echo "not yet"; exit 101; }; echo "it's there"`
  t.match(await act(waitFor, { command: once, sleep: 0.1 }, ctx), { data: { stdout: "it's there" } })
  await t.rejects(
    act(waitFor, { command: 'echo why; exit 7', timeout: 1, sleep: 0.2, msg: 'Look' }, ctx),
    /^Look .*why\nstatus 7/s,
  )
  await t.rejects(act(waitFor, { command: `echo 'open`, timeout: 0, sleep: 0.2 }, ctx), /did not succeed/)
})

for (const programs of ['all', 'nc', 'none'] as const) {
  inEachShell(`wait_for a port, programs: ${programs}`, async (t, bench) => {
    if (programs !== 'all') onlyPrograms(bench, `date sleep grep timeout true${programs === 'nc' ? ' nc' : ''}`)
    // busybox prefers its own programs, whatever PATH says.
    const ctx = actionContext(bench)
    const server = createServer((socket) => socket.end())
    const port = await listen(server)
    t.teardown(() => server.close())
    await act(waitFor, { port, timeout: 5 }, ctx)
    await t.rejects(act(waitFor, { port, state: 'stopped', timeout: 0.5, sleep: 0.2 }, ctx), /did not close/)
    await new Promise((resolve) => server.close(resolve))
    await act(waitFor, { port, state: 'stopped', timeout: 5 }, ctx)
    await t.rejects(act(waitFor, { port, timeout: 0.5, sleep: 0.2 }, ctx), /did not open within 0.5 s/)
    if (programs === 'none' && !t.name.includes('busybox')) {
      await t.rejects(act(waitFor, { port, host: '192.0.2.1', state: 'stopped' }, ctx), /neither bash nor nc/)
    }
  })
}

t.test('a host that goes away meanwhile', async (t) => {
  const folder = t.testdir({})
  let calls = 0
  const run = async () => {
    if (++calls < 3) throw new SessionError('lost', 'n1', 'gone')
    return { rc: 0, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), elapsedMs: 1, truncated: false }
  }
  const ctx = actionContext({ shell: undefined as never, host: folder, controller: folder }, { run })
  await act(waitFor, { port: 1, sleep: 0.01 }, ctx)
  t.equal(calls, 3)
  calls = -100
  await t.rejects(act(waitFor, { port: 1, sleep: 0.01, timeout: 0.1 }, ctx), /gone/)
  t.match(await act(waitFor, { port: 1 }, { ...ctx, check: true }), { changed: false, msg: 'would wait' })
})

inEachShell('fetch', async (t, bench) => {
  const src = join(bench.host, `a 'file'`)
  const bytes = Buffer.alloc(300_000, 'x\0y')
  fs.writeFileSync(src, bytes)
  const ctx = actionContext(bench)
  const dest = join(bench.controller, 'got', 'n1', src)
  t.match(await act(fetchModule, { src, dest: 'got' }, { ...ctx, check: true }), { changed: true, data: { dest } })
  t.notOk(fs.existsSync(dest))
  t.match(await act(fetchModule, { src, dest: 'got' }, ctx), { changed: true, data: { dest } })
  t.same(fs.readFileSync(dest), bytes)
  t.match(await act(fetchModule, { src, dest: 'got' }, ctx), { changed: false })
  t.match(await act(fetchModule, { src, dest: 'flat/', flat: true }, ctx), {
    data: { dest: join(bench.controller, `flat/a 'file'`) },
  })
  t.match(await act(fetchModule, { src, dest: 'name', flat: true }, ctx), {
    data: { dest: join(bench.controller, 'name') },
  })
  await t.rejects(act(fetchModule, { src: `${src}x`, dest: 'got' }, ctx), /does not exist on the host/)
  t.match(await act(fetchModule, { src: `${src}x`, dest: 'got', fail_on_missing: false }, ctx), { changed: false })
  await t.rejects(act(fetchModule, { src: bench.host, dest: 'got' }, ctx), /is a directory/)
  t.notOk((fs.readdirSync(bench.controller, { recursive: true }) as string[]).some((f) => f.includes('.rb-')))
})
