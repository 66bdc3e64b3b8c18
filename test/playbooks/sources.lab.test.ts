/** Where containerd and Kubernetes' programs come from: distribution, vendor's repository, release; and what goes wrong. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { APT_TOOLS, skipWithoutTools } from '../modules/repository.ts'
import { KUBERNETES, type Mirror, serveMirror, VENDOR_VERSION } from './mirror.ts'
import { ROOT, runbook } from './runbook.ts'

type Vars = Readonly<Record<string, unknown>>

/** Of each host: n1 and n2 have repositories, n3 fetches releases, n4 gets them from the controller. */
const sources = ({ url, folder, keyFile, sha256 }: Mirror): Record<string, Vars> => ({
  n1: {
    containerd_source: 'distribution',
    kubernetes_packages_source: 'repository',
    kubernetes_packages_repository_url: `${url}/kubernetes`,
    kubernetes_packages_repository_key_file: keyFile,
  },
  n2: {
    containerd_source: 'repository',
    containerd_repository_url: `${url}/vendor`,
    containerd_repository_key_url: `${url}/key.asc`,
    containerd_repository_key_checksum: `sha256:${sha256('key.asc')}`,
    containerd_package_version: `${VENDOR_VERSION.slice(0, -2)}*`,
    kubernetes_packages_source: 'repository',
    kubernetes_packages_repository_url: `${url}/kubernetes`,
    kubernetes_packages_repository_key_url: `${url}/key.asc`,
    kubernetes_packages_repository_key_checksum: `sha256:${sha256('key.asc')}`,
  },
  n3: {
    containerd_source: 'archive',
    containerd_archive: `${url}/releases/containerd.tar.gz`,
    containerd_archive_checksum: `sha256:${sha256('releases/containerd.tar.gz')}`,
    containerd_runc: `${url}/releases/runc`,
    containerd_runc_checksum: `sha256:${sha256('releases/runc')}`,
    kubernetes_packages_source: 'binaries',
    kubernetes_packages_binaries: `${url}/releases`,
    kubernetes_packages_cni_archive: `${url}/releases/cni.tgz`,
    kubernetes_packages_cni_archive_checksum: `sha256:${sha256('releases/cni.tgz')}`,
  },
  n4: {
    containerd_source: 'archive',
    containerd_archive: `${folder}/releases/containerd.tar.gz`,
    containerd_runc: `${folder}/releases/runc`,
    kubernetes_packages_source: 'binaries',
    kubernetes_packages_binaries: `${url}/releases`,
    kubernetes_packages_checksums: Object.fromEntries(
      ['kubeadm', 'kubelet', 'kubectl'].map((name) => [name, `sha256:${sha256(`releases/${name}`)}`]),
    ),
    kubernetes_packages_cni_archive: `${folder}/releases/cni.tgz`,
  },
})

t.setTimeout(300_000)
const skip = skipWithoutLab() || skipWithoutTools(APT_TOOLS)
t.test('sources of programs', { skip, timeout: 300_000 }, async (t) => {
  await using lab = await bootLab({ hosts: 4 })
  const mirror = await serveMirror(t, lab)
  const folder = mkdtempSync(join(tmpdir(), 'runbook-sources-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const playbook = join(folder, 'site.yml')
  writeFileSync(
    playbook,
    `- hosts: all
  become: true
  vars: { kubernetes_image_repository: registry.example }
  roles:
    - ${ROOT}/playbooks/roles/kubernetes_packages
    - ${ROOT}/playbooks/roles/containerd
`,
  )
  mkdirSync(join(folder, 'host_vars'))
  const vary = (host: string, vars: Vars) =>
    writeFileSync(join(folder, 'host_vars', `${host}.yml`), stringify({ kubernetes_version: KUBERNETES, ...vars }))
  const on = async (host: string, script: string) => {
    const { rc, stdout, stderr } = await lab.exec(host, ['sh', '-c', script])
    if (rc !== 0) throw new Error(`${host}: ${script}: ${stdout}${stderr}`)
    return stdout
  }
  const good = sources(mirror)
  for (const [host, vars] of Object.entries(good)) {
    vary(host, vars)
    // The lab's image has them; these hosts are to be without.
    await on(host, 'dpkg --purge containerd runc 2>&1; rm -rf /etc/containerd; ! command -v containerd')
  }
  await on('n1', `echo 'deb [signed-by=/etc/apt/site.asc] ${mirror.url}/debian ./' >/etc/apt/sources.list.d/site.list`)
  await on('n1', `curl -sSf ${mirror.url}/key.asc >/etc/apt/site.asc`)

  const zero = `sha256:${'0'.repeat(64)}`
  const nowhere = 'http://127.0.0.1:9'
  const refused = /127\.0\.0\.1.*(refused|connect)/is
  /** Host, what is wrong, what it must say. */
  const wrong: readonly [host: string, vars: Vars, says: RegExp][] = [
    ['n1', { kubernetes_packages_repository_url: nowhere }, refused],
    ['n1', { kubernetes_version: 'v1.34.99' }, /install kubeadm 1\.34\.99-\*.*: no repository of this host has it/s],
    ['n2', { containerd_package_version: '9.9*' }, /install containerd\.io 9\.9\*: no repository of this host has it/s],
    ['n2', { containerd_repository_key_checksum: zero }, /key\.asc: expected sha256 0+, got [0-9a-f]{64}/],
    ['n3', { containerd_archive_checksum: zero }, /containerd\.tar\.gz: expected sha256 0+, got [0-9a-f]{64}/],
    ['n3', { containerd_archive: `${nowhere}/containerd.tar.gz` }, refused],
    ['n3', { containerd_archive: `${mirror.url}/none.tar.gz` }, /none\.tar\.gz.*404/s],
    ['n3', { kubernetes_packages_binaries: nowhere }, refused],
    ['n4', { kubernetes_packages_checksums: { kubeadm: zero } }, /kubeadm: expected sha256 0+, got [0-9a-f]{64}/],
    ['n4', { containerd_archive: `${folder}/none.tar.gz` }, /none\.tar\.gz/],
  ]
  for (const [host, vars, says] of wrong) {
    vary(host, { ...good[host], ...vars })
    const ran = await runbook(lab, ['apply', '--limit', host], playbook)
    vary(host, good[host]!)
    t.equal(ran.rc, host === 'n4' && ran.failed.length === 0 ? 3 : 2, `${host} ${JSON.stringify(vars)}`)
    t.match([...ran.failed.map((e) => `${e.host}: ${e.msg}\n${e.stderr}`), ran.err].join('\n'), says)
    const there = await on(host, 'command -v containerd runc; systemctl is-active containerd || true')
    t.equal(there, 'inactive\n', 'containerd is not there')
  }

  const first = await runbook(lab, ['apply'], playbook)
  t.match(first, { rc: 0, failed: [] }, first.err)
  const version = (host: string) =>
    on(host, 'containerd --version; runc --version | head -n 1; systemctl is-active containerd')
  const from = (host: string) => on(host, 'dpkg -S "$(command -v containerd)" "$(command -v runc)" 2>&1 || true')
  for (const host of Object.keys(good)) {
    t.match(await version(host), /^containerd .* 1\.6.*\nrunc version 1\.1.*\nactive\n$/s, host)
    t.match(await on(host, 'containerd config dump | grep sandbox_image'), /registry\.example\/pause:9 of kubeadm/)
    t.match(await on(host, 'kubelet --version; kubectl version'), /kubelet.*kubectl/s)
    // A release brings its CRI plugin up, and a vendor's package that ships it off has it on.
    t.match(await on(host, 'ctr plugins ls'), /io\.containerd\.grpc\.v1 +cri +\S+ +ok/)
  }
  t.equal(await from('n1'), 'containerd: /usr/bin/containerd\nrunc: /usr/sbin/runc\n')
  t.equal(await from('n2'), 'containerd.io: /usr/bin/containerd\ncontainerd.io: /usr/bin/runc\n')
  for (const host of ['n3', 'n4']) t.match(await on(host, 'command -v containerd'), /^\/usr\/local\/bin\//)
  t.match(await on('n2', 'apt-mark showhold'), /containerd\.io\nkubeadm\nkubectl\nkubelet/)
  t.equal(await on('n3', 'cd /opt/cni/bin && ls; stat -c %U bridge'), 'bridge\nroot\n')

  const second = await runbook(lab, ['apply'], playbook)
  t.same(second.changed, [], 'nothing to do the second time')
  t.match(second, { rc: 0, failed: [] }, second.err)
})
