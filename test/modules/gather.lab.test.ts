/** Modules that gather facts, and those that change INI files, on a real host. */
import { onLabHost } from './play.ts'

onLabHost('modules that gather facts', async (t, host) => {
  await t.test('service_facts', async (t) => {
    await host.sh(`printf '[Service]\\nExecStart=/bin/false\\n' >/etc/systemd/system/lab-broken.service
      printf '[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/lab-idle.service
      printf '[Service]\\nExecStart=/bin/sleep %%i\\n' >/etc/systemd/system/lab-many@.service
      ln -s /dev/null /etc/systemd/system/lab-masked.service
      systemctl daemon-reload; systemctl enable -q lab-idle; systemctl start lab-many@77; systemctl start lab-broken || true`)
    const results = await host.converges(
      t,
      { name: 'before', service_facts: {}, register: 'before' },
      { name: 'look', debug: { var: 'before.services' } },
      { name: 'start', service: { name: 'lab-idle', state: 'started' } },
      { name: 'facts', assert: { that: 'facts.services["lab-idle.service"].status == "enabled"' } },
    )
    const look = results.find(({ task }) => task === 'look')!
    const services = JSON.parse(look.msg.slice(look.msg.indexOf('{'))) as Record<
      string,
      { state: string; status: string }
    >
    const of = (name: string) => `${services[`${name}.service`]?.state} ${services[`${name}.service`]?.status}`
    t.equal(of('ssh'), 'running enabled')
    t.equal(of('lab-broken'), 'stopped failed')
    t.match(of('lab-idle'), /^(stopped|inactive) enabled$/)
    t.equal(of('lab-many@'), 'unknown static')
    t.equal(of('lab-many@77'), 'running active')
    t.match(of('lab-masked'), / masked$/)
    const running = await host.sh(
      `systemctl list-units --type=service --state=running --plain --no-legend | awk '{print $1}' | sort`,
    )
    t.strictSame(
      Object.keys(services).filter((name) => services[name]!.state === 'running' || name === 'lab-idle.service'),
      running.trim().split('\n').sort(),
      'as systemctl lists them',
    )
  })

  await t.test('package_facts and getent', async (t) => {
    const version = (await host.sh(`dpkg-query -W -f '\${Version}' openssh-server`)).trim()
    await host.converges(
      t,
      { package_facts: {} },
      {
        assert: {
          that: [`facts.packages["openssh-server"][0].version == "${version}"`, '!has(facts.packages.nothing)'],
        },
      },
      { getent: { database: 'passwd', key: 'ops' } },
      { name: 'home', copy: { content: '{{ facts.getent_passwd.ops.[4] }}\n', dest: '/srv/home' } },
      { getent: { database: 'group', key: 'none', fail_key: false } },
      { assert: { that: 'facts.getent_group.none == null' } },
    )
    t.equal(await host.sh('cat /srv/home'), '/home/ops\n')
    await host.refuses(
      t,
      [/passwd has no entry none/, { getent: { database: 'passwd', key: 'none' } }],
      [/no.such/i, { getent: { database: 'no_such' } }],
      [/no rpm/, { package_facts: { manager: 'rpm' } }],
    )
  })

  await t.test('ini_file', async (t) => {
    const path = '/etc/systemd/system/lab-many@.service.d/ini.conf'
    await host.sh(
      `mkdir -p ${path.replace(/\/[^/]*$/, '')}; printf '# by hand\\n[Service]\\n#Nice=5\\nEnvironment=A=1\\n' >${path}`,
    )
    await host.converges(
      t,
      { name: 'nice', ini_file: { path, section: 'Service', option: 'Nice', value: 7, no_extra_spaces: true } },
      { name: 'two', ini_file: { path, section: 'Service', option: 'Environment', values: ['A=1', '"B=b c"'] } },
      {
        name: 'new',
        ini_file: { path: '/etc/lab.ini', section: 's', option: 'o', value: 'v', mode: '0600', backup: true },
      },
    )
    t.equal(
      await host.sh(`cat ${path} /etc/lab.ini; stat -c %a /etc/lab.ini`),
      '# by hand\n[Service]\nNice=7\nEnvironment = A=1\nEnvironment = "B=b c"\n[s]\no = v\n600\n',
    )
    t.match(
      await host.sh('systemctl daemon-reload; systemctl show -p Nice -p Environment lab-many@1'),
      /(?=[\s\S]*Nice=7\n)[\s\S]*Environment=A=1 "B=b c"/,
    )
    await host.converges(t, { name: 'gone', ini_file: { path, section: 'Service', option: 'Nice', state: 'absent' } })
    t.equal(await host.sh(`grep -c Nice ${path} || true`), '0\n')
    await host.refuses(
      t,
      [/does not exist/, { ini_file: { path: '/etc/none.ini', section: 's', option: 'o', value: 'v', create: false } }],
      [/folder .* does not exist/, { ini_file: { path: '/etc/none/none.ini', section: 's', option: 'o', value: 'v' } }],
    )
  })

  await t.test('yum_repository', async (t) => {
    await host.sh(`mkdir -p /etc/yum.repos.d; printf '[base]\\nname=Base\\n' >/etc/yum.repos.d/site.repo`)
    const repository = {
      name: 'k8s',
      description: 'Kubernetes',
      file: 'site',
      baseurl: 'http://r.test/rpm/',
      gpgcheck: false,
    }
    await host.converges(t, { name: 'added', yum_repository: repository })
    t.equal(
      await host.sh('cat /etc/yum.repos.d/site.repo'),
      '[base]\nname=Base\n\n[k8s]\nbaseurl = http://r.test/rpm/\ngpgcheck = 0\nname = Kubernetes\n\n',
    )
    await host.converges(t, { yum_repository: { ...repository, enabled: false } })
    await host.converges(t, { yum_repository: { name: 'k8s', file: 'site', state: 'absent' } })
    t.equal(await host.sh('cat /etc/yum.repos.d/site.repo'), '[base]\nname=Base\n\n')
    await host.converges(t, { yum_repository: { name: 'base', file: 'site', state: 'absent' } })
    t.equal(await host.sh('ls -A /etc/yum.repos.d'), '')
  })
})
