import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import blockinfile from '../../modules/blockinfile.ts'
import lineinfile from '../../modules/lineinfile.ts'
import replace from '../../modules/replace.ts'
import type { Module } from '../../src/module/index.ts'
import fc from '../property.ts'
import { apply, converge, inEachShell, modeOf } from './drive.ts'
import { table } from './table.ts'

/** Before, arguments, after. A second run must change nothing. */
function edits(
  module: Module,
  rows: readonly [name: string, before: string, args: object, after: string | RegExp][],
): void {
  for (const [name, before, more, after] of rows) {
    t.test(name, (t) => {
      const args = module.args.parse({ path: '/f', ...more })
      const stat = { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' }
      const plan = (text: string) => module.plan(args, { file: { exists: true, text, stat } })
      if (after instanceof RegExp) {
        t.throws(() => plan(before), { message: after })
        t.end()
        return
      }
      const [change] = plan(before)
      t.equal(change?.diff?.kind === 'text' ? change.diff.after : before, after)
      t.same(plan(after), [], 'nothing to do the second time')
      t.end()
    })
  }
}

edits(replace, [
  ['every match', 'a 1\nb\na 2\n', { regexp: '^a ', replace: 'c ' }, 'c 1\nb\nc 2\n'],
  ['groups, by number and by name', 'x=1\n', { regexp: '(x)=(?<v>\\d)', replace: '\\1: \\g<v>' }, 'x: 1\n'],
  ['over lines', 'a\nb\nc\n', { regexp: 'a\\nb\\n' }, 'c\n'],
  [
    'swap of fstab, as many playbooks do it',
    '/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n#/dev/x none swap sw 0 0\n',
    { regexp: '^([^#].*?\\sswap\\s+sw\\s+.*)$', replace: '# \\1' },
    '/dev/sda1 / ext4 defaults 0 1\n# /dev/sda2 none swap sw 0 0\n#/dev/x none swap sw 0 0\n',
  ],
  ['no match', 'a\n', { regexp: 'b', replace: 'c' }, 'a\n'],
  ['again at every run', 'a\n', { regexp: 'a', replace: 'aa' }, /would be replaced again/],
])

edits(lineinfile, [
  ['adds at the end', 'a\n', { line: 'b' }, 'a\nb\n'],
  ['adds the newline that was missing', 'a', { line: 'b' }, 'a\nb\n'],
  ['to an empty file', '', { line: 'b' }, 'b\n'],
  ['an empty line', 'a\n', { line: '' }, 'a\n\n'],
  ['is there', 'a\nb', { line: 'b' }, 'a\nb'],
  ['replaces the last match', '#P 1\nx\n#P 2\n', { regexp: '^#?P', line: 'P 3' }, '#P 1\nx\nP 3\n'],
  ['replaces the first match', 'P 1\nP 2\n', { regexp: '^P', line: 'P 3', firstmatch: true }, 'P 3\nP 2\n'],
  ['keeps a missing last newline', 'x\nP 1', { regexp: '^P', line: 'P 3' }, 'x\nP 3'],
  ['keeps CRLF', 'P 1\r\nx\r\n', { regexp: '^P', line: 'P 3' }, 'P 3\r\nx\r\n'],
  ['adds with CRLF', 'x\r\n', { line: 'y' }, 'x\r\ny\r\n'],
  ['a line that counts beside the new one', 'P yes\nx\nP no\n', { regexp: '^P yes', line: 'P no' }, 'P no\nx\nP no\n'],
  ['… and a comment', 'P 1\n#P 2\nP 3\n', { regexp: '^#?P [12]', line: 'P 3' }, 'P 3\n#P 2\nP 3\n'],
  ['several of them', 'P 1\nP 2\n', { regexp: '^P [12]', line: 'P 3' }, /would be changed again/],
  ['a line that its pattern does not match', '#P 1\n#P 2\n', { regexp: '^#P', line: 'P 3' }, '#P 1\nP 3\n'],
  ['no match, but there', 'P 3\n', { regexp: '^#P', line: 'P 3' }, 'P 3\n'],
  ['behind a match', 'a\nb\na\nc\n', { line: 'n', insertafter: '^a' }, 'a\nb\na\nn\nc\n'],
  ['behind the first match', 'a\nb\na\nc\n', { line: 'n', insertafter: '^a', firstmatch: true }, 'a\nn\nb\na\nc\n'],
  ['before a match', 'a\nb\n', { line: 'n', insertbefore: '^b' }, 'a\nn\nb\n'],
  ['at the start', 'a\n', { line: 'n', insertbefore: 'BOF' }, 'n\na\n'],
  ['behind nothing: the end', 'a\n', { line: 'n', insertafter: '^z' }, 'a\nn\n'],
  [
    'back references',
    'root:x:1\n',
    { regexp: '^(root):(?P<p>.):', line: '\\1:\\g<p>y:', backrefs: true },
    'root:xy:\n',
  ],
  ['back references without a match', 'a\n', { regexp: '^(b)', line: '\\1', backrefs: true }, 'a\n'],
  ['never the same twice', 'a\n', { regexp: '(a+)', line: '\\1a', backrefs: true }, /changed again at the next run/],
  ['search_string is no pattern', 'a.c\nabc\n', { search_string: 'a.c', line: 'x a.c' }, 'x a.c\nabc\n'],
  ['ignoring case, the Python way', 'PORT 1\n', { regexp: '(?i)^port', line: 'port 2' }, 'port 2\n'],
  ['absent by pattern', 'a 1\nb\na 2', { regexp: '^a', state: 'absent' }, 'b'],
  ['absent by line', 'a\nab\n', { line: 'a', state: 'absent' }, 'ab\n'],
  ['absent, all of them', 'a\na\n', { line: 'a', state: 'absent' }, ''],
])
table(lineinfile, [
  {
    name: 'no file',
    args: { path: '/f', line: 'a' },
    state: { file: { exists: false, text: '' } },
    fails: /create: true/,
  },
  {
    name: 'no file, create',
    args: { path: '/f', line: 'a', create: true, mode: '0600' },
    state: { file: { exists: false, text: '' } },
    changes: ['create /f (0600)'],
  },
  {
    name: 'no file, absent',
    args: { path: '/f', line: 'a', state: 'absent' },
    state: { file: { exists: false, text: '' } },
    changes: [],
  },
  {
    name: 'bad pattern',
    args: { path: '/f', line: 'a', regexp: '(' },
    state: {},
    invalid: /Invalid regular expression/,
  },
  { name: 'two lines', args: { path: '/f', line: 'a\nb' }, state: {}, invalid: /blockinfile/ },
])

t.test('whatever the text: the second run changes nothing', (t) => {
  const line = fc.stringMatching(/^[ab#\\r ]{0,4}$/)
  const texts = fc
    .tuple(fc.array(line, { maxLength: 6 }), fc.boolean())
    .map(([l, end]) => l.join('\n') + (end ? '\n' : ''))
  const patterns = fc.constantFrom('^a', 'b$', '^#?a', '^$', 'a|b', '.')
  const stat = { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' }
  const after = (module: Module, args: unknown, text: string): string => {
    const [change] = module.plan(args, { file: { exists: true, text, stat } })
    return change?.diff?.kind === 'text' ? change.diff.after : text
  }
  const options = fc.record(
    {
      line: line.map((l) => l.replaceAll('\r', '')),
      regexp: patterns,
      state: fc.constantFrom('present', 'absent'),
      firstmatch: fc.boolean(),
      insertafter: patterns,
    },
    { requiredKeys: ['line'] },
  )
  fc.assert(
    fc.property(texts, options, (text, more) => {
      const args = lineinfile.args.parse({ path: '/f', ...more })
      let once: string
      try {
        once = after(lineinfile, args, text)
      } catch (error) {
        // Refused where several lines would become this one, run after run: never where the pattern finds it.
        t.match(error, { message: /would be changed again/ })
        return !new RegExp(more.regexp ?? '').test(more.line)
      }
      return after(lineinfile, args, once) === once
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(texts, texts, patterns, (text, block, insertafter) => {
      const args = blockinfile.args.parse({ path: '/f', block, insertafter })
      const once = after(blockinfile, args, text)
      return after(blockinfile, args, once) === once
    }),
    { numRuns: 500 },
  )
  t.end()
})

const M = { marker: '# {mark} m' }
edits(blockinfile, [
  ['adds', 'a', { ...M, block: 'x\ny' }, 'a\n# BEGIN m\nx\ny\n# END m\n'],
  ['replaces in place', '# BEGIN m\nold\n# END m\nz\n', { ...M, block: 'x\n' }, '# BEGIN m\nx\n# END m\nz\n'],
  ['removes', 'a\n# BEGIN m\nold\n# END m\nz\n', { ...M, state: 'absent' }, 'a\nz\n'],
  ['an empty block removes', '# BEGIN m\nold\n# END m\n', { ...M, block: '' }, ''],
  ['nothing to remove', 'a', { ...M, state: 'absent' }, 'a'],
  ['before a line', 'a\nb\n', { ...M, block: 'x', insertbefore: '^b' }, 'a\n# BEGIN m\nx\n# END m\nb\n'],
  ['at the start', 'a\n', { ...M, block: 'x', insertbefore: 'BOF' }, '# BEGIN m\nx\n# END m\na\n'],
  ['behind a line', 'a\nb\n', { ...M, block: 'x', insertafter: '^a' }, 'a\n# BEGIN m\nx\n# END m\nb\n'],
  ['half a block', 'a\n# BEGIN m\n', { ...M, block: 'x' }, /"# END m" is missing/],
  [
    'takes a block of Ansible over',
    '# BEGIN ANSIBLE MANAGED BLOCK\nold\n# END ANSIBLE MANAGED BLOCK\n',
    { block: 'x' },
    '# BEGIN RUNBOOK MANAGED BLOCK\nx\n# END RUNBOOK MANAGED BLOCK\n',
  ],
])
table(blockinfile, [
  { name: 'marker without {mark}', args: { path: '/f', block: 'a', marker: '# x' }, state: {}, invalid: /\{mark\}/ },
])

inEachShell('lineinfile and blockinfile', async (t, bench) => {
  const path = join(bench.host, `a 'file'`)
  await converge(t, bench, lineinfile, { path, line: `it's $HOME`, create: true, mode: '0640' })
  t.equal(fs.readFileSync(path, 'utf8'), `it's $HOME\n`)
  await converge(t, bench, blockinfile, { path, block: 'überall\n', backup: true })
  t.equal(fs.readdirSync(bench.host).length, 2)
  await converge(t, bench, lineinfile, { path, regexp: '^it', state: 'absent' })
  t.equal(fs.readFileSync(path, 'utf8'), '# BEGIN RUNBOOK MANAGED BLOCK\nüberall\n# END RUNBOOK MANAGED BLOCK\n')
  t.equal(modeOf(path), '0640')
  await t.rejects(apply(bench, lineinfile, { path, line: 'x', validate: 'false %s' }), /validate refused/)
  const other = () => fs.writeFileSync(path, 'of someone else\n')
  await t.rejects(apply(bench, lineinfile, { path, line: 'x' }, other), /: 75: .*changed since it was read/)
  t.equal(fs.readFileSync(path, 'utf8'), 'of someone else\n')
  const fresh = join(bench.host, 'fresh')
  const made = () => fs.writeFileSync(fresh, 'theirs')
  await t.rejects(apply(bench, lineinfile, { path: fresh, line: 'x', create: true }, made), /: 75: /)
  fs.writeFileSync(path, Buffer.from([0xff, 10]))
  await t.rejects(apply(bench, lineinfile, { path, line: 'x' }), /not UTF-8 text/)
  await t.rejects(apply(bench, lineinfile, { path: bench.host, line: 'x' }), /is a directory/)
})
