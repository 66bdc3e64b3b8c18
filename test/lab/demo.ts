/** `npm run demo`: three lab hosts, site.yml applied twice, and what to look at next. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const PLAYBOOK = 'playbooks/site.yml'
const INVENTORY = 'inventories/lab.yml'

function step(title: string, argv: readonly string[]): void {
  process.stdout.write(`\n\x1b[1m${title}\x1b[0m\n  $ ${argv.join(' ')}\n\n`)
  const [command, ...args] = argv
  const { status } = spawnSync(command!, args, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) {
    process.stderr.write(`\n"${argv.join(' ')}" ended with ${status}; the demo stops here\n`)
    process.exit(status ?? 1)
  }
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
