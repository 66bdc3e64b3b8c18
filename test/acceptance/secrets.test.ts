/** Secrets show nowhere: not in any output, not in the journal, not on a command line of controller or host. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { initOf } from '../lab/host.ts'
import { bootLab, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { folderOf, runbook, sh } from './support.ts'

t.setTimeout(300_000)

// Made from parts, so that this file's own text is no find.
const made = (name: string) => `${name}-${createHash('sha256').update(name).digest('hex').slice(0, 20)}`
const SECRETS = {
  become: made('Become'),
  content: made('Content'),
  printed: made('Printed'),
  argument: made('Argument'),
  environment: made('Environment'),
  failed: made('Failed'),
  hashed: made('Hashed'),
  token: made('Token'),
}

/** Prints a secret 40,000 times, so that every place in a chunk is met: lines of 37 characters beside chunks of 2^n. */
const PLAYBOOK = `
- name: Secrets
  hosts: all
  become: true
  tasks:
    - name: Content
      copy: { dest: /srv/secret/content, content: "{{ content }}\\n", mode: '0600' }
      no_log: true
    - name: Argument
      shell: test "{{ argument }}" != x
      no_log: true
      changed_when: false
    - name: Environment
      shell: test -n "$TOKEN"
      environment: { TOKEN: "{{ environment_secret }}" }
      no_log: true
    - name: Printed
      shell: cat /srv/printed
      register: printed
      changed_when: false
      no_log: true
    - name: Large output
      shell: i=0; s=$(cat /srv/printed); while [ $i -lt 40000 ]; do echo "$s"; i=$((i+1)); done
    - name: Shown by mistake
      debug: { msg: "it is {{ printed.stdout }}" }
    - name: In a name {{ printed.stdout }}
      file: { path: /srv/secret/named, state: touch, mode: '0600' }
    - name: Fails
      shell: echo "{{ failed }}"; echo "{{ failed }}" >&2; exit 3
      no_log: true
      ignore_errors: true
    - name: Loop
      command: test -n {{ item }}
      loop: ["{{ failed }}"]
      no_log: true
      changed_when: false
    - name: Wrong value
      file: { path: "/srv/secret/x", state: "{{ printed.stdout }}" }
      ignore_errors: true
    - name: Every other way to a host
      block:
        - user: { name: somebody, password: "$6$salt$x{{ hashed }}", update_password: always }
        - uri: { url: "http://127.0.0.1:9/", headers: { Authorization: "Bearer {{ token }}" }, timeout: 2 }
          ignore_errors: true
        - uri: { url: "http://127.0.0.1:9/", method: POST, url_username: me, url_password: "{{ token }}", body: "{{ token }}" }
          ignore_errors: true
        - get_url: { url: "http://127.0.0.1:9/x", dest: /srv/secret/got, headers: { X-Token: "{{ token }}" } }
          ignore_errors: true
        - lineinfile: { path: /srv/secret/lines, line: "key={{ token }}", regexp: ^key=, create: true, mode: '0600' }
        - lineinfile: { path: /srv/secret/lines, line: "key={{ token }}", search_string: "{{ token }}" }
        - blockinfile: { path: /srv/secret/lines, block: "{{ token }}" }
        - ini_file: { path: /srv/secret/ini, section: a, option: b, value: "{{ token }}", mode: '0600' }
        - cron: { name: secret, special_time: yearly, job: "true {{ token }}" }
        - command: { argv: [cat], stdin: "{{ token }}" }
        - authorized_key: { user: ops, key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFL7Ct4TJV3mCFYbI9oj2gGGNGDXGXJWI3D1Nrn0L8bX {{ token }}" }
        - set_fact: { kept: "{{ token }}" }
        - copy: { dest: "/srv/secret/looped-{{ item.n }}", content: "{{ item.value }}", mode: '0600' }
          loop: [{ n: 1, value: "{{ kept }}" }]
        - preflight: { kubernetes_version: v1.34.1, role: worker, registries: { docker.io: { mirrors: ["http://mirror.invalid"] } }, http_proxy: "http://me:{{ token }}@127.0.0.1:9" }
          ignore_errors: true
        - wait_for: { path: /srv/secret/lines, search_regex: "{{ token }}", timeout: 5 }
      no_log: true
    - name: Undefined
      copy: { dest: /srv/secret/y, content: "{{ failed }} {{ nothing_of_that_name }}" }
      no_log: true
      ignore_errors: true
`

/** A path is an argument of stat, chmod and mv, and stands in its folder: only what we print can be kept free of it. */
const IN_A_PATH = `
- name: In a path
  hosts: all
  become: true
  tasks:
    - command: cat /srv/printed
      register: printed
      changed_when: false
      no_log: true
    - file: { path: "/srv/secret/{{ printed.stdout }}", state: touch, mode: '0600' }
    - file: { path: "/srv/secret/{{ printed.stdout }}", state: link, src: /nowhere }
      ignore_errors: true
`

t.test('secrets', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 1 })
  await lab.exec('n1', ['chpasswd'], { input: `admin:${SECRETS.become}\n` })
  await sh(lab, 'n1', 'mkdir -m 755 -p /srv/secret')
  await lab.exec('n1', ['sh', '-c', 'umask 077; cat >/srv/printed'], { input: SECRETS.printed })
  const inventory = {
    all: {
      hosts: { n1: { ansible_host: lab.hosts[0]!.address } },
      vars: {
        ansible_user: 'admin',
        ansible_become_password: SECRETS.become,
        ansible_ssh_private_key_file: lab.privateKeyFile,
        ansible_ssh_common_args: `-o UserKnownHostsFile=${lab.knownHostsFile} -o GlobalKnownHostsFile=/dev/null`,
        content: SECRETS.content,
        argument: SECRETS.argument,
        environment_secret: SECRETS.environment,
        failed: SECRETS.failed,
        hashed: SECRETS.hashed,
        token: SECRETS.token,
      },
    },
  }
  const folder = folderOf(t, {
    'inventory.yml': stringify(inventory, { lineWidth: 0 }),
    'site.yml': PLAYBOOK,
    'path.yml': IN_A_PATH,
  })
  const seen = join(folder, 'seen')
  // Every program that the host starts, on the way to it and back, however short it lives.
  const executed = join(folder, 'executed')
  const tracer = spawn(
    'strace',
    [
      '-f',
      '-qq',
      '-e',
      'trace=execve',
      '-e',
      'signal=none',
      '-s',
      '65536',
      '-o',
      executed,
      '-p',
      String(await sshdOf(lab)),
    ],
    { stdio: 'ignore' },
  )
  t.teardown(() => void tracer.kill())
  // Programs of the controller, as often as it can be looked at.
  const sampler = spawn('sh', ['-c', 'while sleep 0.01; do cat /proc/[0-9]*/cmdline; done 2>/dev/null'], {
    stdio: ['ignore', openTo(t, seen), 'ignore'],
  })
  t.teardown(() => void sampler.kill('SIGKILL'))

  const outputs: Record<string, string> = {}
  const tried = async (args: string[]) => {
    const run = await runbook(args, { cwd: folder })
    t.equal(run.code, 0, `${args.join(' ')}: ${run.stderr.slice(0, 2000)}${run.stdout.slice(-3000)}`)
    outputs[`stdout of ${args.join(' ')}`] = run.stdout
    outputs[`stderr of ${args.join(' ')}`] = run.stderr
  }
  await tried(['apply', 'site.yml', '--output', 'plain', '-vvv', '--diff'])
  await tried(['apply', 'site.yml', '--output', 'json', '-vvv', '--diff'])
  await tried(['plan', 'site.yml', '-vvv'])
  sampler.kill('SIGKILL')
  const detached = once(tracer, 'exit')
  tracer.kill()
  await detached
  await tried(['apply', 'path.yml', '--output', 'plain', '-vvv', '--diff'])
  await tried(['plan', 'path.yml', '-vvv'])
  const ids = (await runbook(['history'], { cwd: folder })).stdout.match(/^[0-9A-Z-]+(?= )/gim) ?? []
  t.equal(ids.length, 5, 'every run is kept')
  for (const id of ids)
    outputs[`history show ${id}`] = (await runbook(['history', 'show', id, '-vvv', '--diff'], { cwd: folder })).stdout
  for (const name of readdirSync(join(folder, '.runbook')))
    outputs[`.runbook/${name}`] = readFileSync(join(folder, '.runbook', name), 'latin1')
  const commands = readFileSync(seen, 'latin1')
  t.match(commands, /site\.yml/, 'the sampler has seen the controller')
  outputs['command lines of the controller'] = commands
  outputs['command lines of the host'] = readFileSync(executed, 'latin1')
  t.match(outputs['command lines of the host'], /execve\("[^"]*\/sudo"/, 'the tracer has seen the host')
  outputs['journal of the host'] = await sh(
    lab,
    'n1',
    'journalctl --no-pager -o cat; cat /var/log/*.log 2>/dev/null || true',
  )

  t.match(outputs['stdout of apply site.yml --output plain -vvv --diff'], /Shown by mistake[\s\S]*it is \*{8}/)
  t.ok((outputs['stdout of apply site.yml --output plain -vvv --diff'] ?? '').split('********\n').length > 39_000)
  for (const [where, text] of Object.entries(outputs)) {
    for (const [what, secret] of Object.entries(SECRETS)) {
      for (const form of [
        secret,
        secret.slice(3),
        secret.slice(0, -3),
        Buffer.from(secret).toString('base64').slice(0, 20),
      ]) {
        const at = text.indexOf(form)
        t.equal(at, -1, `${what} in ${where}: …${at < 0 ? '' : text.slice(Math.max(0, at - 300), at + 60)}…`)
      }
    }
  }
  t.equal(await sh(lab, 'n1', 'cat /srv/secret/content'), `${SECRETS.content}\n`, 'and it all was done')
})

function openTo(t: { teardown(fn: () => void): void }, path: string): number {
  const fd = openSync(path, 'wx', 0o600)
  t.teardown(() => closeSync(fd))
  return fd
}

/** Machine's process id of the host's listening sshd. */
async function sshdOf(lab: Lab): Promise<number> {
  const own = (await sh(lab, 'n1', 'cat /run/sshd.pid')).trim()
  const init = initOf({ lab: lab.name, name: 'n1' })
  const space = readlinkSync(`/proc/${init}/ns/pid`)
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/pid`) !== space) continue
      if (new RegExp(`^NSpid:\\t.*\\b${own}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8')))
        return Number(pid)
    } catch {
      // ended meanwhile
    }
  }
  throw new Error(`no process ${own} in the host`)
}
