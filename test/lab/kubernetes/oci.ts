import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from '../run.ts'

/** Descriptor of a blob: OCI image specification 1.1, descriptor.md. */
interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

/** A layer that is in the layout. */
export type Layer = Descriptor

export interface Image {
  /** With registry and tag, as a pod names it. */
  readonly name: string
  /** The lowest first. */
  readonly layers: readonly Layer[]
  readonly entrypoint: readonly string[]
}

/** The same names Go has for processors, which is what image configurations use. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

/**
 * Images in the OCI image layout, as `ctr images import` takes it. Layers are not compressed (a host would only
 * decompress them again), and the same files give the same bytes.
 */
export class OciLayout {
  readonly #folder: string
  readonly #manifests: object[] = []

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Makes a layer of everything in a folder. */
  async addLayer(root: string): Promise<Layer> {
    const file = path.join(this.#folder, 'layer.tmp')
    await mkdir(this.#blobs, { recursive: true })
    await tar(root, file)
    const digest = await sha256(file)
    await rename(file, path.join(this.#blobs, digest))
    const { size } = await stat(path.join(this.#blobs, digest))
    return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${digest}`, size }
  }

  async addImage({ name, layers, entrypoint }: Image): Promise<void> {
    const platform = { architecture: ARCHITECTURES[process.arch] ?? process.arch, os: 'linux' }
    const config = await this.#addJson('application/vnd.oci.image.config.v1+json', {
      ...platform,
      created: '1970-01-01T00:00:00Z',
      config: { Entrypoint: entrypoint, Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
      // Not compressed, so a layer's own digest is that of its content.
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
    })
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const manifest = await this.#addJson(mediaType, { schemaVersion: 2, mediaType, config, layers })
    const tag = name.slice(name.lastIndexOf(':') + 1)
    const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tag }
    this.#manifests.push({ ...manifest, platform, annotations })
  }

  /** Writes the archive and removes the layout. */
  async write(file: string): Promise<void> {
    await writeFile(path.join(this.#folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: this.#manifests }
    await writeFile(path.join(this.#folder, 'index.json'), JSON.stringify(index))
    await tar(this.#folder, file)
    await rm(this.#folder, { recursive: true })
  }

  get #blobs(): string {
    return path.join(this.#folder, 'blobs', 'sha256')
  }

  async #addJson(mediaType: string, value: object): Promise<Descriptor> {
    const text = JSON.stringify(value)
    const digest = createHash('sha256').update(text).digest('hex')
    await mkdir(this.#blobs, { recursive: true })
    await writeFile(path.join(this.#blobs, digest), text)
    return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) }
  }
}

/** GNU tar with everything left out that differs from machine to machine. */
async function tar(folder: string, file: string): Promise<void> {
  const fixed = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--mode=u+rwX,go+rX,go-w']
  await run(['tar', '--create', '--format=ustar', ...fixed, `--file=${file}`, `--directory=${folder}`, '.'])
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
