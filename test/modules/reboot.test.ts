import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import pause from '../../modules/pause.ts'
import reboot from '../../modules/reboot.ts'
import waitForConnection from '../../modules/wait_for_connection.ts'
import { type ScriptResult, SessionError, type Shell } from '../../src/session/session.ts'
import { act, actionContext, type Bench, connection, inEachShell, LocalShell } from './drive.ts'

const [OLD, NEW] = [randomUUID(), randomUUID()]

/** A shell whose boot_id is what `id` says; all else is real. */
function withBootId(shell: Shell, id: () => string): Shell {
  return {
    ...shell,
    user: 'root',
    run: async (script, options) =>
      script.startsWith('cat /proc/sys/kernel/random/boot_id') ? answer(id()) : await shell.run(script, options),
    upload: shell.upload,
    download: shell.download,
  }
}

const answer = (out: string, rc = 0): ScriptResult => ({
  rc,
  stdout: Buffer.from(out),
  stderr: Buffer.alloc(0),
  elapsedMs: 1,
  truncated: false,
})

const refused = (kind: 'unreachable' | 'auth' | 'host_key' | 'lost' = 'unreachable') =>
  new SessionError(kind, 'n1', `it is ${kind}`)

/** A host whose reboot command makes a file: from then on it refuses three times, then shows its new boot_id. */
function host(bench: Bench, more: object = {}) {
  const marker = join(bench.host, 'rebooted now')
  const shell = withBootId(bench.shell, () => (fs.existsSync(marker) ? NEW : OLD))
  let tries = 0
  const ctx = actionContext(bench, {
    shell: async () => shell,
    run: (script, options) => shell.run(script, options),
    tryConnect: async () => {
      tries++
      if (tries === 1) return connection(shell)
      if (tries < 4) throw refused(tries === 2 ? 'unreachable' : 'auth')
      return connection(shell)
    },
    ...more,
  })
  return { ctx, marker, args: { reboot_command: `sh ${script(bench, marker)}`, reboot_timeout: 20 } }
}

function script(bench: Bench, marker: string): string {
  const path = join(bench.controller, 'reboot.sh')
  fs.writeFileSync(path, `sleep 0.2; : > '${marker}'`)
  return path
}

inEachShell('reboot', async (t, bench) => {
  const { ctx, marker, args } = host(bench)
  const before = performance.now()
  const result = await act(reboot, { ...args, test_command: `test -f '${marker}'` }, ctx)
  t.match(result, { changed: true, data: { rebooted: true, boot_id: NEW } })
  t.ok(performance.now() - before > 2000, 'the command ran detached, two seconds later')
  t.ok(fs.existsSync(marker))
})

t.test('reboot, without a host', async (t) => {
  const folder = t.testdir({ host: {}, controller: {} })
  const bench = {
    shell: new LocalShell('dash', folder),
    host: join(folder, 'host'),
    controller: join(folder, 'controller'),
  }
  const plain = (ids: string[], more: object = {}) => {
    const shell = withBootId(bench.shell, () => (ids.length > 1 ? ids.shift()! : ids[0]!))
    const run = async (s: string) => (s.startsWith('cat') || s.startsWith('eval') ? await shell.run(s) : answer(''))
    return actionContext(bench, { run, tryConnect: async () => connection(shell), ...more })
  }
  const quick = { reboot_timeout: 1.5 }

  t.match(await act(reboot, {}, plain([OLD], { check: true })), { changed: true, msg: 'would reboot' })
  await t.rejects(act(reboot, quick, plain(['no such file'])), /does not give its boot_id/)
  await t.rejects(act(reboot, quick, plain([OLD])), /still answers from the old boot/)
  await t.rejects(act(reboot, quick, plain([OLD, 'Permission denied'])), /answers without a boot_id/)
  const key = { tryConnect: () => Promise.reject(refused('host_key')) }
  await t.rejects(act(reboot, { reboot_timeout: 30 }, plain([OLD], key)), /it is host_key/, 'another host: at once')
  const down = { tryConnect: () => Promise.reject(refused()) }
  await t.rejects(act(reboot, quick, plain([OLD], down)), /did not come back .* it is unreachable.*emergency mode/s)
  await t.rejects(
    act(reboot, { ...quick, test_command: 'echo no; false' }, plain([OLD, NEW])),
    /test_command failed.*no/s,
  )

  let sent = 0
  const lost = {
    run: async (s: string) => {
      if (s.startsWith('cat')) return answer(OLD)
      if (s.startsWith('eval')) return answer('')
      sent++
      throw refused('lost')
    },
  }
  t.match(await act(reboot, {}, plain([NEW], lost)), { changed: true }, 'a connection that breaks means that it works')
  t.equal(sent, 1)
  const refusal = {
    run: async (s: string) =>
      s.startsWith('cat') ? answer(OLD) : { ...answer('', 1), stderr: Buffer.from('only root') },
  }
  await t.rejects(act(reboot, {}, plain([NEW], refusal)), /refused: only root/)

  sent = 0
  const resumed = {
    ...lost,
    run: async (s: string) => (s.startsWith('cat') ? answer(NEW) : s.startsWith('eval') ? answer('') : lost.run(s)),
    intent: async () => ({ boot_id: OLD }),
  }
  t.match(await act(reboot, {}, plain([NEW], resumed)), { changed: true, data: { boot_id: NEW } })
  t.equal(sent, 0, 'never twice')

  await t.test('wait_for_connection', async (t) => {
    let tries = 0
    const tryConnect = async () => {
      if (++tries < 3) throw refused()
      return connection(bench.shell)
    }
    t.match(await act(waitForConnection, { sleep: 0.01 }, plain([OLD], { tryConnect })), { changed: false })
    t.equal(tries, 3)
    await t.rejects(
      act(waitForConnection, { timeout: 0.05, sleep: 0.01 }, plain([OLD], down)),
      /no connection within 0.05 s: it is unr/,
    )
    await t.rejects(act(waitForConnection, {}, plain([OLD], key)), /it is host_key/)
  })

  await t.test('pause', async (t) => {
    const asked: unknown[] = []
    const ask = async (...question: unknown[]) => {
      asked.push(question)
      return 'yes'
    }
    t.match(await act(pause, { prompt: 'Go?', echo: false }, plain([OLD], { ask })), { data: { user_input: 'yes' } })
    t.same(asked, [['Go?', { secret: true }]])
    const started = performance.now()
    await act(pause, { seconds: 0.1 }, plain([OLD]))
    t.ok(performance.now() - started >= 99)
    await t.rejects(
      act(pause, { minutes: 1 }, plain([OLD], { signal: AbortSignal.timeout(20) })),
      'stops when the run does',
    )
    await t.rejects(act(pause, {}, plain([OLD])), /no terminal/)
  })
})
