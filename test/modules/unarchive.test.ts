import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import unarchive from '../../modules/unarchive.ts'
import { apply, converge, inEachShell, modeOf } from './drive.ts'
import { table } from './table.ts'

const dir = { type: 'directory', mode: 0o755 }
table(unarchive, [
  {
    name: 'never unpacked',
    args: { src: '/a.tgz', dest: '/d', remote_src: true },
    state: { dest: dir, archive: { sha256: 'x' } },
    changes: ['unpack a.tgz into /d'],
  },
  {
    name: 'no folder yet',
    args: { src: '/a.tgz', dest: '/d', remote_src: true },
    state: { archive: { sha256: 'x' } },
    changes: ['create folder /d', 'unpack a.tgz into /d'],
  },
  {
    name: 'creates',
    args: { src: '/a.zip', dest: '/d', remote_src: true, creates: '/d/x' },
    state: { creates: dir },
    changes: [],
  },
  {
    name: 'no archive',
    args: { src: '/a.zip', dest: '/d', remote_src: true },
    state: { dest: dir },
    fails: /does not exist on the host/,
  },
  {
    name: 'a file in the way',
    args: { src: '/a.zip', dest: '/d', remote_src: true },
    state: { dest: { type: 'file' } },
    fails: /not a directory/,
  },
  { name: 'unknown kind', args: { src: 'a.rar', dest: '/d' }, state: {}, invalid: /must end in/ },
  {
    name: 'checksum without URL',
    args: { src: 'a.tar', dest: '/d', checksum: 'md5:00' },
    state: {},
    invalid: /goes with a URL/,
  },
])

inEachShell('unarchive', async (t, bench) => {
  t.teardown(forget)
  const before = manifests()
  const tree = join(bench.controller, 'tool-1.0')
  fs.mkdirSync(join(tree, 'bin'), { recursive: true })
  fs.writeFileSync(join(tree, 'bin/tool'), 'tool')
  fs.chmodSync(join(tree, 'bin/tool'), 0o755)
  fs.writeFileSync(join(tree, `odd 'ö" name`), 'odd')
  fs.writeFileSync(join(tree, 'LICENSE'), 'free')
  fs.symlinkSync('tool', join(tree, 'bin/alias'))
  fs.chownSync(join(tree, 'bin/tool'), 1234, 1234)
  const dest = join(bench.host, `a 'dest'`)
  for (const [suffix, flag] of [
    ['tar', ''],
    ['tar.gz', '-z'],
    ['tar.xz', '-J'],
  ] as const) {
    await t.test(suffix, async (t) => {
      const src = `tool.${suffix}`
      execFileSync('tar', [
        '-c',
        ...(flag ? [flag] : []),
        '-f',
        join(bench.controller, src),
        '-C',
        bench.controller,
        'tool-1.0',
      ])
      const busybox = t.fullname.includes('busybox')
      const exclude = busybox ? [] : ['LICENSE']
      const args = { src, dest, strip_components: 1, exclude }
      if (busybox) await t.rejects(apply(bench, unarchive, { ...args, exclude: ['x'] }), /busybox tar cannot exclude/)
      await converge(t, bench, unarchive, args)
      t.equal(fs.readFileSync(join(dest, 'bin/alias'), 'utf8'), 'tool')
      t.equal(fs.readFileSync(join(dest, `odd 'ö" name`), 'utf8'), 'odd')
      t.equal(modeOf(join(dest, 'bin/tool')), '0755')
      t.equal(fs.statSync(join(dest, 'bin/tool')).uid, process.getuid!(), 'not the owner of the archive')
      t.equal(fs.existsSync(join(dest, 'LICENSE')), busybox)
      fs.rmSync(join(dest, `odd 'ö" name`))
      fs.chmodSync(join(dest, 'bin/tool'), 0o700)
      const again = await converge(t, bench, unarchive, args)
      t.match(again.changes[0]?.summary, /differs: .*(bin\/tool|odd)/)
      t.match(again.changes[0]?.diff, { from: /odd 'ö" name/ })
      await converge(t, bench, unarchive, { ...args, owner: 'daemon', group: 1 })
      t.equal(fs.lstatSync(join(dest, 'bin/alias')).uid, 1)
      fs.chownSync(join(dest, 'bin/tool'), 0, 0)
      const mine = await converge(t, bench, unarchive, { ...args, owner: 'daemon', group: 1 })
      t.match(mine.changes[0]?.summary, /differs: bin\/tool\)/)
      t.match(fs.statSync(join(dest, 'bin/tool')), { uid: 1, gid: 1 })
    })
  }

  await t.test('a new version of an archive', async (t) => {
    fs.writeFileSync(join(tree, 'bin/tool'), 'newer')
    execFileSync('tar', ['-cf', join(bench.controller, 'tool.tar'), '-C', bench.controller, 'tool-1.0'])
    await converge(t, bench, unarchive, { src: 'tool.tar', dest, strip_components: 1 })
    t.equal(fs.readFileSync(join(dest, 'bin/tool'), 'utf8'), 'newer')
  })

  await t.test('some of it, from the host', async (t) => {
    const on = join(bench.host, 'part')
    await converge(t, bench, unarchive, {
      src: join(bench.controller, 'tool.tar'),
      dest: on,
      remote_src: true,
      include: 'tool-1.0/LICENSE',
    })
    t.same(fs.readdirSync(join(on, 'tool-1.0')), ['LICENSE'])
  })

  await t.test('zip', async (t) => {
    const zip =
      "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w')\nz.writestr('d/a file', 'one')\nz.writestr('b', 'two')\nz.close()"
    execFileSync('python3', ['-c', zip, join(bench.controller, 'x.zip')])
    const on = join(bench.host, 'zipped')
    await converge(t, bench, unarchive, { src: 'x.zip', dest: on })
    t.equal(fs.readFileSync(join(on, 'd/a file'), 'utf8'), 'one')
    fs.writeFileSync(join(on, 'd/a file'), 'other')
    t.match((await converge(t, bench, unarchive, { src: 'x.zip', dest: on })).changes[0]?.summary, /differs: d\/a file/)
  })

  await t.test('a broken archive is not taken for done', async (t) => {
    const whole = fs.readFileSync(join(bench.controller, 'tool.tar.gz'))
    fs.writeFileSync(join(bench.controller, 'broken.tar.gz'), whole.subarray(0, whole.length - 20))
    const args = { src: 'broken.tar.gz', dest }
    await t.rejects(apply(bench, unarchive, args))
    await t.rejects(apply(bench, unarchive, args), 'the second time too')
    t.notOk(fs.readdirSync(dest).some((f) => f.startsWith('.rb-')))
  })

  await t.test('a URL', async (t) => {
    const bytes = fs.readFileSync(join(bench.controller, 'tool.tar.gz'))
    const server = createServer((_, response) => response.end(bytes))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    const src = `http://127.0.0.1:${(server.address() as AddressInfo).port}/t.tar.gz`
    const on = join(bench.host, 'net')
    const digest = createHash('sha512').update(bytes).digest('hex')
    await t.rejects(
      apply(bench, unarchive, { src, dest: on, checksum: `sha256:${'0'.repeat(64)}` }),
      /expected sha256 000/,
    )
    await converge(t, bench, unarchive, { src, dest: on, checksum: `sha512:${digest}` })
    t.ok(fs.existsSync(join(on, 'tool-1.0/bin/tool')))
  })

  function manifests(): string[] {
    return fs.existsSync('/var/lib/runbook/unarchive') ? fs.readdirSync('/var/lib/runbook/unarchive') : []
  }
  function forget(): void {
    for (const name of manifests()) if (!before.includes(name)) fs.rmSync(`/var/lib/runbook/unarchive/${name}`)
  }
})
