/** file, copy, template, lineinfile and blockinfile on a real host, with what operators find on real hosts. */
import { createHash } from 'node:crypto'
import { onLabHost } from './play.ts'

const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex')

onLabHost('modules that write files', async (t, host) => {
  await t.test('file', async (t) => {
    await host.sh(`mkdir -p /srv/file/old/deep '/srv/file/tree/a b'; echo x >/srv/file/there; chmod 0600 /srv/file/there
      touch "/srv/file/tree/a b/$(printf 'two\\nlines')"; ln -s /etc/passwd /srv/file/tree/link; ln -s there /srv/file/way
      ln -s nowhere /srv/file/dangling; touch /srv/file/gone`)
    await host.converges(
      t,
      {
        name: 'new',
        file: { path: '/srv/file/new/below', state: 'directory', mode: '2750', owner: 'ops', group: 'adm' },
      },
      { name: 'blank', file: { path: '/srv/file/with a  blank', state: 'directory', mode: '0700' } },
      { name: 'mode through a link', file: { path: '/srv/file/way', mode: 'u=rw,g=r,o=', group: 'adm' } },
      { name: 'tree', file: { path: '/srv/file/tree', recurse: true, mode: 'u=rwX,go=', owner: 'ops' } },
      { name: 'link', file: { path: '/srv/file/link', src: 'with a  blank', state: 'link' } },
      { name: 'dangling', file: { path: '/srv/file/dangling', src: '/srv/file/there', state: 'link' } },
      { name: 'hard', file: { path: '/srv/file/hard', src: '/srv/file/there', state: 'hard' } },
      { name: 'absent', file: { path: '/srv/file/gone', state: 'absent' } },
      { name: 'absent folder', file: { path: '/srv/file/old', state: 'absent' } },
      {
        name: 'touch',
        file: { path: '/srv/file/touched', state: 'touch', access_time: 'preserve', modification_time: 'preserve' },
      },
    )
    t.equal(
      await host.sh(`cd /srv/file; stat -c '%n %A %U:%G' new new/below 'with a  blank' there way tree tree/* tree/*/* touched
        readlink link dangling; test there -ef hard && echo hard; ls -A | tr '\\n' ' '; stat -c %U:%A /etc/passwd`),
      `new drwxr-s--- ops:adm
new/below drwxr-s--- ops:adm
with a  blank drwx------ root:root
there -rw-r----- root:adm
way lrwxrwxrwx root:root
tree drwx------ ops:root
tree/a b drwx------ ops:root
tree/link lrwxrwxrwx ops:root
tree/a b/two
lines -rw------- ops:root
touched -rw-r--r-- root:root
with a  blank
/srv/file/there
hard
dangling hard link new there touched tree way with a  blank root:-rw-r--r--
`,
    )
    await host.refuses(
      t,
      [/is a directory, not a link/, { file: { path: '/srv/file/tree', src: '/srv/file/there', state: 'link' } }],
      [/does not exist; state touch/, { file: { path: '/srv/file/none' } }],
    )
    const { code, stderr } = await host.run([{ file: { path: '/srv/file/two\nlines', state: 'touch' } }])
    t.equal(code, 3, 'a path with a line break is refused before anything is done')
    t.match(stderr, /line break/)
  })

  await t.test('copy', async (t) => {
    const large = Buffer.alloc(40 * 1024 * 1024, 'large \0 ')
    host.beside('files/large.bin', large)
    host.beside('files/tree/sub/b', 'b')
    host.beside('files/tree/a', 'a\r\n')
    host.beside('files/sudoers', 'ops ALL=(ALL) NOPASSWD: ALL\n')
    await host.sh(`mkdir -p /srv/copy; echo old >/srv/copy/real; ln -s real /srv/copy/link; chown ops:adm /srv/copy/real
      echo there >/srv/copy/there; chmod 0751 /srv/copy/there`)
    await host.converges(
      t,
      {
        name: 'text',
        copy: { dest: "/srv/copy/it's a text", content: 'no final newline', mode: '0640', owner: 'ops' },
      },
      { name: 'crlf', copy: { dest: '/srv/copy/crlf', content: 'a\r\nb\r\n', mode: '0644' } },
      { name: 'empty', copy: { dest: '/srv/copy/empty', content: '' } },
      { name: 'large', copy: { src: 'large.bin', dest: '/srv/copy/', mode: '0400' } },
      { name: 'tree', copy: { src: 'tree', dest: '/srv/copy', directory_mode: '0750', mode: '0604' } },
      { name: 'through a link', copy: { dest: '/srv/copy/link', content: 'new\n' } },
      { name: 'kept', copy: { dest: '/srv/copy/real', content: 'never\n', force: false } },
      {
        name: 'on the host',
        copy: { src: '/srv/copy/there', dest: '/srv/copy/copied', remote_src: true, mode: 'preserve' },
      },
      {
        name: 'checked',
        copy: { src: 'sudoers', dest: '/etc/sudoers.d/copy', mode: '0440', validate: 'visudo -cf %s' },
      },
    )
    t.equal(
      await host.sh(`cd /srv/copy; find . -mindepth 1 -printf '%P %m %u:%g\\n' | sort; cat "it's a text"; od -An -c crlf; cat real
        sha256sum large.bin; cmp copied there; stat -c %a /etc/sudoers.d/copy`),
      `copied 751 root:root
crlf 644 root:root
empty 644 root:root
it's a text 640 ops:root
large.bin 400 root:root
link 777 root:root
real 644 ops:adm
there 751 root:root
tree 750 root:root
tree/a 604 root:root
tree/sub 750 root:root
tree/sub/b 604 root:root
no final newline   a  \\r  \\n   b  \\r  \\n
new
${sha256(large)}  large.bin
440
`,
    )
    const backup = { dest: '/srv/copy/real', content: 'newer\n', backup: true }
    t.equal((await host.run([{ copy: backup }])).code, 0)
    t.equal(await host.sh('cat /srv/copy/real.*~; rm /srv/copy/real.*~'), 'new\n')

    await host.refuses(
      t,
      [/folder \/srv\/none does not exist/, { copy: { dest: '/srv/none/file', content: 'x' } }],
      [/is a directory/, { copy: { dest: '/srv/copy/tree', content: 'x' } }],
      [/validate refused/, { copy: { dest: '/etc/sudoers.d/bad', content: 'ops ALL=\n', validate: 'visudo -cf %s' } }],
    )
    t.equal(await host.sh('ls -A /etc/sudoers.d | tr "\\n" " "; find / -xdev -name ".rb-*"'), 'README copy lab ')
  })

  await t.test('a file system that is full, or cannot be written', async (t) => {
    await host.sh(`mkdir -p /srv/full /srv/ro; mount -t tmpfs -o size=1m tmpfs /srv/full; echo old >/srv/full/file
      mount -t tmpfs tmpfs /srv/ro; echo old >/srv/ro/file; mount -o remount,ro /srv/ro`)
    const content = 'x'.repeat(60_000)
    await host.sh('head -c 1000000 /dev/zero >/srv/full/zero')
    host.beside('files/much.bin', Buffer.alloc(2_000_000, 1))
    await host.refuses(
      t,
      [/file system full/, { copy: { dest: '/srv/full/file', content } }],
      [/No space left/, { copy: { dest: '/srv/full/file', src: 'much.bin' } }],
      ...[
        { copy: { dest: '/srv/ro/file', content: 'new' } },
        { file: { path: '/srv/ro/file', mode: '0600' } },
        { file: { path: '/srv/ro/file', state: 'absent' } },
        { file: { path: '/srv/ro/folder', state: 'directory' } },
        { lineinfile: { path: '/srv/ro/file', line: 'new' } },
      ].map((task) => [/Read-only file system/, task] as const),
    )
    t.equal(await host.sh('cat /srv/full/file; ls -A /srv/full | tr "\\n" " "'), 'old\nfile zero ')
    await host.sh('umount /srv/full /srv/ro')
  })

  await t.test('template', async (t) => {
    host.beside(
      'templates/t.conf.hbs',
      '\ufeff# {{ inventory_hostname }}\r\n{{#each list}}\r\n- {{ this }}\r\n{{/each}}\r\nend',
    )
    host.beside('templates/plain.hbs', '{{ list.[1] }} ${HOME} `id` % {{{{raw}}}}{{ kept }}{{{{/raw}}}}\n')
    await host.sh('mkdir -p /srv/template/folder')
    const vars = { list: ['one', "two 'three'"] }
    await host.converges(
      t,
      { name: 'bom', vars, template: { src: 't.conf.hbs', dest: '/srv/template/folder', mode: '0600' } },
      { name: 'new folder', vars, template: { src: 'plain.hbs', dest: '/srv/template/new/', group: 'adm' } },
    )
    t.equal(
      await host.sh(`cd /srv/template; stat -c '%n %a %U:%G' */*; tr '\\r' % <folder/t.conf; echo; cat new/plain`),
      `folder/t.conf 600 root:root
new/plain 644 root:adm
# n1%
- one%
- two 'three'%
end
two 'three' \${HOME} \`id\` % {{ kept }}
`,
    )
  })

  await t.test('lineinfile', async (t) => {
    await host.sh(`mkdir -p /srv/line; cd /srv/line; printf 'a=1\\nb=2' >unfinished; printf 'a=1\\r\\nb=2\\r\\n' >crlf
      printf '#Port 22\\nPort 2222\\n' >sshd; chmod 0640 sshd; chgrp adm sshd; ln -s sshd link; printf 'x\\ny\\nx\\n' >twice
      printf '\\377\\n' >latin1`)
    await host.converges(
      t,
      { name: 'behind an unfinished line', lineinfile: { path: '/srv/line/unfinished', line: 'c=3' } },
      { name: 'crlf', lineinfile: { path: '/srv/line/crlf', regexp: '^b=', line: 'b=$HOME "x"' } },
      { name: 'crlf added', lineinfile: { path: '/srv/line/crlf', line: "it's", insertafter: '^a' } },
      { name: 'through a link', lineinfile: { path: '/srv/line/link', regexp: '^#?Port ', line: 'Port 22' } },
      { name: 'gone', lineinfile: { path: '/srv/line/twice', regexp: '^x', state: 'absent' } },
      { name: 'made', lineinfile: { path: '/srv/line/made', line: '  indented ', create: true, mode: '0600' } },
      {
        name: 'groups',
        lineinfile: {
          path: '/srv/line/sshd',
          regexp: '^(#Port) (\\d+)$',
          line: '\\1 \\g<2>0',
          backrefs: true,
          firstmatch: true,
        },
        when: 'false',
      },
    )
    t.equal(
      await host.sh(
        `cd /srv/line; cat unfinished; tr '\\r' % <crlf; stat -c '%n %a %G %F' sshd link made; cat sshd twice made`,
      ),
      `a=1
b=2
c=3
a=1%
it's%
b=$HOME "x"%
sshd 640 adm regular file
link 777 root symbolic link
made 600 root regular file
#Port 22
Port 22
y
  indented ${''}
`,
    )
    await host.refuses(
      t,
      [/create: true makes it/, { lineinfile: { path: '/srv/line/none', line: 'x' } }],
      [/not UTF-8/, { lineinfile: { path: '/srv/line/latin1', line: 'x' } }],
      [
        /changed again at the next run/,
        { lineinfile: { path: '/srv/line/sshd', regexp: '^(.*)ort', line: '\\1xort', backrefs: true } },
      ],
    )
  })

  await t.test('blockinfile', async (t) => {
    await host.sh(`mkdir -p /srv/block; cd /srv/block; printf 'one\\ntwo' >unfinished; printf 'one\\r\\n' >crlf
      printf 'k\\n# BEGIN ANSIBLE MANAGED BLOCK\\nold\\n# END ANSIBLE MANAGED BLOCK\\nz\\n' >taken
      printf '# BEGIN RUNBOOK MANAGED BLOCK\\n' >half`)
    const block = 'first\n  "second" $x'
    await host.converges(
      t,
      { name: 'unfinished', blockinfile: { path: '/srv/block/unfinished', block, insertbefore: '^two' } },
      { name: 'crlf', blockinfile: { path: '/srv/block/crlf', block } },
      { name: 'taken over', blockinfile: { path: '/srv/block/taken', block } },
      {
        name: 'made',
        blockinfile: { path: '/srv/block/made', block, create: true, marker: '// {mark} x', mode: '0600' },
      },
    )
    t.equal(
      await host.sh('cd /srv/block; cat unfinished; tr "\\r" % <crlf; cat taken made; stat -c %a made'),
      `one
# BEGIN RUNBOOK MANAGED BLOCK
first
  "second" $x
# END RUNBOOK MANAGED BLOCK
two
one%
# BEGIN RUNBOOK MANAGED BLOCK%
first%
  "second" $x%
# END RUNBOOK MANAGED BLOCK%
k
# BEGIN RUNBOOK MANAGED BLOCK
first
  "second" $x
# END RUNBOOK MANAGED BLOCK
z
// BEGIN x
first
  "second" $x
// END x
600
`,
    )
    await host.converges(t, { name: 'gone', blockinfile: { path: '/srv/block/taken', state: 'absent' } })
    t.equal(await host.sh('cat /srv/block/taken'), 'k\nz\n')
    await host.refuses(t, [/only one of the two marker lines/, { blockinfile: { path: '/srv/block/half', block } }])
  })
})
