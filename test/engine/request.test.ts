/** What one request sends and how its answer is read, against a real sh. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { request } from '../../src/engine/request.ts'
import type { Change } from '../../src/module/change.ts'
import { type AskKind, ask, type Read, ReadError } from '../../src/module/read.ts'
import { makeConnection } from '../../src/session/connection.ts'
import { openLocal } from '../../src/session/local.ts'
import { quote } from '../../src/shared/quote.ts'
import fc from '../property.ts'
import { FakeHost, key, modules } from './world.ts'

const connection = makeConnection(openLocal('h'))
t.teardown(() => connection.close())
const shell = await connection.shell()

/** Prints bytes, given as octal, and ends with a status. */
const bytesKind: AskKind<{ bytes: number[]; rc: number }, { out: string; rc: number }> = {
  name: 'bytes',
  reads: () => [],
  sections: (keys) => keys.length,
  script: (keys) => keys.map(({ bytes, rc }) => `printf '${octal(bytes)}'; (exit ${rc}); rb_mark\n`).join(''),
  parse: (sections) => sections.map(({ out, rc }) => ({ out: out.toString('latin1'), rc })),
}

const octal = (bytes: readonly number[]): string => bytes.map((b) => `\\${b.toString(8).padStart(3, '0')}`).join('')
const change = (script: string, more: Partial<Change> = {}): Change => ({
  summary: script,
  touches: [],
  script,
  ...more,
})

t.test('any bytes come back as they were, changes and answers apart', async () => {
  const bytes = fc.array(fc.oneof(fc.nat(255), fc.constantFrom(0x1e, 0x0a, 0x20)), { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { maxLength: 3 }), fc.array(bytes, { maxLength: 3 }), async (outs, asked) => {
      const changes = outs.map((b) => change(`printf '${octal(b)}'; printf '${octal(b)}' >&2`))
      const reads = asked.map((b, i) => ask(bytesKind, { bytes: b, rc: i }))
      const { outputs, answers } = await request(
        shell,
        changes,
        reads.flatMap((r) => r.asks),
      )
      outs.forEach((b, i) => {
        if (!outputs[i]!.stdout.equals(Buffer.from(b)) || !outputs[i]!.stderr.equals(Buffer.from(b)))
          throw new Error(`change ${i}`)
      })
      for (const r of reads) {
        const answer = answers.get(r.asks[0]!.id)!
        const { bytes, rc } = r.asks[0]!.key as { bytes: number[]; rc: number }
        if (!('value' in answer)) throw new Error('no answer')
        const { out, rc: got } = answer.value as { out: string; rc: number }
        if (out !== Buffer.from(bytes).toString('latin1') || got !== rc) throw new Error('answer')
      }
    }),
    { numRuns: 40 },
  )
})

t.test('the first change that fails is the last', async (t) => {
  const asks = ask(bytesKind, { bytes: [65], rc: 0 }).asks
  const stopped = await request(shell, [change('echo a'), change('exit 3'), change('echo c')], asks)
  t.strictSame(
    stopped.outputs.map((o) => o.rc),
    [0, 3],
  )
  t.equal(stopped.answers.size, 0)
  const fine = await request(shell, [change('exit 3', { okCodes: [0, 3] }), change('echo c')], asks)
  t.strictSame(
    fine.outputs.map((o) => [o.rc, String(o.stdout)]),
    [
      [3, ''],
      [0, 'c\n'],
    ],
  )
  t.equal(fine.answers.size, 1)
})

t.test('a change cannot reach what stands around it', async (t) => {
  for (const [script, rc] of [
    ['set -e; false', 1],
    ['exit 0', 0],
    ['cd /; RB_N=x; rb_mark() { :; }', 0],
    ['cat', 0],
    ['exec 1>&-', 0],
    [`printf '\\036'; kill -9 $(sh -c 'echo $PPID')`, 137],
  ] as const) {
    const { outputs } = await request(shell, [change(script)], [])
    t.equal(outputs[0]?.rc, rc, script)
  }
  await t.rejects(request(shell, [change('if')], []), ReadError, 'a script that is no sh')
  const { answers } = await request(shell, [], ask(bytesKind, { bytes: [66], rc: 0 }).asks)
  t.equal(answers.size, 1, 'the shell is as good as before')
})

t.test('questions: each once, and errors belong to those who asked', async (t) => {
  const host = new FakeHost('h1')
  host.keys.set('a', '1')
  const fake = await host.connect().shell()
  const reads: Read<unknown>[] = [key('a'), key('!x'), key('a'), key('b')]
  const { answers } = await request(
    fake,
    [],
    reads.flatMap((r) => r.asks),
  )
  t.match(
    [...answers],
    [
      ['key "a"', { value: '1' }],
      ['key "!x"', { error: ReadError }],
      ['key "b"', { value: undefined }],
    ],
  )
})

t.test('the fake host does what sh does', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'engine-world-'))
  try {
    const names = fc.constantFrom('a', 'b', "it's")
    const one = fc.oneof(
      fc.record({ is: fc.constant('set' as const), key: names, value: fc.constantFrom('', '1', 'x y', "'") }),
      fc.record({ is: fc.constant('cmd' as const), say: fc.constantFrom('s', "'"), rc: fc.constantFrom(0, 0, 1) }),
    )
    let n = 0
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 4 }), fc.array(names), async (todo, asked) => {
        const home = join(folder, String(n++))
        const changes = todo.flatMap((it) =>
          it.is === 'set'
            ? modules.set.plan({ key: it.key, value: it.value }, { now: undefined })
            : modules.cmd.plan({ say: it.say, rc: it.rc }, {}),
        )
        const asks = asked.flatMap((k) => key(k).asks)
        const fake = await request(await new FakeHost('h').connect().shell(), changes, asks)
        const real = await request(
          { ...shell, run: (text, options) => shell.run(`T=${quote(home)}; mkdir -p "$T"; ${text}`, options) },
          changes,
          asks,
        )
        const plain = (r: typeof fake) =>
          JSON.stringify([r.outputs.map((o) => [o.rc, String(o.stdout), String(o.stderr)]), [...r.answers]])
        if (plain(fake) !== plain(real)) throw new Error(`${plain(fake)} is not ${plain(real)}`)
      }),
      { numRuns: 40 },
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})
