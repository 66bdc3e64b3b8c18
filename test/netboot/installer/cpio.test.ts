import { spawnSync } from 'node:child_process'
import t from 'tap'
import { cpio, MODE } from '../../../src/netboot/installer/cpio.ts'

const ENTRIES = [
  { path: 'init', mode: MODE.program, data: Buffer.from('#!/bin/sh\n') },
  { path: 'bin/sh', mode: MODE.link, data: Buffer.from('busybox') },
  { path: 'dev/console', mode: MODE.device, device: [5, 1] as const },
]

t.test('the same bytes in whatever order entries come', async (t) => {
  t.same(cpio(ENTRIES), cpio([...ENTRIES].reverse()))
  t.throws(() => cpio([...ENTRIES, ENTRIES[0]!]), /twice/)
})

t.test('cpio reads it', { skip: spawnSync('busybox', ['true']).error ? 'needs busybox' : false }, async (t) => {
  const { stdout, status } = spawnSync('busybox', ['cpio', '-tv'], { input: cpio(ENTRIES), encoding: 'utf8' })
  t.equal(status, 0)
  const lines = stdout.trim().split('\n')
  t.strictSame(
    lines.map((line) => `${line.split(/\s+/)[0]} ${/\S+( -> \S+)?$/.exec(line)![0]}`),
    ['drwxr-xr-x bin', 'lrwxrwxrwx bin/sh -> busybox', 'drwxr-xr-x dev', 'crw------- dev/console', '-rwxr-xr-x init'],
  )
  t.match(cpio(ENTRIES).toString('latin1'), /0000000500000001[0-9A-F]{16}dev\/console\0/)
  const { stdout: init } = spawnSync('busybox', ['cpio', '-i', '--to-stdout', 'init'], {
    input: cpio(ENTRIES),
    encoding: 'utf8',
  })
  t.equal(init, '#!/bin/sh\n')
})
