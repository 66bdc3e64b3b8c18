/** Preflight on real hosts: all problems of all hosts in one run, and nothing is touched. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { ROOT, runbook } from './runbook.ts'

t.setTimeout(300_000)
t.test('preflight', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 3 })
  const folder = mkdtempSync(join(tmpdir(), 'runbook-preflight-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [n1, n2] = lab.hosts
  const write = (vars: string) => {
    const playbook = join(folder, 'site.yml')
    writeFileSync(
      playbook,
      `- hosts: all
  become: true
  strategy: linear
  any_errors_fatal: true
  vars:
    kubernetes_version: v1.34.4
    kubernetes_control_planes: [n1]
    # The machine's own size is not what is tried here.
    preflight_ignore: [cpu, memory, disk]
${vars}
  roles: [${ROOT}/playbooks/roles/preflight]
  tasks:
    - file: { path: /root/touched, state: touch }
`,
    )
    return playbook
  }
  const sh = async (host: string, script: string) => {
    const { rc, stdout, stderr } = await lab.exec(host, ['sh', '-c', script])
    if (rc !== 0) throw new Error(`${script}: ${stderr}`)
    return stdout
  }

  await t.test('hosts that are well', async (t) => {
    const free = n1!.address.replace(/\d+$/, '10')
    const well = await runbook(
      lab,
      ['plan'],
      write(`    kubernetes_endpoint: ${free}:6443\n    kubernetes_virtual_ip: ${free}`),
    )
    t.match(well, { rc: 0, failed: [] }, JSON.stringify(well))
  })

  await t.test('everything that is wrong, on each host', async (t) => {
    await sh(
      'n1',
      'perl -MIO::Socket::INET -e \'$s = IO::Socket::INET->new(LocalPort => 2379, Listen => 1) or die; open F, ">/run/rb-ready"; close F; sleep 60\' >/dev/null 2>&1 & until [ -e /run/rb-ready ]; do sleep 0.1; done',
    )
    await sh(
      'n2',
      'mkdir -p /etc/kubernetes && printf "clusters:\\n- cluster:\\n    server: https://192.0.2.1:6443\\n" > /etc/kubernetes/kubelet.conf',
    )
    const id = await sh('n1', 'cat /etc/machine-id')
    await sh('n3', `echo ${id.trim()} > /etc/machine-id`)
    const vars = `    kubernetes_endpoint: ${n2!.address}:6443
    kubernetes_virtual_ip: ${n2!.address}
    kubernetes_kube_proxy_mode: ipvs
    preflight_urls: ['http://127.0.0.1:9/mirror']
    containerd_registries: { docker.io: { mirrors: ['http://127.0.0.1:9'] } }
    preflight_names: [no-such-name.invalid]`
    const wrong = await runbook(lab, ['apply'], write(vars))
    t.equal(wrong.rc, 2)
    t.equal(wrong.failed.length, 3, 'each host says what is wrong with it')
    const of = (host: string) => wrong.failed.find((e) => e.host === host)?.msg ?? ''
    t.match(of('n1'), /port: port 2379 is in use by perl; etcd needs it/)
    t.match(of('n1'), /identity: machine-id [0-9a-f]+ is that of n3 too/)
    t.match(of('n1'), /dns: no-such-name\.invalid does not resolve/)
    t.match(of('n1'), /mirror: http:\/\/127\.0\.0\.1:9\/mirror cannot be had: .*(refused|connect)/i)
    t.match(
      of('n1'),
      /mirror: http:\/\/127\.0\.0\.1:9\/v2\/, the mirror of docker\.io, cannot be had: .*(refused|connect)/i,
    )
    t.match(of('n2'), /cluster: the host is in another cluster, https:\/\/192\.0\.2\.1:6443/)
    t.notMatch(of('n2'), /identity/)
    t.match(of('n3'), /identity: machine-id [0-9a-f]+ is that of n1 too/)
    t.equal(await sh('n3', 'ls /root'), '', 'nothing was touched')
  })

  await t.test('too little disk, and a version that is none', async (t) => {
    const playbook = join(folder, 'disk.yml')
    const args = { kubernetes_version: 'v1.34.4', role: 'worker', min_disk_gb: { '/var/lib/containerd': 1_000_000 } }
    const play = (over: object) =>
      writeFileSync(
        playbook,
        JSON.stringify([
          {
            hosts: 'n1',
            become: true,
            tasks: [
              { preflight: { ...args, ignore: ['cpu', 'memory'], ...over } },
              { file: { path: '/root/touched', state: 'touch' } },
            ],
          },
        ]),
      )
    play({})
    const small = await runbook(lab, ['apply'], playbook)
    t.match(small.failed[0], {
      host: 'n1',
      msg: /^n1 has a problem:\n- disk: [\d.]+ GB are free for \/var\/lib\/containerd, 1000000 are needed/,
    })
    play({ kubernetes_version: 'v1.34' })
    const half = await runbook(lab, ['apply'], playbook)
    t.match(half, { rc: 3, failed: [], err: /must be a whole version, such as v1\.34\.1/ })
    t.equal(await sh('n1', 'ls /root'), '', 'nothing was touched')
  })

  await t.test('a virtual IP that is in use', async (t) => {
    await sh('n2', 'rm -r /etc/kubernetes; ip addr add 192.168.77.5/24 dev host0; iptables -A INPUT -p icmp -j DROP')
    await sh('n1', 'ip addr add 192.168.77.4/24 dev host0')
    const vars = '    kubernetes_endpoint: 192.168.77.5:6443\n    kubernetes_virtual_ip: 192.168.77.5'
    const used = await runbook(lab, ['apply', '--limit', 'n1'], write(vars))
    t.match(
      used.failed[0]?.msg,
      /virtual_ip: the virtual IP 192\.168\.77\.5 is in use by the host with the MAC address [0-9a-f:]{17}, and no API/,
    )
  })
})
