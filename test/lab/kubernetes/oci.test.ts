import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { run } from '../run.ts'
import { OciLayout } from './oci.ts'

async function archive(folder: string, text: string): Promise<string> {
  const root = path.join(folder, 'root')
  await mkdir(path.join(root, 'bin'), { recursive: true })
  await writeFile(path.join(root, 'bin/hello'), text, { mode: 0o755 })
  const layout = new OciLayout(path.join(folder, 'layout'))
  const layers = [await layout.addLayer(root)]
  await layout.addImage({ name: 'example.test/hello:1.2', layers, entrypoint: ['/bin/hello'] })
  await layout.addImage({ name: 'example.test/again:3', layers, entrypoint: ['/bin/hello'] })
  const file = path.join(folder, 'image.tar')
  await layout.write(file)
  return file
}

t.test('an archive names its images and holds what they point at', async (t) => {
  const folder = t.testdir()
  const file = await archive(folder, 'hello')
  const unpacked = path.join(folder, 'unpacked')
  await mkdir(unpacked)
  await run(['tar', '-xf', file, '-C', unpacked])
  const blob = async (digest: string) =>
    JSON.parse(await readFile(path.join(unpacked, 'blobs', digest.replace(':', '/')), 'utf8'))
  const { manifests } = JSON.parse(await readFile(path.join(unpacked, 'index.json'), 'utf8'))
  t.same(
    manifests.map(
      (manifest: { annotations: Record<string, string> }) => manifest.annotations['io.containerd.image.name'],
    ),
    ['example.test/hello:1.2', 'example.test/again:3'],
  )
  const { config, layers } = await blob(manifests[0].digest)
  t.same((await blob(config.digest)).config.Entrypoint, ['/bin/hello'])
  t.same((await blob(config.digest)).rootfs.diff_ids, [layers[0].digest])
  const sum = await run(['sha256sum', path.join(unpacked, 'blobs', layers[0].digest.replace(':', '/'))])
  t.equal(`sha256:${sum.slice(0, 64)}`, layers[0].digest)
  t.match(
    await run(['tar', '-tvf', path.join(unpacked, 'blobs', layers[0].digest.replace(':', '/'))]),
    /-rwxr-xr-x 0\/0 .* 1970-01-01 .*bin\/hello/,
  )
})

t.test('the same files give the same bytes, others do not', async (t) => {
  const [one, two, other] = await Promise.all([
    archive(`${t.testdir({ one: {}, two: {}, other: {} })}/one`, 'hello'),
    archive(path.join(t.testdirName, 'two'), 'hello'),
    archive(path.join(t.testdirName, 'other'), 'bye'),
  ])
  t.same(await readFile(one), await readFile(two))
  t.notSame(await readFile(one), await readFile(other))
})
