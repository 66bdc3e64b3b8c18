import { link, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { debianTools } from './debian-tools.ts'
import { downloaded } from './modules.ts'
import { type Image, OciLayout } from './oci.ts'
import { FLANNEL, KUBE_COMMANDS, LAB_IMAGES, type Minor, NEWEST, RELEASES } from './versions.ts'

/**
 * Makes `images/release.tar` from the binaries in `folder`, with the names that kubeadm asks for; for the newest release
 * `images/shared.tar` too (pause, flannel, the lab's own) and flannel's manifest.
 */
export async function assembleImages(minor: Minor, folder: string): Promise<void> {
  const scratch = path.join(folder, 'scratch')
  const images = path.join(folder, 'images')
  await mkdir(images)
  const tools = await debianTools(path.join(scratch, 'debian'))
  await writeRelease(minor, folder, scratch, tools)
  if (minor === NEWEST) {
    await writeShared(folder, scratch, tools)
    await writeFlannelManifest(path.join(folder, 'kube-flannel.yml'))
  }
  await rm(scratch, { recursive: true })
}

async function writeRelease(minor: Minor, folder: string, scratch: string, tools: string): Promise<void> {
  const { kubernetes, etcdTag, coredns } = RELEASES[minor]
  const layout = new OciLayout(path.join(scratch, 'release'))
  const bin = path.join(folder, 'bin')
  // One layer for all: a host stores it once.
  const kube = await layout.addLayer(await tree(scratch, { 'usr/local/bin/kube': `${bin}/kube` }, KUBE_COMMANDS))
  const base = await layout.addLayer(tools)
  for (const name of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
    await layout.addImage({
      name: `registry.k8s.io/${name}:${kubernetes}`,
      layers: [kube],
      entrypoint: [`/usr/local/bin/${name}`],
    })
  }
  const proxy = [kube, base]
  await layout.addImage({
    name: `registry.k8s.io/kube-proxy:${kubernetes}`,
    layers: proxy,
    entrypoint: ['/usr/local/bin/kube-proxy'],
  })
  const single: [file: string, place: string, name: string][] = [
    ['etcd', 'usr/local/bin/etcd', `registry.k8s.io/etcd:${etcdTag}`],
    ['coredns', 'coredns', `registry.k8s.io/coredns/coredns:${coredns}`],
  ]
  for (const [file, place, name] of single)
    await layout.addImage(await oneFile(layout, scratch, `${bin}/${file}`, place, name))
  await layout.write(path.join(folder, 'images', 'release.tar'))
}

async function writeShared(folder: string, scratch: string, tools: string): Promise<void> {
  const layout = new OciLayout(path.join(scratch, 'shared'))
  const bin = path.join(folder, 'bin')
  const base = await layout.addLayer(tools)
  await layout.addImage({ name: LAB_IMAGES.tools, layers: [base], entrypoint: ['/bin/sh'] })
  const flanneld = await layout.addLayer(await tree(scratch, { 'opt/bin/flanneld': `${bin}/flanneld` }))
  const flannel = `ghcr.io/flannel-io/flannel:${FLANNEL}`
  await layout.addImage({ name: flannel, layers: [base, flanneld], entrypoint: ['/opt/bin/flanneld'] })
  const plugin = await layout.addLayer(await tree(scratch, { flannel: `${folder}/cni/flannel` }))
  await layout.addImage({ name: LAB_IMAGES.flannelCni, layers: [base, plugin], entrypoint: ['/bin/sh'] })
  for (const tag of new Set(Object.values(RELEASES).map((release) => release.pauseTag))) {
    await layout.addImage(await oneFile(layout, scratch, `${bin}/pause`, 'pause', `registry.k8s.io/pause:${tag}`))
  }
  await layout.addImage(await oneFile(layout, scratch, `${bin}/kube-vip`, 'kube-vip', LAB_IMAGES.kubeVip))
  await layout.addImage(await oneFile(layout, scratch, `${bin}/test-server`, 'test-server', LAB_IMAGES.testServer))
  await layout.write(path.join(folder, 'images', 'shared.tar'))
}

async function oneFile(layout: OciLayout, scratch: string, file: string, place: string, name: string): Promise<Image> {
  return { name, layers: [await layout.addLayer(await tree(scratch, { [place]: file }))], entrypoint: [`/${place}`] }
}

let trees = 0

/** A folder with these files (place -> file), for a layer; `links` stand beside the first and lead to it. */
async function tree(
  scratch: string,
  files: Readonly<Record<string, string>>,
  links: readonly string[] = [],
): Promise<string> {
  const root = path.join(scratch, `tree-${++trees}`)
  for (const [place, file] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, place)), { recursive: true })
    await link(file, path.join(root, place))
    for (const name of links) await symlink(path.basename(place), path.join(root, path.dirname(place), name))
  }
  return root
}

/** The manifest of flannel's own release, with the one image that had to be replaced. */
async function writeFlannelManifest(file: string): Promise<void> {
  const source = await downloaded(`github.com/flannel-io/flannel@${FLANNEL}`)
  const manifest = await readFile(path.join(source, 'Documentation', 'kube-flannel.yml'), 'utf8')
  const own = /image: ghcr\.io\/flannel-io\/flannel-cni-plugin:\S+/g
  if (manifest.match(own)?.length !== 1) throw new Error(`flannel ${FLANNEL}: its manifest is not as it was`)
  await writeFile(file, manifest.replace(own, `image: ${LAB_IMAGES.flannelCni}`))
}
