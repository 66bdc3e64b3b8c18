import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { z } from 'zod'
import { args } from '../../src/module/index.ts'
import { parseMountinfo } from '../../src/module/reads/index.ts'
import fc from '../property.ts'

const rows: [schema: z.ZodType, input: unknown, output: unknown][] = [
  [args.path, '/a//b/', '/a/b'],
  [args.path, '/', '/'],
  [args.path, 'a', /absolute/],
  [args.path, '/a\nb', /line break/],
  [args.target, '/a/', { path: '/a', intoFolder: true }],
  [args.mode, '0644', '0644'],
  [args.mode, 'u+x,go-w', 'u+x,go-w'],
  [args.mode, 644, /quoted string/],
  [args.mode, '', /octal string/],
  [args.mode, '99', /octal string/],
  [args.principal, 0, '0'],
  [args.principal, 'domain users', 'domain users'],
  [args.principal, '-x', /name or a numeric id/],
  [args.principal, 'a:b', /name or a numeric id/],
  [args.boolean, 'yes', /YAML 1.2 yes is a string/],
  [args.words, `a 'b c'`, ['a', 'b c']],
  [args.words, `a 'b`, /not closed/],
  [args.regexp, '(?i)a(?P<x>b)\\Z', /^$/],
  [args.regexp, '[', /Invalid regular expression/],
  [args.url, 'https://h/a b', 'https://h/a%20b'],
  [args.url, 'https://u:p@h/', /url_username/],
  [args.text, 'a\0', /NUL/],
  [args.list(args.path), '/a', ['/a']],
]
for (const [schema, input, output] of rows) {
  t.test(JSON.stringify(input), (t) => {
    const { data, error } = schema.safeParse(input)
    if (data instanceof RegExp) t.same([data.source, data.flags], ['a(?<x>b)$', 'i'])
    else if (output instanceof RegExp) t.match(error?.message ?? 'no error', output)
    else t.same(data, output)
    t.end()
  })
}

t.test('applyMode is what chmod does', (t) => {
  const folder = t.testdir({ file: '', folder: {} })
  const clause = fc
    .tuple(fc.subarray(['u', 'g', 'o']), fc.constantFrom('+', '-', '='), fc.subarray(['r', 'w', 'x', 'X', 's', 't']))
    .map(([who, op, what]) => `${who.join('') || 'a'}${op}${what.join('')}`)
  const modes = fc.array(clause, { minLength: 1, maxLength: 3 }).map((c) => c.join(','))
  const samples = fc.sample(fc.tuple(modes, fc.integer({ min: 0, max: 0o7777 }), fc.boolean()), {
    numRuns: 150,
    seed: 7,
  })
  const wrong: unknown[] = []
  for (const [mode, before, directory] of samples) {
    const path = join(folder, directory ? 'folder' : 'file')
    fs.chmodSync(path, before)
    spawnSync('chmod', [mode, path])
    const real = fs.statSync(path).mode & 0o7777
    const ours = args.applyMode(mode, before, directory)
    if (real !== ours)
      wrong.push([mode, before.toString(8), directory, `chmod ${real.toString(8)}`, `ours ${ours.toString(8)}`])
  }
  t.same(wrong, [])
  t.end()
})

t.test('mountinfo: any text at all', (t) => {
  fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseMountinfo(text))))
  fc.assert(fc.property(fc.stringMatching(/^[0-9: /\\\n-]{0,80}$/), (text) => Array.isArray(parseMountinfo(text))))
  t.end()
})
