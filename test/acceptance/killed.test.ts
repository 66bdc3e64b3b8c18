/** The controller's process dies at a random step, again and again; each time the same command puts everything right. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf, sh, story } from './support.ts'

t.setTimeout(600_000)

const ROUNDS = 20

/** Changes that ride together, a long upload, commands that may not run twice, handlers at two places. */
const PLAYBOOK = `
- name: Prepare
  hosts: all
  tasks:
    - name: Folders
      file: { path: "/srv/site/{{ item }}", state: directory, mode: '0750' }
      loop: [a, b, c]
    - name: Configuration
      copy: { dest: /srv/site/a/conf, content: "version {{ version }}\\n", mode: '0640' }
      notify: Take over
    - name: Large file
      copy: { src: large.bin, dest: /srv/site/b/large.bin, mode: '0600' }
    - name: Once only
      shell: sleep 0.1; echo "{{ version }}" >>/srv/site/once; touch "/srv/site/once.{{ version }}"
      args: { creates: "/srv/site/once.{{ version }}" }
    - name: Lines
      lineinfile: { path: /srv/site/c/list, line: "{{ item }} {{ version }}", regexp: "^{{ item }} ", create: true, mode: '0644' }
      loop: [one, two, three]
      notify: Count
    - name: Link
      file: { src: "/srv/site/a/conf", dest: "/srv/site/link-{{ version }}", state: link }
    - name: Kernel
      sysctl: { name: net.ipv4.conf.all.log_martians, value: "{{ odd }}", file: /etc/sysctl.d/80-site.conf }
  post_tasks:
    - name: Last
      copy: { dest: /srv/site/last, content: "{{ version }}\\n", mode: '0644' }
      notify: Take over
  handlers:
    - name: Take over
      shell: cat /srv/site/a/conf >/srv/site/taken
    - name: Count
      shell: cat /srv/site/c/list >/srv/site/counted
`

t.test(`killed ${ROUNDS} times`, { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })
  const folder = folderOf(t, { 'site.yml': PLAYBOOK })
  const playbook = join(folder, 'site.yml')
  const vars = (version: number) => ['-e', `{"version": ${version}, "odd": ${version % 2}}`]
  const names = lab.hosts.map(({ name }) => name)
  const seed = Number(process.env.RUNBOOK_SEED ?? Date.now() % 2 ** 31)
  t.comment(`RUNBOOK_SEED=${seed}`)
  const random = randomFrom(seed)
  const large = (version: number) => writeFileSync(join(folder, 'large.bin'), Buffer.alloc(3_000_000, `v${version} `))

  large(0)
  const whole = await apply(playbook, lab.inventoryFile, vars(0))
  t.equal(whole.code, 0, whole.stderr)
  const lines = whole.stdout.split('\n').length

  let killed = 0
  for (let version = 1; version <= ROUNDS; version++) {
    large(version)
    const at = Math.floor(random() * (lines - 3))
    const later = random() * 60
    let timer: NodeJS.Timeout | undefined
    const cut = await apply(playbook, lab.inventoryFile, vars(version), {
      during: (child, stdout) => {
        if (timer || stdout.split('\n').length - 1 < at) return
        // Before the first line, anywhere in connecting and looking.
        timer = setTimeout(() => child.kill('SIGKILL'), at === 0 ? later * 10 : later)
      },
    })
    clearTimeout(timer)
    if (cut.code === null) killed++
    const where = `round ${version}, killed after ${cut.results.length} results`

    const again = await apply(playbook, lab.inventoryFile, vars(version))
    t.equal(
      again.code,
      0,
      `${where}: ${again.stderr}${JSON.stringify(again.results.filter((r) => r.status === 'failed'))}`,
    )
    for (const name of names) {
      const { stdout } = await lab.exec(name, ['sh', '-c', CHECK])
      t.equal(stdout, expected(version), `${where}: ${name} after ${story(again.results, name).join('; ')}`)
    }
  }
  t.ok(killed >= ROUNDS * 0.7, `${killed} of ${ROUNDS} were killed in time`)

  const last = await apply(playbook, lab.inventoryFile, vars(ROUNDS))
  t.equal(last.code, 0)
  for (const name of names) t.match(last.hosts[name], { changed: 0, failed: 0 }, 'nothing is left to do')
  for (const name of names)
    t.equal(await sh(lab, name, 'find / -xdev -name ".rb-*"; flock -w 3 /run/runbook/lock echo free'), 'free\n')
})

/** What ordinary tools say of a host. */
const CHECK = `
cd /srv/site && stat -c '%n %A' a b c a/conf && cat a/conf taken last && readlink "link-$(cat last)"
head -c 6 b/large.bin | tr -d ' '; echo; stat -c %s b/large.bin; sort once | uniq -d; tail -n 1 once
cat c/list; cmp c/list counted; sysctl -n net.ipv4.conf.all.log_martians
find / -xdev -name '.rb-*'
`

function expected(version: number): string {
  const list = ['one', 'two', 'three'].map((word) => `${word} ${version}\n`).join('')
  return `a drwxr-x---
b drwxr-x---
c drwxr-x---
a/conf -rw-r-----
version ${version}
version ${version}
${version}
/srv/site/a/conf
${`v${version} v${version} `.slice(0, 6).replaceAll(' ', '')}
3000000
${version}
${list}${version % 2}
`
}

/** Numbers from 0 to 1 that a seed gives again (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}
