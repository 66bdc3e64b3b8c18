import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import t from 'tap'
import { bootInput, bootScript, watchBoot } from '../../src/session/boot.ts'
import { newNonce } from '../../src/session/channel.ts'
import { cutAtMarkers, frameScript } from '../../src/session/framing.ts'
import { spawnChannel } from '../../src/session/local.ts'
import { ScriptQueue } from '../../src/session/shell.ts'
import fc from '../property.ts'
import { sessionError } from './match.ts'

t.test('markers are cut out whatever the chunks are', async (t) => {
  const nonce = 'abcdef0123456789'
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    // Beginnings of a marker that is none.
    fc.nat({ max: nonce.length }).map((n) => Buffer.from(`\x1e${nonce.slice(0, n)}`)),
  )
  const plain = fc.array(piece, { maxLength: 6 }).map((pieces) => Buffer.concat(pieces))
  fc.assert(
    fc.property(
      fc.array(plain, { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(200), { maxLength: 30 }),
      (outputs, cuts) => {
        fc.pre(outputs.every((output) => !output.includes(`\x1e${nonce}`)))
        const stream = Buffer.concat(outputs.flatMap((output, i) => [output, Buffer.from(`\x1e${nonce} ${i}\n`)]))
        // A false beginning directly before a true marker could form one; that is not what we test here.
        fc.pre(stream.toString('latin1').split(`\x1e${nonce}`).length === outputs.length + 1)
        const seen: Buffer[][] = [[]]
        const marks: string[] = []
        const cut = cutAtMarkers(
          nonce,
          (chunk) => seen.at(-1)!.push(chunk),
          (rest) => {
            marks.push(rest)
            seen.push([])
          },
        )
        let at = 0
        for (const length of [...cuts, stream.length]) {
          if (at >= stream.length) break
          cut(stream.subarray(at, at + length))
          at += length
        }
        t.strictSame(
          marks,
          outputs.map((_, i) => String(i)),
        )
        for (const [i, output] of outputs.entries()) if (!Buffer.concat(seen[i]!).equals(output)) return false
        return true
      },
    ),
    { numRuns: 500 },
  )
})

t.test('a script with NUL is refused', async (t) => {
  t.throws(() => frameScript('a\0b', 'n', false), TypeError)
  t.throws(() => frameScript(`a\0b${'x'.repeat(20_000)}`, 'n', true), TypeError)
})

const SHELLS: readonly (readonly [name: string, command: string])[] = [
  ['dash', 'dash'],
  ['bash as sh', 'bash --posix'],
  ['bash', 'bash'],
  ['busybox', 'busybox sh'],
]

for (const [name, command] of SHELLS) {
  const [file = '', ...args] = command.split(' ')
  const missing = spawnSync(file, ['-c', 'true'].slice(file === 'busybox' ? 2 : 0)).error
    ? `${file} is not installed`
    : false

  t.test(name, { skip: missing }, async (t) => {
    let opened = 0
    const groups: number[] = []
    const channels: { close(): void }[] = []
    const queue = new ScriptQueue({
      host: 'test',
      booted: () => {},
      lost: () => undefined,
      settled: async () => {},
      open: async (line, kind) => {
        if (kind === 'lasting') opened++
        const nonce = newNonce()
        const channel = spawnChannel(file, [...args, '-c', bootScript(nonce)])
        channels.push(channel)
        const { ready } = watchBoot(channel, nonce)
        ready.then((booted) => groups.push(booted.processGroup))
        channel.stdin.write(bootInput(nonce, line.replace('/bin/sh', command)))
        return { channel, ready }
      },
    })
    t.teardown(() => {
      for (const channel of channels) channel.close()
    })
    const run = async (script: string, options = {}) => {
      const { rc, stdout, stderr, truncated } = await queue.run(script, options)
      return { rc, out: stdout.toString(), err: stderr.toString(), truncated }
    }

    const table: [
      name: string,
      script: string,
      expected: { rc: number; out?: string | RegExp; err?: string | RegExp },
    ][] = [
      ['output of both streams', 'echo out; echo err >&2; exit 3', { rc: 3, out: 'out\n', err: 'err\n' }],
      ['nothing at all', '', { rc: 0, out: '', err: '' }],
      ['only a comment', '# nothing', { rc: 0, out: '', err: '' }],
      ['no newline at the end of output', 'printf abc; printf def >&2', { rc: 0, out: 'abc', err: 'def' }],
      ['a script that reads standard input', 'cat; read -r x; echo "[$x]"', { rc: 0, out: '[]\n', err: '' }],
      ['a syntax error', 'echo before; if then', { rc: 2, err: /syntax error/i }],
      ['an unbalanced quote', 'echo "', { rc: 2, err: /quote|unexpected EOF|matching/i }],
      ['an unbalanced apostrophe', "echo '", { rc: 2, err: /quote|unexpected EOF|matching/i }],
      ['an unclosed parenthesis', '( echo a', { rc: 2, err: /syntax|unexpected/i }],
      ['a stray closing parenthesis', 'echo a ) ; exit 7', { rc: 2, err: /syntax|unexpected/i }],
      ['a stray brace', '}', { rc: 2, err: /syntax|unexpected/i }],
      ['a heredoc', 'cat <<X\n$((1 + 1)) \'"\\\\\nX\n', { rc: 0, out: '2 \'"\\\n', err: '' }],
      ['an unclosed heredoc', 'cat <<X\nabc', { rc: 0, out: /abc/ }],
      ['a line that goes on', 'echo a \\', { rc: 0, out: /^a/ }],
      ['exit', 'exit 42', { rc: 42, out: '' }],
      ['set -e', 'set -e; false; echo no', { rc: 1, out: '' }],
      ['set -u', 'set -u; echo $nope; echo no', { rc: name.startsWith('bash') ? 1 : 2, out: '' }],
      ['an exit trap', 'trap "echo bye" EXIT; exit 5', { rc: 5, out: 'bye\n' }],
      ['exec', 'exec echo gone', { rc: 0, out: 'gone\n' }],
      ['closed output', 'exec >&- 2>&-; exit 6', { rc: 6, out: '', err: '' }],
      ['a child that kills itself', "sh -c 'kill -KILL $$'", { rc: 137, out: '' }],
      ['a variable stays behind', 'leak=1; cd /; umask 0', { rc: 0, out: '' }],
      ['and is not seen by the next', 'echo "[$leak]"; [ "$(umask)" != 0000 ] && echo ok', { rc: 0, out: '[]\nok\n' }],
      ['a command that is not there', 'no-such-command-here', { rc: 127 }],
      ['every kind of quote', `echo 'a'\\''b' "c'd" \`echo e\` $(echo f) \\g '\\h'`, { rc: 0 }],
      ['UTF-8', 'echo "grüße ☃"', { rc: 0, out: 'grüße ☃\n' }],
    ]
    for (const [title, script, { rc, out, err }] of table) {
      const result = await run(script)
      t.equal(result.rc, rc, `${title}: rc`)
      if (out !== undefined) t.match(result.out, typeof out === 'string' ? exactly(out) : out, `${title}: stdout`)
      if (err !== undefined) t.match(result.err, typeof err === 'string' ? exactly(err) : err, `${title}: stderr`)
    }
    t.equal(opened, 1, 'one shell did all of it')

    t.test('every byte, both streams', async (t) => {
      const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      const octal = [...all].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
      const { stdout, stderr } = await queue.run(`printf '${octal}'; printf '${octal}' >&2`)
      t.strictSame(stdout, all)
      t.strictSame(stderr, all)
    })

    t.test('scripts of 10 and 60 KB and 1 MB arrive whole', async (t) => {
      for (const size of [10_000, 60_000, 1_000_000]) {
        const filler = Array.from({ length: size / 100 }, (_, i) => `: ${`'${i}' "x" \\' `.padEnd(96, 'y')}`).join('\n')
        const result = await run(`${filler}\necho end ${size}; exit 9`)
        t.strictSame(result, { rc: 9, out: `end ${size}\n`, err: '', truncated: false })
      }
    })

    t.test('100 MB of output: a bounded result, all of it streamed', async (t) => {
      const hash = createHash('md5')
      let bytes = 0
      const result = await queue.run('dd if=/dev/zero bs=1048576 count=100 2>/dev/null; echo x >&2', {
        maxOutput: 1000,
        onOutput: (stream: string, chunk: Buffer) => {
          if (stream !== 'stdout') return
          bytes += chunk.length
          hash.update(chunk)
        },
      })
      t.equal(bytes, 100 * 1048576)
      // md5 of 100 MiB of zeroes.
      t.equal(hash.digest('hex'), '2f282b84e7e608d5852449ed940bfc51')
      t.equal(result.stdout.length, 1000)
      t.equal(result.truncated, true)
      t.equal(result.stderr.toString(), 'x\n')
    })

    t.test('a background child keeps the output open and the shell goes on', async (t) => {
      const begin = performance.now()
      t.match(await run('sleep 3 & echo started'), { rc: 0, out: 'started\n' })
      t.match(await run('echo next'), { rc: 0, out: 'next\n' })
      t.ok(performance.now() - begin < 2000, 'nobody waited for it')
    })

    t.test('many in flight, in order', async (t) => {
      const results = await Promise.all(Array.from({ length: 50 }, (_, i) => run(`echo ${i}; exit ${i}`)))
      t.strictSame(
        results.map(({ rc, out }) => [rc, out]),
        results.map((_, i) => [i, `${i}\n`]),
      )
    })

    t.test('a timeout kills the script with its children; what is behind it runs once', async (t) => {
      const before = opened
      const marker = `4${Math.floor(Math.random() * 1e6)}.5`
      const slow = run(`sleep ${marker} & sleep ${marker}; echo no`, { timeoutMs: 200 })
      const behind = run('echo behind')
      await t.rejects(slow, sessionError('timeout'))
      t.match(await behind, { rc: 0, out: 'behind\n' })
      t.equal(opened, before + 1, 'by a new shell')
      const left = spawnSync('pgrep', ['-f', `^sleep ${marker}`], { encoding: 'utf8' }).stdout
      t.equal(left, '', 'no child is left')
    })

    t.test('an abort kills the running script and drops those that wait with it', async (t) => {
      const abort = new AbortController()
      const both = [run('sleep 44', { signal: abort.signal }), run('echo never', { signal: abort.signal })]
      const kept = run('echo kept')
      setTimeout(() => abort.abort(new Error('enough')), 100)
      const settled = await Promise.allSettled(both)
      t.match(settled, [{ reason: { message: 'enough' } }, { reason: { message: 'enough' } }])
      t.match(await kept, { rc: 0, out: 'kept\n' })
      await t.rejects(run('echo', { signal: abort.signal }), { message: 'enough' })
    })

    t.test('a script that kills its shell is lost, the next one is not', async (t) => {
      const lost = run('kill -KILL $$; sleep 5')
      const next = run('echo alive')
      await t.rejects(lost, sessionError('lost'))
      t.match(await next, { rc: 0, out: 'alive\n' })
    })

    t.test('a callback that throws ends its script only', async (t) => {
      const onOutput = () => {
        throw new Error('mine')
      }
      await t.rejects(run('echo a; sleep 30', { onOutput }), { message: 'mine' })
      t.match(await run('echo b'), { rc: 0, out: 'b\n' })
    })
    t.ok(
      groups.every((group) => group > 0),
      'the process group is known',
    )
  })
}

/** `RegExp.escape` is not in the types of every TypeScript that checks this. */
function exactly(text: string): RegExp {
  return new RegExp(`^${text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}$`)
}
