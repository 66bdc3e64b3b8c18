import fs from 'node:fs'
import { join } from 'node:path'
import { type Answers, request } from '../../src/engine/request.ts'
import { all, type Read, ReadError, read } from '../../src/module/index.ts'
import { inEachShell } from '../modules/drive.ts'
import fc from '../property.ts'

const from = <T>(answers: Answers, r: Read<T>): T =>
  r.from(
    r.asks.map(({ id }) => {
      const answer = answers.get(id)!
      if ('error' in answer) throw answer.error
      return answer.value
    }),
  )

inEachShell('many reads in one request, one of them impossible', async (t, { shell, host }) => {
  const at = (name: string) => join(host, name)
  fs.writeFileSync(at('file'), 'text')
  fs.symlinkSync('file', at('link'))
  fs.symlinkSync('loop', at('loop'))
  fs.mkdirSync(at('folder'))
  const reads = {
    own: read.stat(at('link')),
    followed: read.stat(at('link'), { follow: true }),
    loop: read.stat(at('loop'), { follow: true }),
    none: read.stat(at('none')),
    below: read.stat(at('file/below'), { follow: true }),
    text: read.text(at('file')),
    folder: read.content(at('folder')),
    same: read.content(at('link'), { expect: '982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1' }),
    link: read.link(at('loop')),
    tree: read.tree(host),
  }
  const { answers } = await request(shell, [], all(reads).asks)
  t.equal(from(answers, reads.own)?.type, 'link')
  t.equal(from(answers, reads.followed)?.type, 'file')
  t.throws(() => from(answers, reads.loop), ReadError)
  t.equal(from(answers, reads.none), undefined)
  t.equal(from(answers, reads.below), undefined)
  t.equal(from(answers, reads.text).text, 'text')
  t.equal(from(answers, reads.folder), undefined)
  t.equal(from(answers, reads.same)?.content, undefined, 'the expected content is not brought')
  t.equal(from(answers, reads.link), 'loop')
  t.equal(
    from(answers, reads.tree).reduce((sum, e) => sum + e.count, 0),
    5,
  )
})

inEachShell('a path with any characters', async (t, { shell, host }) => {
  const names = fc
    .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
    .filter((n) => !/[/\0\n]/.test(n) && n !== '.' && n !== '..' && Buffer.from(n).toString() === n)
  const samples = [
    ...new Set(fc.sample(names, { numRuns: 60, seed: 3 })),
    '-n',
    '--',
    `'"`,
    '*',
    ' ',
    '$(x)',
    '~',
    'a\\x2db',
    'x  y',
    'y',
  ]
  for (const name of samples) fs.writeFileSync(join(host, name), name)
  const reads = samples.map((name) => all({ stat: read.stat(join(host, name)), text: read.text(join(host, name)) }))
  const { answers } = await request(
    shell,
    [],
    reads.flatMap((r) => r.asks),
  )
  const wrong = samples.filter((name, i) => {
    const { stat, text } = from(answers, reads[i]!)
    return stat?.type !== 'file' || text.text !== name
  })
  t.same(wrong, [])
})

inEachShell('more paths than a command line holds', async (t, { shell, host }) => {
  const name = (i: number) => join(host, `${String(i).padStart(5, '0')}${'x'.repeat(140)}`)
  for (let i = 0; i < 500; i++) fs.writeFileSync(name(i), `${i}`)
  // The last ones are not there.
  const stats = Array.from({ length: 16_000 }, (_, i) => read.stat(name(i)))
  const contents = Array.from({ length: 501 }, (_, i) => read.content(name(i)))
  const { answers } = await request(
    shell,
    [],
    [...stats, ...contents].flatMap(({ asks }) => asks),
  )
  t.equal(stats.filter((one) => from(answers, one)?.type === 'file').length, 500)
  t.strictSame(
    contents.map((one) => from(answers, one)?.content?.toString()),
    [...Array.from({ length: 500 }, (_, i) => `${i}`), undefined],
  )
})
