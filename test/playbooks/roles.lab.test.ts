/** The roles that prepare a node, on hosts with systemd and without a way out: everything comes from the controller. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { run } from '../lab/run.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { ROOT, runbook } from './runbook.ts'

t.setTimeout(300_000)

t.test('kubernetes_host, kubernetes_packages, containerd', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })
  const folder = mkdtempSync(join(tmpdir(), 'runbook-roles-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  // What the role takes from a folder is not looked at, so it need not be the real thing; kubeadm is asked for the pause image.
  for (const name of ['kubeadm', 'kubelet', 'kubectl']) {
    writeFileSync(join(bin, name), `#!/bin/sh\necho "registry.example/pause:9 for $*"\n`)
    chmodSync(join(bin, name), 0o755)
  }
  writeFileSync(join(bin, 'bridge'), '#!/bin/sh\n')
  await run(['tar', '-czf', join(folder, 'cni.tgz'), '-C', bin, 'bridge'])
  await run(['tar', '-czf', join(folder, 'crictl.tar.gz'), '-C', bin, 'kubectl'])
  const playbook = join(folder, 'site.yml')
  writeFileSync(
    playbook,
    `- hosts: all
  become: true
  vars:
    kubernetes_version: v1.33.1
    kubernetes_host_time_sync: none
    kubernetes_host_more_hosts: { 10.9.9.9: api.example.org }
    kubernetes_packages_source: binaries
    kubernetes_packages_binaries: ${bin}
    kubernetes_packages_cni_archive: ${folder}/cni.tgz
    kubernetes_packages_crictl_archive: ${folder}/crictl.tar.gz
    kubernetes_image_repository: registry.example
    containerd_registries:
      docker.io: { mirrors: ['https://mirror.example.org'] }
  roles:
    - ${ROOT}/playbooks/roles/kubernetes_host
    - ${ROOT}/playbooks/roles/kubernetes_packages
    - ${ROOT}/playbooks/roles/containerd
`,
  )
  const on = async (host: string, script: string) => (await lab.exec(host, ['sh', '-c', script])).stdout

  const plan = await runbook(lab, ['plan'], playbook)
  t.match(plan, { rc: 0, failed: [] }, plan.err)
  t.equal(await on('n1', 'ls /usr/local/bin/kubeadm 2>/dev/null'), '', 'a plan touches nothing')

  const first = await runbook(lab, ['apply'], playbook)
  t.match(first, { rc: 0, failed: [] }, first.err)
  t.ok(first.changed.length > 10)
  t.match(await on('n1', 'getent hosts n2 api.example.org'), /\.12 +n2\n10\.9\.9\.9 +api\.example\.org/)
  t.equal(await on('n2', 'sysctl -n net.ipv4.ip_forward net.ipv4.ip_local_reserved_ports'), '1\n30000-32767\n')
  t.equal(await on('n2', 'cat /etc/modules-load.d/kubernetes.conf'), 'overlay\nbr_netfilter\nnf_conntrack\n')
  t.match(
    await on('n2', 'containerd config dump | grep sandbox_image'),
    /registry\.example\/pause:9 for config images list/,
  )
  t.equal(
    await on('n2', 'systemctl is-enabled kubelet containerd; systemctl is-active containerd'),
    'enabled\nenabled\nactive\n',
  )
  t.match(await on('n2', 'systemctl cat kubelet'), /ExecStart=\/usr\/local\/bin\/kubelet \$KUBELET_KUBECONFIG_ARGS/)
  t.equal(await on('n2', 'ls /opt/cni/bin'), 'bridge\n')

  const second = await runbook(lab, ['apply'], playbook)
  t.same(second.changed, [], 'nothing to do the second time')
  t.match(second, { rc: 0, failed: [] }, second.err)
})
