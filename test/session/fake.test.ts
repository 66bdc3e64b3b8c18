import t from 'tap'
import { makeConnection } from '../../src/session/connection.ts'
import { fakeConnection } from '../../src/session/fake.ts'
import { openLocal } from '../../src/session/local.ts'
import { type Connection, SessionError } from '../../src/session/session.ts'
import { sessionError } from './match.ts'

/** What engine tests rely on, checked on the fake (scripted and running for real) and on the real thing. */
const KINDS: Record<string, () => Connection> = {
  'the fake with answers': () =>
    fakeConnection('h1', {
      answer: (script) => (script.startsWith('exit') ? { rc: 3 } : { stdout: `${script.slice(5)}\n`, stderr: '' }),
    }),
  'the fake that runs scripts': () => fakeConnection('h1'),
  'the real one': () => makeConnection(openLocal('h1')),
}

for (const [name, make] of Object.entries(KINDS)) {
  t.test(name, async (t) => {
    const connection = make()
    const shell = await connection.shell()
    t.equal(await connection.shell(), shell)
    const chunks: string[] = []
    const onOutput = (stream: string, chunk: Buffer) => chunks.push(`${stream} ${chunk}`)
    const results = await Promise.all([
      shell.run('echo one', { onOutput }),
      shell.run('exit 3'),
      shell.run('echo three'),
    ])
    t.match(results, [
      { rc: 0, truncated: false },
      { rc: 3, truncated: false },
      { rc: 0, truncated: false },
    ])
    t.strictSame(
      results.map(({ stdout }) => stdout.toString()),
      ['one\n', '', 'three\n'],
    )
    t.strictSame(chunks, ['stdout one\n'])
    t.match(await shell.run('echo four', { maxOutput: 2 }), { truncated: true, stdout: Buffer.from('fo') })
    t.equal(shell.scripts, 4)
    const path = `${t.testdir()}/file`
    t.match(await shell.upload(Buffer.from('abc'), path), { bytes: 3, sha256: /^ba7816bf/ })
    const content: Buffer[] = []
    for await (const chunk of shell.download(path)) content.push(chunk)
    t.equal(Buffer.concat(content).toString(), 'abc')
    await t.rejects(
      async () => {
        for await (const _ of shell.download(`${path}.none`));
      },
      sessionError('upload', /No such file/),
    )
    await t.rejects(shell.run('echo', { signal: AbortSignal.abort(new Error('stop')) }), { message: 'stop' })
    await connection.close()
    await connection.closed
    await t.rejects(shell.run('echo'), sessionError('lost'))
    await connection.close()
  })
}

t.test('the fake remembers and refuses', async (t) => {
  const connection = fakeConnection('h1', {
    user: 'me',
    answer: (script) => (script === 'die' ? new SessionError('lost', 'h1', 'gone') : { stdout: 'x' }),
    refuse: ({ user }) => (user === 'nobody' ? new SessionError('become', 'h1', 'no') : undefined),
  })
  const root = await connection.shell({ method: 'sudo', user: 'root' })
  await root.run('a')
  await (await connection.shell()).upload(Buffer.from('b'), '/b', { mode: 0o600 })
  t.match(connection.calls, [
    { kind: 'run', user: 'root', script: 'a' },
    { kind: 'upload', user: 'me', path: '/b', content: Buffer.from('b'), options: { mode: 0o600 } },
  ])
  await t.rejects(connection.shell({ method: 'sudo', user: 'nobody' }), sessionError('become'))
  const both = [root.run('die'), root.run('after')]
  t.match(await Promise.allSettled(both), [
    { reason: sessionError('lost', /gone/) },
    { reason: sessionError('lost', /gone/) },
  ])
  await connection.closed
})
