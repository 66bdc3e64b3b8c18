/** An edit whose file somebody else changes between our reading and our writing is planned anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import lineinfile from '../../modules/lineinfile.ts'
import { change } from '../../src/module/index.ts'

t.test('the write is refused with STALE, and nothing is lost', async (t) => {
  const folder = t.testdir({ conf: 'a\n' })
  const path = join(folder, 'conf')
  const args = lineinfile.args.parse({ path, line: 'b' })
  const { LocalShell } = await import('../modules/drive.ts')
  const { request } = await import('../../src/engine/request.ts')
  const shell = new LocalShell('dash', folder)
  const read = (lineinfile as import('../../src/module/index.ts').Module).probe(args)
  const before = await request(shell, [], read.asks)
  const state = read.from(read.asks.map(({ id }) => (before.answers.get(id) as { value: unknown }).value))
  const changes = (lineinfile as import('../../src/module/index.ts').Module).plan(args, state)
  writeFileSync(path, 'a\nsomebody else\n')
  const reply = await request(shell, changes, [])
  t.equal(reply.outputs.at(-1)?.rc, change.STALE)
  t.equal(readFileSync(path, 'utf8'), 'a\nsomebody else\n')
})
