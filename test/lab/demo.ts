/**
 * `npm run demo`: three lab hosts, site.yml applied twice, and what to look at next. `-- kubernetes`: a cluster of them; `-- netboot`: a
 * machine that is installed from nothing.
 */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { ROOT, step } from './demo-step.ts'

const PLAYBOOK = 'playbooks/site.yml'
const INVENTORY = 'inventories/lab.yml'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { name: { type: 'string' } } })
if (positionals[0] === 'kubernetes') {
  const { kubernetesDemo } = await import('./kubernetes/demo.ts')
  await kubernetesDemo(values.name ?? 'kubernetes')
  process.exit(0)
}
if (positionals[0] === 'netboot') {
  await import('./netboot-demo.ts')
  process.exit(0)
}
if (positionals.length > 0) {
  process.stderr.write('npm run demo, npm run demo -- netboot, or npm run demo -- kubernetes [--name LAB]\n')
  process.exit(3)
}

const { stdout } = spawnSync('npm', ['run', '-s', 'lab', '--', 'status'], { cwd: ROOT, encoding: 'utf8' })
if (/^lab\b/m.test(stdout)) step('A lab is up from before; it goes first', ['npm', 'run', '-s', 'lab', '--', 'down'])
step('Three hosts with systemd and sshd', ['npm', 'run', '-s', 'lab', '--', 'up', '3'])
step('Apply the playbook', ['npx', 'runbook', 'apply', PLAYBOOK, '-i', INVENTORY])
step('Apply it again: nothing is left to do', ['npx', 'runbook', 'apply', PLAYBOOK, '-i', INVENTORY])
process.stdout.write(`
Look around:
  npm run lab -- ssh 1                                            log in to the first host
  npx runbook plan ${PLAYBOOK} -i ${INVENTORY}        what would change, with diffs
  npx runbook run all command cmd=uptime -i ${INVENTORY}  one module on all hosts
  npx runbook history                                             the runs so far
Change something on a host (rm /etc/runbook/node) and apply again.
Take the hosts down:
  npm run lab -- down
`)
