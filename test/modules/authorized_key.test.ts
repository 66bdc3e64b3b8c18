import t from 'tap'
import authorizedKey, { parseLine, withKeys, withoutKeys } from '../../modules/authorized_key.ts'
import type { Module } from '../../src/module/index.ts'
import fc from '../property.ts'
import { table } from './table.ts'

const ED = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5cFGHBu8eJjPB4xkQF8sqKbkoRFGQxd4Jz9B8KHeXz'
const ED2 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
const file = (text: string, over: object = {}) => ({
  ssh: {
    user: 'ops',
    path: '/home/ops/.ssh/authorized_keys',
    inHome: true,
    text,
    fileMode: 0o600,
    folder: { path: '/home/ops/.ssh', mode: 0o700, owner: 'ops' },
    ...over,
  },
})

table(authorizedKey as Module, [
  {
    name: 'there already, whatever its comment',
    args: { user: 'ops', key: ED },
    state: file(`# mine\n\n${ED} kim@desk\n`),
    changes: [],
  },
  {
    name: 'added; neither report nor diff holds a key',
    args: { user: 'ops', key: `${ED} kim` },
    state: file(`${ED2} bo\n`),
    check: ([c]) => {
      if (!/^authorized keys of ops: add SHA256:[A-Za-z0-9+/]{43} kim$/.test(c!.summary)) throw new Error(c!.summary)
      if (JSON.stringify([c!.summary, c!.diff]).includes('AAAAC3')) throw new Error('shows a key')
      if (!c!.script!.includes(`${ED2} bo\n${ED} kim\n`)) throw new Error(c!.script)
    },
  },
  {
    name: 'exclusive removes the others, keeps comments',
    args: { user: 'ops', key: `${ED} kim`, exclusive: true },
    state: file(`# team\n${ED2} bo\n`),
    check: ([c]) => {
      if (!/add SHA256.* kim, remove SHA256.* bo$/.test(c!.summary)) throw new Error(c!.summary)
      if (!c!.script!.includes(`'# team\n${ED} kim\n'`)) throw new Error(c!.script)
    },
  },
  {
    name: 'a file that others may write',
    args: { user: 'ops', key: ED },
    state: file(`${ED}\n`, { fileMode: 0o664 }),
    changes: ['authorized keys of ops: options, comments or permissions'],
  },
  {
    name: 'a folder that root has left behind',
    args: { user: 'ops', key: ED },
    state: file(`${ED}\n`, { folder: { path: '/home/ops/.ssh', mode: 0o700, owner: 'root' } }),
    changes: ['chown ops /home/ops/.ssh'],
  },
  { name: 'no such user', args: { user: 'ops', key: ED }, state: { ssh: undefined }, fails: /no user ops/ },
  {
    name: 'a key cut off',
    args: { user: 'ops', key: ED.slice(0, -8) },
    state: {},
    invalid: /ssh-ed25519 AAAAC3NzaC1l” is cut off/,
  },
  {
    name: 'a private key',
    args: { user: 'ops', key: '-----BEGIN OPENSSH PRIVATE KEY-----' },
    state: {},
    invalid: /is no public key/,
  },
  { name: 'no key at all', args: { user: 'ops', key: '# none\n' }, state: {}, invalid: /holds no key/ },
])

const key = (line: string) => parseLine(line)!
t.same(parseLine(`from="10.0.0.0/8,x y",command="echo \\"hi there\\"" ${ED} a b`), {
  options: 'from="10.0.0.0/8,x y",command="echo \\"hi there\\""',
  type: 'ssh-ed25519',
  blob: ED.split(' ')[1],
  comment: 'a b',
})
const one = { key: [key(ED)], exclusive: false }
t.equal(withKeys(`no-pty ${ED} kim\n${ED} again\n`, one), `no-pty ${ED} kim\n`, 'options stay, repetitions go')
t.equal(withKeys(`no-pty ${ED} kim\n`, { ...one, key_options: '' }), `${ED} kim\n`)
t.equal(withKeys(`${ED2} bo`, one), `${ED2} bo\n${ED}\n`, 'a last line without its end')
t.test('whatever stands in the file, a second look finds nothing to do', async () => {
  const line = fc.oneof(fc.string(), fc.constantFrom(ED, `${ED} x`, `no-pty ${ED2} y`, '# c', ''))
  fc.assert(
    fc.property(
      fc.array(line),
      fc.boolean(),
      fc.option(fc.constant('no-pty'), { nil: undefined }),
      (lines, exclusive, key_options) => {
        const text = lines.map((l) => l.replaceAll('\n', ' ')).join('\n')
        const wanted = { key: [key(`${ED} kim`)], exclusive, key_options }
        const after = withKeys(text, wanted)
        return (
          withKeys(after, wanted) === after &&
          after.includes(ED) &&
          !withoutKeys(after, wanted.key).includes(`${ED.split(' ')[1]!} kim`)
        )
      },
    ),
  )
})
