import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { junitFile } from '../../src/report/junit.ts'
import { UserError } from '../../src/shared/errors.ts'
import type { RunEvent, Status } from '../../src/shared/events.ts'
import { result } from '../journal/events.ts'
import fc from '../property.ts'

const STARTED: RunEvent = { type: 'run_started', run: 'r1', at: 1, playbooks: ['site.yml'], check: false }

interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: Element[]
  text: string
}

/** A strict reader of what XML we write; throws for anything else. */
function parse(xml: string): Element {
  const root: Element = { name: '', attributes: {}, children: [], text: '' }
  const stack = [root]
  const plain = (text: string): string => {
    if (/[<>]|&(?!(amp|lt|gt|quot|#9|#10);)/.test(text)) throw new Error(`not escaped: ${text}`)
    // XML 1.0, section 2.2.
    if (!/^[\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]*$/u.test(text)) throw new Error('no XML Char')
    const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#9': '\t', '#10': '\n' }
    return text.replace(/&([^;]+);/g, (_, name: string) => entities[name]!)
  }
  const token = /<\?xml version="1\.0" encoding="UTF-8"\?>\n|<(\/?)([a-z-]+)((?: [a-z]+="[^"<]*")*)(\/?)>|([^<]+)/gy
  while (token.lastIndex < xml.length) {
    const match = token.exec(xml)
    if (!match) throw new Error('not well-formed')
    const [, close, name, attributes = '', empty, text] = match
    const at = stack.at(-1)!
    if (text !== undefined) at.text += plain(text)
    if (name === undefined) continue
    if (close) {
      if (stack.pop()!.name !== name) throw new Error(`</${name}> closes another`)
      continue
    }
    const pairs = [...attributes.matchAll(/ ([a-z]+)="([^"]*)"/g)].map(([, key, value]) => [key!, plain(value!)])
    const element: Element = { name, attributes: Object.fromEntries(pairs), children: [], text: '' }
    at.children.push(element)
    if (!empty) stack.push(element)
  }
  if (stack.length !== 1 || root.children.length !== 1) throw new Error('not one document')
  return root.children[0]!
}

function write(folder: string, events: readonly RunEvent[], name = 'junit.xml'): Element {
  const path = join(folder, name)
  const file = junitFile(path)
  for (const event of [STARTED, ...events]) file.event(event)
  file.close((text) => t.fail(text))
  return parse(readFileSync(path, 'utf8'))
}

t.test('suites, cases and what is in them', async (t) => {
  const folder = t.testdir({})
  const all: Status[] = ['ok', 'changed', 'skipped', 'failed', 'ignored', 'rescued', 'unreachable']
  const events = all.map((status) => result({ status, task: status, msg: `it is ${status}`, elapsedMs: 1500 }))
  const root = write(folder, [
    ...events,
    result({ host: 'h2', changes: [{ summary: 'write /etc/motd' }], elapsedMs: 20, handler: true }),
    result({
      playId: '1',
      play: 'Join',
      status: 'failed',
      module: 'command',
      msg: '',
      cmd: 'kubeadm join',
      rc: 1,
      stdout: 'out',
      stderr: '\u001b[31mred\u0000 <&"\nline',
    }),
  ])
  t.match(root, { name: 'testsuites', attributes: { name: 'runbook r1', tests: '9', failures: '2', errors: '1' } })
  t.equal(root.attributes.time, '10.532')
  t.match(
    root.children.map(({ attributes }) => attributes),
    [
      { name: 'Prepare [h1]', hostname: 'h1', tests: '7', failures: '1', errors: '1', skipped: '1', time: '10.500' },
      { name: 'Prepare [h2]', tests: '1', failures: '0', timestamp: '2023-11-14T22:13:19' },
      { name: 'Join [h1]', tests: '1', failures: '1' },
    ],
  )
  const [first, second, third] = root.children
  t.match(first!.children[0], { name: 'testcase', attributes: { name: 'ok', classname: 'Prepare.h1', time: '1.500' } })
  t.same(
    first!.children.map(({ children }) => children.map(({ name }) => name).join()),
    ['', '', 'skipped', 'failure', 'system-out', 'system-out', 'error'],
  )
  t.match(first!.children[2]!.children[0], { attributes: { message: 'it is skipped' } })
  t.match(first!.children[5]!.children[0], { text: /^rescued: it is rescued/ })
  t.match(second!.children[0], { attributes: { name: 'handler Kernel parameters' } })
  t.match(second!.children[0]!.children[0], { name: 'system-out', text: 'write /etc/motd' })
  t.same(third!.children[0]!.children[0], {
    name: 'failure',
    attributes: { message: 'command failed', type: 'command' },
    children: [],
    text: 'at site.yml:7:5\ncmd: kubeadm join\nrc: 1\nstdout:\nout\nstderr:\n[31mred <&"\nline',
  })
})

t.test('whatever a host prints, it is XML, and the text that XML can hold is kept', async (t) => {
  const folder = t.testdir({})
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom('\u0000', '\u001b', ']]>', '<', '&', '"', '\ud800', '\uffff', '\n', '\t', 'é', '😀'),
    }),
  )
  fc.assert(
    fc.property(text, text, (task, stderr) => {
      const root = write(folder, [result({ status: 'failed', task, stderr, msg: 'm' })])
      const kept = (s: string): string =>
        [...s.replaceAll('\r\n', '\n')]
          .filter((c) => /^[\t\n\u{20}-\u{7E}\u{A0}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]$/u.test(c))
          .join('')
      const [testcase] = root.children[0]!.children
      t.equal(testcase!.attributes.name, kept(task))
      t.ok(testcase!.children[0]!.text.includes(kept(stderr)))
    }),
    { numRuns: 200 },
  )
})

t.test('the file: refused at once when it cannot be written, replaced whole, left when no run began', async (t) => {
  const folder = t.testdir({})
  t.throws(() => junitFile(join(folder, 'no/such.xml')), UserError)
  const path = join(folder, 'junit.xml')
  writeFileSync(path, 'old')
  junitFile(path).close((text) => t.fail(text))
  t.equal(readFileSync(path, 'utf8'), 'old')
  t.same(readdirSync(folder), ['junit.xml'])
  write(folder, [])
  t.match(readFileSync(path, 'utf8'), /tests="0"/)
  t.same(readdirSync(folder), ['junit.xml'])
  symlinkSync('junit.xml', join(folder, 'link.xml'))
  write(folder, [], 'link.xml')
  t.ok(lstatSync(join(folder, 'link.xml')).isSymbolicLink(), 'a link stays one')
  rmSync(join(folder, 'link.xml'))
  mkdirSync(join(folder, 'taken'))
  const warnings: string[] = []
  const late = junitFile(join(folder, 'taken'))
  late.event(STARTED)
  late.close((text) => warnings.push(text))
  t.match(warnings, [/--junit .*taken cannot be written/], 'at the end: a warning')
  t.same(readdirSync(folder).toSorted(), ['junit.xml', 'taken'])
})

t.test('a pipe, a device and a link such as /dev/stdout are written into, and stay', async (t) => {
  const folder = t.testdir({ log: 'before\n' })
  const through = (name: string): void => {
    const file = junitFile(join(folder, name))
    file.event(STARTED)
    file.close((text) => t.fail(text))
  }
  spawnSync('mkfifo', [join(folder, 'pipe')])
  const reader = spawn('cat', [join(folder, 'pipe')])
  let read = ''
  reader.stdout.on('data', (chunk: Buffer) => {
    read += chunk
  })
  through('pipe')
  await once(reader, 'close')
  t.equal(parse(read).attributes.tests, '0')
  t.ok(lstatSync(join(folder, 'pipe')).isFIFO())

  const stdout = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { junitFile } from ${JSON.stringify(join(import.meta.dirname, '../../src/report/junit.ts'))}
      const file = junitFile('/proc/self/fd/1')
      file.event(${JSON.stringify(STARTED)})
      file.close(console.error)`,
    ],
    { encoding: 'utf8' },
  )
  t.equal(stdout.stderr, '')
  t.equal(parse(stdout.stdout).attributes.tests, '0')

  if (spawnSync('mknod', ['-m', '666', join(folder, 'null'), 'c', '1', '3']).status !== 0) return
  try {
    through('null')
  } catch (error) {
    // A file system without devices (nodev).
    t.match(error, UserError)
  }
  t.ok(lstatSync(join(folder, 'null')).isCharacterDevice())
})
