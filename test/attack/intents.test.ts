import { readFileSync } from 'node:fs'
import t from 'tap'
import { memoryJournal } from '../../src/journal/open.ts'
import { runHere } from './here.ts'

const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/** A reboot of this machine is none: its command does nothing, so the host never comes back from it. */
const reboot = (folder: string) => ({
  reboot: { reboot_command: `touch ${folder}/rebooted`, reboot_timeout: 2, connect_timeout: 1 },
})

t.test('a reboot that came to its end is not taken for the one that a later run wants', async (t) => {
  const folder = t.testdir({})
  const journal = memoryJournal()
  // What a run that was killed behind its reboot leaves.
  journal.intent('killed', 'here', 'reboot', { boot_id: 'another boot' })
  t.match(await runHere(folder, [reboot(folder)], { journal }), { trace: ['reboot changed'] }, 'it has happened')
  t.equal(journal.intent('now', 'here', 'reboot', {}), undefined, 'and is closed')
  journal[Symbol.dispose]()
})

t.test('a reboot that failed stays open', async (t) => {
  const folder = t.testdir({})
  const journal = memoryJournal()
  const { results } = await runHere(folder, [reboot(folder)], { journal })
  t.match(results, [{ status: 'failed', msg: /did not come back/ }])
  t.match(journal.intent('next', 'here', 'reboot', {}), { boot_id: readFileSync(BOOT_ID, 'utf8').trim() })
  journal[Symbol.dispose]()
})
