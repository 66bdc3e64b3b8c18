/** Ways to a host that the other tests do not go: a password for sudo typed at a terminal, certificates, agents, locks. */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { quoteAll } from '../../src/shared/quote.ts'
import { bootLab, LAB_PASSWORD, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf, ROOT, sh } from './support.ts'

t.setTimeout(300_000)

const PLAY = `
- hosts: all
  gather_facts: false
  tasks:
    - name: Who
      shell: id -un >>/srv/who
`

t.test('access', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 1 })
  const inventoryOf = (folder: string, vars: object): string => {
    const path = join(folder, 'inventory.yml')
    const known = {
      ansible_ssh_common_args: `-o UserKnownHostsFile=${lab.knownHostsFile} -o GlobalKnownHostsFile=/dev/null`,
    }
    const hosts = { n1: { ansible_host: lab.hosts[0]!.address } }
    writeFileSync(path, stringify({ all: { hosts, vars: { ...known, ...vars } } }, { lineWidth: 0 }))
    return path
  }

  await t.test('apply -K: a real terminal, a real sudo', async (t) => {
    const folder = folderOf(t, { 'site.yml': PLAY.replace('- hosts', '- become: true\n  hosts') })
    const inventory = inventoryOf(folder, { ansible_user: 'admin', ansible_ssh_private_key_file: lab.privateKeyFile })
    const args = ['apply', join(folder, 'site.yml'), '-i', inventory, '-K']
    const wrong = await atTerminal(args, 'become password:', 'wr0ng-password')
    t.equal(wrong.code, 2, wrong.output)
    t.match(wrong.output, /cannot become "root": the password is wrong/)
    t.equal(await sh(lab, 'n1', 'cat /srv/who 2>/dev/null || echo nobody'), 'nobody\n')

    const right = await atTerminal(args, 'become password:', LAB_PASSWORD)
    t.equal(right.code, 0, right.output)
    t.equal(await sh(lab, 'n1', 'cat /srv/who; rm /srv/who'), 'root\n')
    for (const { output } of [wrong, right]) {
      t.notOk(output.includes('wr0ng-password') || output.includes(LAB_PASSWORD), 'nothing is echoed')
    }
    const journal = readFileSync(join(folder, '.runbook/journal.db'), 'latin1')
    t.notOk(journal.includes(LAB_PASSWORD), 'nor kept')
  })

  await t.test('the system ssh: a certificate, and an agent', async (t) => {
    const folder = folderOf(t, { 'site.yml': PLAY })
    const keygen = (...args: string[]) => t.equal(spawnSync('ssh-keygen', ['-q', ...args], { cwd: folder }).status, 0)
    keygen('-t', 'ed25519', '-N', '', '-f', 'ca')
    keygen('-t', 'ed25519', '-N', '', '-f', 'id')
    keygen('-s', 'ca', '-I', 'operator', '-n', 'ops', '-V', '+1h', 'id.pub')
    const ca = readFileSync(join(folder, 'ca.pub'), 'utf8').trim()
    await sh(
      lab,
      'n1',
      `echo '${ca}' >/etc/ssh/ca.pub; echo 'TrustedUserCAKeys /etc/ssh/ca.pub' >/etc/ssh/sshd_config.d/ca.conf; systemctl reload ssh`,
    )
    const plain = { ansible_connection: 'openssh', ansible_user: 'ops' }

    const byCertificate = inventoryOf(folder, { ...plain, ansible_ssh_private_key_file: join(folder, 'id') })
    const env = { SSH_AUTH_SOCK: '', HOME: folder }
    const first = await apply(join(folder, 'site.yml'), byCertificate, ['-e', 'ansible_become=true'], { env })
    t.equal(first.code, 0, first.stderr + JSON.stringify(first.results))
    t.equal(await sh(lab, 'n1', 'cat /srv/who'), 'root\n')

    // What the inventory names is not there; the agent has it, certificate and all.
    const agent = await agentWith(t, join(folder, 'id'))
    const byAgent = inventoryOf(folder, plain)
    const second = await apply(join(folder, 'site.yml'), byAgent, ['-e', 'ansible_become=true'], {
      env: { SSH_AUTH_SOCK: agent, HOME: join(folder, 'empty') },
    })
    t.equal(second.code, 0, second.stderr + JSON.stringify(second.results))
    t.equal(await sh(lab, 'n1', 'cat /srv/who'), 'root\nroot\n')

    const refused = await apply(join(folder, 'site.yml'), byAgent, [], { env: { ...env, HOME: join(folder, 'empty') } })
    t.equal(refused.code, 4)
    t.match(refused.results[0], { status: 'unreachable', msg: /does not let us in/ })
  })

  await t.test('two runs on one host', async (t) => {
    const folder = folderOf(t, {
      'first.yml': PLAY.replace('id -un >>/srv/who', 'touch /srv/begun; until test -e /srv/go; do sleep 0.1; done'),
      'second.yml': PLAY,
    })
    const asOps = inventoryOf(folder, { ansible_user: 'ops', ansible_ssh_private_key_file: lab.privateKeyFile })
    await sh(lab, 'n1', 'rm -f /srv/go /srv/begun /srv/who; chmod 1777 /srv')
    const first = apply(join(folder, 'first.yml'), asOps, ['-e', 'ansible_become=true'])
    await until(lab, 'test -e /srv/begun')

    // As root, and as one who stays who he is.
    for (const inventory of [lab.inventoryFile, asOps]) {
      const refused = await apply(join(folder, 'second.yml'), inventory)
      t.equal(refused.code, 4)
      t.match(refused.results[0], {
        status: 'unreachable',
        msg: /another run holds this host: run 20\d+-\d+-\w+ of \S+@\S+, pid \d+, since 20[\d-]+ [\d:]+ UTC \(on the host: root, process \d+\)/,
      })
    }
    const waits = apply(join(folder, 'second.yml'), lab.inventoryFile, ['--wait-lock', '2m'], {
      during: (_child, _stdout, stderr) => {
        if (/waiting up to 120 s: another run holds/.test(stderr)) void sh(lab, 'n1', 'touch /srv/go')
      },
    })
    const [one, two] = await Promise.all([first, waits])
    t.strictSame([one.code, two.code], [0, 0], one.stderr + two.stderr)
    t.equal(await sh(lab, 'n1', 'cat /srv/who'), 'root\n')
  })
})

/** Runs the program at a terminal of its own, and types an answer when it is asked. */
async function atTerminal(args: readonly string[], question: string, answer: string) {
  const command = quoteAll([process.execPath, join(ROOT, 'bin/runbook.js'), ...args])
  const env = { ...process.env, RUNBOOK_INVENTORY: '', TERM: 'dumb', NO_COLOR: '1' }
  const child = spawn('script', ['-qec', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  let answered = false
  child.stdout.setEncoding('utf8').on('data', async (chunk: string) => {
    output += chunk
    if (answered || !output.includes(question)) return
    answered = true
    // What is typed before the terminal is in raw mode it would echo by itself.
    await sleep(500)
    child.stdin.write(`${answer}\r`)
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, output }
}

/** An agent that holds a key and its certificate; the path of its socket. It goes with the test. */
async function agentWith(t: Test, key: string): Promise<string> {
  const socket = `${key}.agent`
  const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
  t.teardown(() => child.kill())
  const env = { ...process.env, SSH_AUTH_SOCK: socket }
  for (let n = 0; spawnSync('ssh-add', ['-q', key], { env }).status !== 0; n++) {
    if (n > 100) throw new Error('the agent does not come up')
    await sleep(50)
  }
  return socket
}

async function until(lab: Lab, condition: string): Promise<void> {
  await sh(lab, 'n1', `n=600; until ${condition}; do n=$((n - 1)); [ $n -gt 0 ] || exit 1; sleep 0.1; done`)
}
