/** What another user has put into a folder such as /tmp is not read for being there. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { varsFolders } from '../../src/inventory/vars-files.ts'
import { openDatabase } from '../../src/shared/database.ts'
import { refusePlanted } from '../../src/shared/planted.ts'

const skip = process.getuid?.() === 0 ? false : 'only root can make files of other users'
const STRANGER = 65534

function folder(t: Test, mode: number): string {
  const path = mkdtempSync(join(tmpdir(), 'runbook-planted-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  chmodSync(path, mode)
  return path
}

t.test('whose files are taken', { skip }, async (t) => {
  const [common, own] = [folder(t, 0o1777), folder(t, 0o777)]
  const taken = (path: string): boolean => {
    try {
      refusePlanted(path, 'x')
      return true
    } catch (error) {
      t.match(error, { message: /belongs to another user \(65534\).*\n {2}remove it, or x/ })
      return false
    }
  }
  for (const at of [common, own]) {
    mkdirSync(join(at, 'mine'))
    mkdirSync(join(at, 'theirs'))
    chownSync(join(at, 'theirs'), STRANGER, STRANGER)
    symlinkSync('mine', join(at, 'their link'))
    lchownSync(join(at, 'their link'), STRANGER, STRANGER)
    symlinkSync('theirs', join(at, 'my link'))
  }
  const table = { mine: true, theirs: false, 'their link': false, 'my link': false, none: true }
  for (const [name, expected] of Object.entries(table)) t.equal(taken(join(common, name)), expected, name)
  for (const name of Object.keys(table)) t.ok(taken(join(own, name)), `${name}: who may write there may replace all`)
  chownSync(common, STRANGER, STRANGER)
  t.ok(taken(join(common, 'theirs')), 'of the owner of the folder')
})

t.test('.runbook, group_vars and an inventory that was not named', { skip }, async (t) => {
  const common = folder(t, 0o1777)
  for (const name of ['.runbook', 'group_vars']) {
    mkdirSync(join(common, name))
    chownSync(join(common, name), STRANGER, STRANGER)
  }
  t.throws(() => openDatabase(common, 'a.db', ['']), /\.runbook belongs to another user/)
  t.notOk(existsSync(join(common, '.runbook/a.db')))
  t.throws(() => varsFolders(common), /group_vars belongs to another user/)
  const [marker, inventory] = [join(common, 'ran'), join(common, 'inventory')]
  writeFileSync(inventory, `#!/bin/sh\ntouch '${marker}'; echo '{}'\n`, { mode: 0o755 })
  chownSync(inventory, STRANGER, STRANGER)
  const runbook = join(import.meta.dirname, '../../bin/runbook.js')
  const ran = spawnSync(process.execPath, [runbook, 'inventory', 'list'], { cwd: common, encoding: 'utf8' })
  t.match(ran, {
    status: 3,
    stderr: /inventory belongs to another user.*\n {2}remove it, or name the inventory with -i/,
  })
  t.notOk(existsSync(marker), 'it was not run')
})
