import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect } from '../../src/session/connect.ts'
import type { Target } from '../../src/session/session.ts'
import { patiently, sessionError } from './match.ts'
import { keepsConnections, noSshd, startSshd, type TestSshd } from './sshd.ts'

t.setTimeout(120_000)

/** What every transport must do, on the real thing. */
for (const transport of ['local', 'ssh2', 'openssh', 'openssh, kept'] as const) {
  const connection = transport === 'openssh, kept' ? 'openssh' : transport
  t.test(transport, { skip: connection === 'local' ? false : noSshd }, async (t) => {
    const sshd = connection === 'local' ? undefined : await startSshd()
    const folder = await mkdtemp(join(tmpdir(), 'session-transport-'))
    const kept = transport === 'openssh, kept' && sshd ? await keepsConnections(sshd) : undefined
    t.teardown(async () => {
      await kept?.end()
      await sshd?.[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    })
    const target: Target = {
      name: 'h1',
      connection,
      address: '127.0.0.1',
      hostKeys: 'check',
      ...(sshd && {
        port: sshd.port,
        privateKeyFile: sshd.key,
        knownHostsFile: sshd.knownHosts,
        sshConfigFile: emptyConfig(sshd),
      }),
    }
    if (sshd) await writeFile(emptyConfig(sshd), kept?.config ?? '')
    const connection1 = await connect(target)
    t.teardown(() => connection1.close())
    const shell = await connection1.shell()

    t.test('scripts', async (t) => {
      const result = await shell.run('echo out; echo err >&2; exit 4')
      t.strictSame([result.rc, result.stdout.toString(), result.stderr.toString()], [4, 'out\n', 'err\n'])
      t.equal(await connection1.shell(), shell, 'the same shell each time')
      t.equal(shell.user, spawnSync('id', ['-un'], { encoding: 'utf8' }).stdout.trim())
      const before = shell.scripts
      await Promise.all([shell.run(':'), shell.run(':')])
      t.equal(shell.scripts, before + 2)
    })

    t.test('100 MB of output', async (t) => {
      let bytes = 0
      const onOutput = (_: string, chunk: Buffer) => {
        bytes += chunk.length
      }
      const { rc, stdout } = await shell.run('dd if=/dev/zero bs=1048576 count=100 2>/dev/null', {
        maxOutput: 10,
        onOutput,
      })
      t.strictSame([rc, bytes, stdout.length], [0, 100 * 1048576, 10])
    })

    t.test('timeout and abort kill on the host', async (t) => {
      const seconds = `5${Math.floor(Math.random() * 1e6)}.5`
      const running = () => spawnSync('pgrep', ['-f', `^sleep ${seconds}`], { encoding: 'utf8' }).stdout
      // A host that is busy may be told of the kill before it has done it.
      const isGone = async () => {
        for (let tries = 0; tries < 100 && running() !== ''; tries++) await sleep(100)
        t.equal(running(), '')
      }
      await t.rejects(shell.run(`sleep ${seconds}`, { timeoutMs: 100 }), sessionError('timeout'))
      await isGone()
      await t.rejects(shell.run(`sleep ${seconds}`, { signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' })
      await isGone()
      t.equal((await shell.run('echo ok')).stdout.toString(), 'ok\n')
    })

    t.test('uploads', async (t) => {
      const sizes = [0, 1, 63, 64, 65, 100_000, 5_000_000]
      for (const size of sizes) {
        const content = randomBytes(size)
        const path = join(folder, 'a file\'s "name" $x')
        const sent = await shell.upload(content, path, { mode: 0o640 })
        t.strictSame(sent, { sha256: createHash('sha256').update(content).digest('hex'), bytes: size })
        t.ok((await readFile(path)).equals(content), `${size} bytes`)
        t.equal((await stat(path)).mode & 0o7777, 0o640)
        const chunks: Buffer[] = []
        for await (const chunk of shell.download(path)) chunks.push(chunk)
        t.ok(Buffer.concat(chunks).equals(content), `${size} bytes back`)
      }
      t.equal((await readdir(folder)).length, 1, 'no temporary file is left')
    })

    t.test('an upload keeps or sets mode and owner', async (t) => {
      const path = join(folder, 'kept')
      await shell.upload(Buffer.from('1'), path)
      t.equal((await stat(path)).mode & 0o7777, 0o600, 'a new file is private')
      await shell.run(`chmod 4751 '${path}'`)
      await shell.upload(Buffer.from('2'), path)
      t.equal((await stat(path)).mode & 0o7777, 0o4751, 'the mode of the file that is replaced')
      if (process.getuid?.() === 0) {
        await shell.upload(Buffer.from('3'), path, { owner: 'nobody', group: '0', mode: 0o644 })
        t.match(await stat(path), { uid: 65534, gid: 0 })
        await shell.upload(Buffer.from('4'), path)
        t.match(await stat(path), { uid: 65534, gid: 0 }, 'the owner of the file that is replaced')
        await shell.upload(Buffer.from('5'), path, { group: 'nogroup' })
        t.match(await stat(path), { uid: 65534, gid: 65534 })
        await t.rejects(shell.upload(Buffer.from('6'), path, { owner: 'no-such-user' }), sessionError('upload'))
      }
      t.equal((await readFile(path, 'utf8')).length, 1)
    })

    t.test('an upload that fails leaves nothing', async (t) => {
      const place = join(folder, 'fails')
      await mkdir(join(place, 'dir'), { recursive: true })
      await symlink(join(place, 'dir'), join(place, 'link'))
      const refused: [path: string, message: RegExp][] = [
        [join(place, 'dir'), /it is a directory/],
        [join(place, 'link'), /it is a directory/],
        [join(place, 'none', 'x'), /No such file|nonexistent/],
        ['/proc/x', /\/proc\//],
      ]
      for (const [path, message] of refused) {
        await t.rejects(shell.upload(Buffer.from('x'), path), sessionError('upload', message), path)
      }
      await t.rejects(shell.upload(Buffer.from('x'), 'relative'), TypeError)
      async function* breaks() {
        yield Buffer.alloc(100_000)
        throw new Error('the source broke')
      }
      await t.rejects(shell.upload(breaks(), join(place, 'broken')), { message: 'the source broke' })
      const abort = new AbortController()
      async function* endless() {
        for (;;) {
          yield Buffer.alloc(100_000)
          await sleep(5)
        }
      }
      setTimeout(() => abort.abort(new Error('enough')), 100)
      await t.rejects(shell.upload(endless(), join(place, 'endless'), { signal: abort.signal }), { message: 'enough' })
      for (let i = 0; i < 40 && (await readdir(place)).length > 2; i++) await sleep(50)
      t.strictSame((await readdir(place)).sort(), ['dir', 'link'])
      t.strictSame(await readdir(join(place, 'dir')), [])
    })

    t.test('many uploads at once', async (t) => {
      const many = Array.from({ length: 12 }, (_, i) => join(folder, `many-${i}`))
      await Promise.all(many.map((path) => shell.upload(Buffer.from(path), path)))
      for (const path of many) t.equal(await readFile(path, 'utf8'), path)
    })

    t.test('a download that fails', async (t) => {
      const read = async (path: string) => {
        for await (const _ of shell.download(path));
      }
      await t.rejects(read(join(folder, 'none')), sessionError('upload', /No such file/))
      await t.rejects(read(folder), sessionError('upload', /[Dd]irectory/))
      // A reader that stops early.
      for await (const _ of shell.download('/dev/zero')) break
      t.equal((await shell.run('echo ok')).rc, 0)
    })

    t.test('one run a host', async (t) => {
      const other = await connect(target)
      await patiently(() => connection1.lock('run 7 by alice@controller'))
      await patiently(() => connection1.lock('run 7 by alice@controller'))
      await t.rejects(other.lock('run 8'), sessionError('locked', /run 7 by alice@controller/))
      const third = await connect(target)
      await connection1.close()
      await patiently(() => third.lock('run 9'))
      await t.rejects(other.lock('run 8'), sessionError('locked', /: run 9, since/), 'not the words before')
      await third.close()
      await other.close()
    })

    t.test('a closed connection', async (t) => {
      await connection1.closed
      await t.rejects(shell.run('echo'), sessionError('lost'))
      await t.rejects(shell.upload(Buffer.from(''), '/tmp/x'), sessionError('lost'))
      await connection1.close()
    })

    t.test('closing while a script runs', async (t) => {
      const connection2 = await connect(target)
      const shell2 = await connection2.shell()
      const running = shell2.run('sleep 0.7; exit 3')
      const behind = shell2.run('echo')
      await sleep(100)
      const rejected = Promise.all([t.rejects(running, sessionError('lost')), t.rejects(behind, sessionError('lost'))])
      await connection2.close()
      await rejected
    })
  })
}

function emptyConfig(sshd: TestSshd): string {
  return join(sshd.folder, 'ssh_config')
}
