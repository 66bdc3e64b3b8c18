/** Files of the controller that cannot be read are failures of the task, told in its words. */
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ControllerFiles } from '../../src/engine/controller-files.ts'
import { TaskFailure } from '../../src/module/define.ts'
import { makeScope } from '../../src/values/index.ts'

t.test('what cannot be read', { timeout: 30_000 }, async (t) => {
  const folder = t.testdir({ files: { tree: { a: 'a', dangling: t.fixture('symlink', '/no/such/file') } } })
  spawnSync('mkfifo', [join(folder, 'files/pipe')])
  const load = (path: string) =>
    new ControllerFiles().load({ path, kind: 'file', folder: true }, [folder], makeScope([]))
  const failure = (message: RegExp) => ({ name: 'TaskFailure', message })
  await t.rejects(load('tree'), failure(/^the file "tree" on the controller: ENOENT.*dangling/))
  await t.rejects(load('pipe'), failure(/pipe is no regular file/), 'nobody waits for who may write into it')
  await t.rejects(load('none'), TaskFailure)
  rmSync(join(folder, 'files/tree/dangling'))
  writeFileSync(join(folder, 'files/tree/two\nlines'), '')
  await t.rejects(load('tree'), failure(/"[^"]*two\\nlines" has a line break in its name/))
  rmSync(join(folder, 'files/tree/two\nlines'))
  spawnSync('mkfifo', [join(folder, 'files/tree/pipe')])
  t.strictSame(
    (await load('tree')).map(({ relative }) => relative),
    ['', 'a'],
    'of a folder its files',
  )
  t.match(await load('/dev/null'), [{ size: 0 }])
})
