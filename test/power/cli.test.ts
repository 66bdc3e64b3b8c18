/** `runbook power`: what a person reads. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runbook } from '../cli/runbook.ts'

const INVENTORY = `all:
  hosts:
    liar: { runbook_power: { type: command, command: ./liar } }
    bare:
    wrong: { runbook_power: { type: redfsh } }
`

t.test('power', async (t) => {
  const folder = t.testdir({ 'inventory.yml': INVENTORY, liar: '#!/bin/sh\n[ "$ACTION" != state ] || echo on\n' })
  chmodSync(join(folder, 'liar'), 0o755)
  const power = (...args: string[]) => runbook(['power', ...args], folder)

  t.match(await power('status', 'liar', 'bare'), {
    code: 0,
    out: /^liar {2}on\nbare {2}none\n {6}it has no runbook_power/,
  })
  t.match(JSON.parse((await power('status', 'bare', '--json')).out), [{ host: 'bare', power: 'none' }])
  t.match(await power('on', 'liar', 'bare'), {
    code: 3,
    err: /host bare has no runbook_power, so nobody knows how to reach its power/,
  })
  t.match(await power('status', 'wrong', 'liar'), { code: 3, err: /type must be one of redfish, ipmi, wol, command/ })
  t.match(await power('status', 'lier'), { code: 3, err: /did you mean "liar"/ })
  t.match(await power('off', 'liar', '--timeout', '2'), {
    code: 2,
    out: /soft-off was accepted, but after 2 s the host is on\n.*--force cuts the power: runbook power off --force liar/,
  })
  writeFileSync(join(folder, 'liar'), '#!/bin/sh\necho no licence >&2; exit 1\n')
  t.match(await power('status', 'liar'), { code: 2, out: /liar {2}failed .*no licence/ })
})
