import t from 'tap'
import {
  chooseModules,
  type KernelModule,
  moduleTables,
  readModule,
} from '../../../src/netboot/installer/kernel-modules.ts'
import fc from '../../property.ts'

/** A file as far as `readModule` looks at it: sections `.modinfo` and `.shstrtab`. */
function elf(info: string[]): Buffer {
  const modinfo = Buffer.from(info.map((line) => `${line}\0`).join(''))
  const names = Buffer.from('\0.modinfo\0.shstrtab\0')
  const head = Buffer.alloc(64)
  head.write('\x7fELF\x02\x01', 'latin1')
  head.writeBigUInt64LE(BigInt(64 + modinfo.length + names.length), 40)
  head.writeUInt16LE(64, 58)
  head.writeUInt16LE(3, 60)
  head.writeUInt16LE(2, 62)
  const section = (name: number, at: number, size: number): Buffer => {
    const one = Buffer.alloc(64)
    one.writeUInt32LE(name)
    one.writeBigUInt64LE(BigInt(at), 24)
    one.writeBigUInt64LE(BigInt(size), 32)
    return one
  }
  return Buffer.concat([
    head,
    modinfo,
    names,
    Buffer.alloc(64),
    section(1, 64, modinfo.length),
    section(10, 64 + modinfo.length, names.length),
  ])
}

t.test('reads what depmod reads', async (t) => {
  const bytes = elf([
    'license=GPL',
    'alias=virtio:d00000002v*',
    'alias=x',
    'depends=virtio-ring,virtio',
    'softdep=pre: a-b post: c',
  ])
  t.strictSame(readModule('kernel/drivers/block/virtio-blk.ko', bytes), {
    path: 'kernel/drivers/block/virtio-blk.ko',
    name: 'virtio_blk',
    depends: ['virtio_ring', 'virtio'],
    aliases: ['virtio:d00000002v*', 'x'],
    soft: ['a_b'],
  })
  t.throws(() => readModule('x.ko', Buffer.from('text')), /not a 64-bit/)
})

const module = (path: string, depends: string[] = [], soft: string[] = []): KernelModule => ({
  path,
  name: /([^/]+)\.ko$/.exec(path)![1]!,
  depends,
  aliases: [`dev:${path}`],
  soft,
})

t.test('takes what an installer needs, and what that needs', async (t) => {
  const all = [
    module('kernel/sound/pcm.ko'),
    module('kernel/drivers/nvme/host/nvme.ko', ['core']),
    module('kernel/misc/core.ko', ['base'], ['crc', 'gone']),
    module('kernel/misc/base.ko'),
    module('kernel/misc/crc.ko'),
  ]
  const chosen = chooseModules(all)
  t.strictSame(
    chosen.map(({ name }) => name),
    ['nvme', 'base', 'core', 'crc'],
  )
  const { dep, alias, softdep } = moduleTables(chosen)
  t.match(dep, 'kernel/drivers/nvme/host/nvme.ko: kernel/misc/core.ko kernel/misc/base.ko\n')
  t.match(dep, 'kernel/misc/base.ko:\n')
  t.match(alias, 'alias dev:kernel/misc/crc.ko crc\n')
  t.equal(softdep, 'softdep core pre: crc gone\n')
})

t.test('modprobe loads from the end of the line: a module stands after all that need it', async () => {
  // Edges lead from a module to later ones only, so there are no cycles, as in a kernel.
  const graph = fc.array(fc.array(fc.nat(9), { maxLength: 3 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(graph, (edges) => {
      const all = edges.map((to, i) =>
        module(
          `kernel/lib/m${i}.ko`,
          [...new Set(to.map((n) => i + 1 + n).filter((n) => n < edges.length))].map((n) => `m${n}`),
        ),
      )
      const byName = new Map(all.map((one) => [one.name, one]))
      for (const line of moduleTables(all).dep.trim().split('\n')) {
        const [, rest = ''] = line.split(':')
        const order = rest.trim().split(' ').filter(Boolean)
        if (new Set(order).size !== order.length) return false
        const at = (name: string): number => order.indexOf(`kernel/lib/${name}.ko`)
        for (const one of order) {
          const { name, depends } = byName.get(/m\d+/.exec(one)![0])!
          if (depends.some((other) => at(other) < at(name))) return false
        }
      }
      return true
    }),
  )
})
