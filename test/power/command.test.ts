import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openPower, parsePower } from '../../src/power/config.ts'

/** A script of a site's: a file is the power. */
const SCRIPT = `#!/bin/sh
echo "$HOST $ACTION $OUTLET" >>log
case $ACTION in
  state) cat power ;;
  on) (sleep 0.3; echo on >power) & ;;
  soft-off) echo 'fuse blown' >&2; exit 7 ;;
  hard-off) echo off >power ;;
  boot-pxe) echo pxe >boot ;;
  *) exit 64 ;;
esac
`

t.test("a site's own script", async (t) => {
  const folder = t.testdir({ power: 'off\n', pdu: SCRIPT, env: '' })
  const script = join(folder, 'pdu')
  const settings = (more = {}) => ({ type: 'command', command: ['sh', '-c', `cd '${folder}' && . ./pdu`], ...more })
  const open = (more = {}) =>
    openPower(parsePower('n1', settings(more)), { host: 'n1', folder, note: () => {}, addSecret: () => {} })
  const power = open({ env: { OUTLET: '3' } })
  t.equal(await power.state(), 'off')
  t.equal(await power.on(), 'on', 'it is waited for')
  await t.rejects(power.off({ force: false }), {
    name: 'PowerError',
    kind: 'refused',
    message: /with 7 for ACTION=soft-off: fuse blown/,
  })
  t.equal(await power.off({ force: true }), 'off')
  t.same(await power.bootOnce('pxe'), { target: 'pxe', once: true, notes: [] })
  await t.rejects(power.bootOnce('cd'), { name: 'PowerError', kind: 'unsupported' })
  await power.on()
  await t.rejects(power.reset(), { name: 'PowerError', kind: 'unsupported' })

  writeFileSync(script, 'case $ACTION in state) ;; *) exit 0 ;; esac\n')
  const blind = open()
  t.equal(await blind.on(), 'unknown', 'a script that cannot tell is believed')
  t.equal(await blind.off({ force: true }), 'unknown')
  await t.rejects(blind.cycle({ force: true }), { name: 'PowerError', kind: 'unsupported', message: /not turned on/ })

  writeFileSync(script, 'echo maybe\n')
  await t.rejects(open().state(), { name: 'PowerError', kind: 'protocol', message: /said "maybe"/ })
  writeFileSync(script, 'sleep 30\n')
  await t.rejects(open({ timeout: 0.2 }).state(), {
    name: 'PowerError',
    kind: 'unreachable',
    message: /did not end within 0.2 s/,
  })
  const missing = parsePower('n1', { type: 'command', command: './not-there' })
  const gone = openPower(missing, { host: 'n1', folder, note: () => {}, addSecret: () => {} })
  await t.rejects(gone.state(), { name: 'PowerError', kind: 'refused', message: /not-there cannot be run/ })
})
