/** command, shell and script on a real host. */
import { onLabHost } from './play.ts'

onLabHost('modules that run commands', async (t, host) => {
  await t.test('command and shell', async (t) => {
    await host.sh("mkdir -p '/srv/run/a  b'")
    const results = await host.converges(
      t,
      { name: 'creates', command: { argv: ['touch', "/srv/run/it's  $HOME"], creates: "/srv/run/it's  $HOME" } },
      {
        name: 'chdir',
        shell: { cmd: 'pwd >here; echo "$0" | cat >&2', chdir: '/srv/run/a  b', creates: '/srv/run/a  b/here' },
      },
      { name: 'removes', command: { cmd: 'rm /srv/run/none', removes: '/srv/run/none' } },
      { name: 'stdin', shell: { cmd: 'cat >/srv/run/in', stdin: 'a\nb', creates: '/srv/run/in' } },
      {
        name: 'environment',
        shell: { cmd: 'printf %s "$A" >/srv/run/env', creates: '/srv/run/env' },
        environment: { A: "it's\n$B" },
      },
      { name: 'as ops', shell: { cmd: 'id -un >~/who', creates: '/home/ops/who' }, become: true, become_user: 'ops' },
      {
        name: 'looks',
        command: { cmd: 'cat /etc/hostname' },
        changed_when: 'false',
        check_mode: false,
        register: 'name',
      },
      { name: 'knows', assert: { that: "name.stdout == 'n1' && name.rc == 0 && size(name.stdout_lines) == 1" } },
    )
    t.equal(results[0]!.changes[0]!.summary, "run touch '/srv/run/it'\\''s  $HOME'")
    t.equal(
      await host.sh(`cd /srv/run; ls -A; cat 'a  b/here' in env; echo; stat -c '%U ' ~ops/who; cat ~ops/who`),
      `a  b
env
in
it's  $HOME
/srv/run/a  b
a
b
it's
$B
ops 
ops
`,
    )
  })

  await t.test('failures, output that is not text, and what is left running', async (t) => {
    const { results, hosts } = await host.run([
      { name: 'rc', shell: 'echo out; echo err >&2; exit 3', ignore_errors: true, register: 'r' },
      { name: 'seen', assert: { that: "r.rc == 3 && r.stdout == 'out' && r.stderr == 'err' && r.failed" } },
      { name: 'wanted', shell: 'exit 3', register: 'w', failed_when: 'w.rc != 3' },
      { name: 'none', command: '/srv/none', ignore_errors: true },
      { name: 'time', command: 'sleep 60', timeout: 1, ignore_errors: true },
      { name: 'binary', shell: "printf '\\000\\377\\n\\036x'", register: 'b' },
      { name: 'reads', shell: 'cat; read -r x; echo "end $x"', register: 'c' },
      { name: 'background', shell: 'sleep 30 >/dev/null 2>&1 & echo done', register: 'd' },
      { name: 'all', assert: { that: "c.stdout == 'end ' && d.stdout == 'done' && b.rc == 0" } },
      { name: 'much', shell: 'head -c 20000000 /dev/zero | tr "\\\\0" x', register: 'm' },
      { name: 'cut', assert: { that: 'size(m.stdout) == 16777216' } },
    ])
    t.match(
      results.map((r) => `${r.task} ${r.status}`),
      [
        'rc ignored',
        'seen ok',
        'wanted changed',
        'none ignored',
        'time ignored',
        'binary changed',
        'reads changed',
        'background changed',
        'all ok',
        'much changed',
        'cut ok',
      ],
      JSON.stringify(results.at(-1)),
    )
    t.match(results[3]!.msg, /command not found/)
    t.match(results[4]!.msg, /did not end within 1 s and was killed/)
    t.equal(hosts.n1!.failed, 0)
    t.equal(await host.sh('pgrep -fx "sleep 60" || echo gone'), 'gone\n', 'what took too long is gone')
    await host.sh('pkill -fx "sleep 30"')
  })

  await t.test('script', async (t) => {
    host.beside('files/one.sh', '#!/bin/sh\necho "$#:$1:$2" >"$2"\n')
    host.beside('files/two', 'import_nothing=1; printf %s "$0" >/dev/null; pwd >"$1"\n')
    await host.converges(
      t,
      { name: 'with a first line', script: { cmd: "one.sh 'a  b' /srv/script", creates: '/srv/script' } },
      {
        name: 'by an interpreter',
        script: { cmd: 'two /srv/second', executable: '/bin/bash', chdir: '/etc', creates: '/srv/second' },
      },
    )
    t.equal(
      await host.sh('cat /srv/script /srv/second; ls -A /tmp /var/tmp | grep -c "^\\.rb" || :'),
      '2:a  b:/srv/script\n/etc\n0\n',
    )
  })
})
