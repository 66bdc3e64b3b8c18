import { mkdir, readdir, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import { attempt, run } from '../run.ts'

/** What kube-proxy and flannel call, a shell, and the libraries of these. */
const PACKAGES = [
  ...['busybox-static', 'iptables', 'nftables', 'conntrack', 'libc6'],
  ...['libip4tc2', 'libip6tc2', 'libxtables12', 'libmnl0', 'libnftnl11', 'libnfnetlink0', 'libnetfilter-conntrack3'],
  ...['libnftables1', 'libjansson4', 'libgmp10', 'libedit2', 'libtinfo6', 'libbsd0', 'libmd0'],
]

/** What the alternatives system would link. */
const IPTABLES = ['iptables', 'ip6tables'].flatMap((name) => [name, `${name}-save`, `${name}-restore`])

/** Commands of busybox that pods and manifests call by name. */
const BUSYBOX = [
  'sh',
  'cp',
  'cat',
  'ls',
  'sleep',
  'wget',
  'nslookup',
  'ip',
  'ping',
  'true',
  'ps',
  'df',
  'sync',
  'touch',
]

/** Makes a root folder of Debian packages, about 12 MB: the base of images that need more than one static binary. */
export async function debianTools(folder: string): Promise<string> {
  const root = path.join(folder, 'root')
  const packages = path.join(folder, 'packages')
  await mkdir(root, { recursive: true })
  await mkdir(packages)
  await download(packages)
  for (const file of (await readdir(packages)).sort())
    await run(['dpkg-deb', '--extract', path.join(packages, file), root])
  for (const unused of [
    'usr/share',
    'usr/lib/x86_64-linux-gnu/gconv',
    'usr/lib/aarch64-linux-gnu/gconv',
    'etc',
    'var',
  ]) {
    await rm(path.join(root, unused), { recursive: true, force: true })
  }
  for (const name of IPTABLES) {
    await rm(path.join(root, 'usr/sbin', name), { force: true })
    await symlink('xtables-nft-multi', path.join(root, 'usr/sbin', name))
  }
  for (const name of BUSYBOX) await symlink('busybox', path.join(root, 'bin', name))
  await mkdir(path.join(root, 'run'))
  await mkdir(path.join(root, 'tmp'))
  return root
}

async function download(folder: string): Promise<void> {
  const argv = ['apt-get', 'download', '-o', 'APT::Sandbox::User=root', ...PACKAGES]
  const inFolder = ['sh', '-c', 'cd "$1" && shift && exec "$@"', 'sh', folder, ...argv]
  if ((await attempt(inFolder)).rc === 0) return
  await run(['apt-get', 'update', '-o', 'DPkg::Lock::Timeout=300'])
  await run(inFolder)
}
