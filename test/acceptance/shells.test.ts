/** Hosts whose /bin/sh is dash, bash or busybox: a play of all modules that work on files converges on each. */
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf, sh, stateOf, story } from './support.ts'

t.setTimeout(300_000)

const FILES = {
  'files/plain.txt': 'plain\n',
  'files/tree/a.conf': 'a\n',
  'files/tree/sub/b.conf': 'b\n',
  'templates/t.hbs': '# {{ inventory_hostname }}\n{{#each list}}\n{{ this }}\n{{/each}}\n',
  'files/hello.sh': '#!/bin/sh\necho "$1" >/srv/shells/script\n',
  'site.yml': `
- name: Files
  hosts: all
  vars:
    list: [one, "two 'three'", 'four $five \`six\` "seven" \\eight']
    odd: |
      it's "quoted" $HOME \`date\` \\n \\\\ %s !x ü 名 * ? [a] {b} ~ #
        indented	with a tab
  tasks:
    - name: Folder
      file: { path: /srv/shells/folder, state: directory, mode: '2750', group: adm }
    - name: Names that are hard to quote
      file: { path: "/srv/shells/{{ item }}", state: directory, mode: '0700' }
      loop: ["a b", "it's", 'dollar $x', '-dash', 'star*', "ü 名"]
    - name: Content
      copy: { dest: /srv/shells/content, content: "{{ odd }}", mode: '0640' }
    - name: No newline
      copy: { dest: "/srv/shells/it's/none", content: "no newline", mode: '0600' }
    - name: Empty
      copy: { dest: /srv/shells/empty, content: "", mode: '0600' }
    - name: File
      copy: { src: plain.txt, dest: /srv/shells/plain, mode: '0644', owner: daemon }
    - name: Tree
      copy: { src: tree/, dest: /srv/shells/tree, mode: '0644', directory_mode: '0755' }
    - name: Template
      template: { src: t.hbs, dest: /srv/shells/template, mode: '0644' }
    - name: First lines
      copy: { dest: /srv/shells/lines, content: "{{ odd }}", mode: '0640', force: false }
    - name: Line
      lineinfile: { path: /srv/shells/lines, line: 'key = "$value"', regexp: '^key', state: present }
    - name: Block
      blockinfile: { path: /srv/shells/lines, block: "{{ odd }}" }
    - name: Link
      file: { src: ../shells/plain, dest: /srv/shells/link, state: link }
    - name: Hard link
      file: { src: /srv/shells/plain, dest: /srv/shells/hard, state: hard }
    - name: Gone
      file: { path: /srv/shells/gone, state: absent }
    - name: Kernel
      sysctl: { name: net.ipv4.conf.all.log_martians, value: 1, file: /etc/sysctl.d/81-shells.conf }
    - name: Job
      cron: { name: look around, minute: '5', job: "test -n 'a b' && echo \\"$HOME\\"", user: root }
    - name: Script
      script: { cmd: "hello.sh 'a  b'", creates: /srv/shells/script }
    - name: Look
      stat: { path: "/srv/shells/it's/none" }
      register: none
    - name: Size
      assert: { that: [none.stat.exists, none.stat.size == 10] }
    - name: Read
      slurp: { src: /srv/shells/lines }
      register: content
    - name: Same
      assert: { that: 'b64decode(content.content).startsWith(odd)' }
`,
}

for (const shell of ['dash', 'bash', 'busybox'] as const) {
  t.test(`/bin/sh is ${shell}`, { skip: skipWithoutLab() }, async (t) => {
    await using lab = await bootLab({ hosts: 1, sh: shell })
    await sh(lab, 'n1', 'mkdir -p /srv/shells; touch /srv/shells/gone')
    const playbook = join(folderOf(t, FILES), 'site.yml')
    const before = await stateOf(lab, 'n1')
    const checked = await apply(playbook, lab.inventoryFile, ['--check'])
    t.equal(checked.code, 0, story(checked.results, 'n1').join('\n') + checked.stderr)
    t.equal(await stateOf(lab, 'n1'), before, 'check mode touches nothing')

    const first = await apply(playbook, lab.inventoryFile)
    t.equal(
      first.code,
      0,
      JSON.stringify(
        first.results.find((r) => r.status === 'failed'),
        undefined,
        1,
      ) + first.stderr,
    )
    const seen = await sh(lab, 'n1', LOOK)
    t.equal(seen, LOOKS, 'what ordinary tools see')
    const second = await apply(playbook, lab.inventoryFile)
    t.match(second.hosts.n1, { changed: 0, failed: 0 }, story(second.results, 'n1').join('\n'))
    t.equal(await sh(lab, 'n1', LOOK), seen)
  })
}

const LOOK = `cd /srv/shells
stat -c '%n %A %U %G' folder content plain tree tree/sub "it's/none" link
ls -A | sort | tr '\\n' '|'; echo
cat template; readlink link; test plain -ef hard && echo hard; cat script; cat "it's/none"; echo
cat content; head -n 2 lines; grep -c . lines; cat tree/sub/b.conf; sysctl -n net.ipv4.conf.all.log_martians; crontab -l | tail -n 1`

const LOOKS = `folder drwxr-s--- root adm
content -rw-r----- root root
plain -rw-r--r-- daemon root
tree drwxr-xr-x root root
tree/sub drwxr-xr-x root root
it's/none -rw------- root root
link lrwxrwxrwx root root
-dash|a b|content|dollar $x|empty|folder|hard|it's|lines|link|plain|script|star*|template|tree|ü 名|
# n1
one
two 'three'
four $five \`six\` "seven" \\eight
../shells/plain
hard
a  b
no newline
it's "quoted" $HOME \`date\` \\n \\\\ %s !x ü 名 * ? [a] {b} ~ #
  indented	with a tab
it's "quoted" $HOME \`date\` \\n \\\\ %s !x ü 名 * ? [a] {b} ~ #
  indented	with a tab
7
b
1
5 * * * * test -n 'a b' && echo "$HOME"
`
