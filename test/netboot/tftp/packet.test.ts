import t from 'tap'
import { cleanName } from '../../../src/netboot/tftp/files.ts'
import { toNetascii } from '../../../src/netboot/tftp/netascii.ts'
import { negotiate } from '../../../src/netboot/tftp/options.ts'
import { encodeError, encodeRequest, parseRequest, readError } from '../../../src/netboot/tftp/packet.ts'
import fc from '../../property.ts'
import { FUZZ, FUZZ_TIMEOUT } from '../fuzz.ts'
import { readPcap } from '../pcap.ts'

const word = fc.string({ minLength: 1, unit: fc.integer({ min: 33, max: 126 }).map((n) => String.fromCharCode(n)) })

t.test('requests read as they were written', async () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      word,
      fc.constantFrom('octet', 'netascii'),
      fc.uniqueArray(
        word.map((name) => name.toLowerCase()),
        { maxLength: 5 },
      ),
      (write, file, mode, names) => {
        const request = { write, file, mode, options: new Map(names.map((name, i) => [name, String(i)])) }
        const again = parseRequest(encodeRequest(request))!
        return JSON.stringify([again, ...again.options]) === JSON.stringify([request, ...request.options])
      },
    ),
  )
})

t.test('any bytes give a request or nothing', async (t) => {
  t.setTimeout(FUZZ_TIMEOUT)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, begun) => {
      const request = parseRequest(Buffer.from(begun ? [0, 1, ...bytes] : bytes))
      if (request === undefined) return
      cleanName(request.file)
      negotiate(request.options, 1000)
    }),
    FUZZ,
  )
  for (const hex of [
    '',
    '00',
    '0001',
    '000161',
    '00016100',
    '0001006f6300',
    '00016100006f00',
    '01016100620000',
    '00036100620000',
  ]) {
    t.equal(parseRequest(Buffer.from(hex, 'hex')), undefined, hex)
  }
})

t.test('what real firmware asks for', async (t) => {
  const asked = ['uefi', 'shim'].flatMap((name) =>
    readPcap(name)
      .filter(({ port }) => port === 69)
      .map(({ payload }) => parseRequest(payload)!)
      .map(({ file, mode, options }) => `${cleanName(file)} ${mode} ${[...options].flat().join(' ')}`),
  )
  t.strictSame(asked, [
    'ipxe.efi octet tsize 0 blksize 1468 windowsize 4',
    'ipxe.efi octet blksize 1468 windowsize 4',
    'shimx64.efi octet tsize 0 blksize 1468 windowsize 4',
    'shimx64.efi octet blksize 1468 windowsize 4',
    'revocations_sku.efi octet blksize 512 windowsize 4',
    'revocations_sbat.efi octet blksize 512 windowsize 4',
    'shim_certificate_0.efi octet blksize 512 windowsize 4',
    'grubx64.efi octet blksize 512 windowsize 4',
    'grub/x86_64-efi/command.lst octet blksize 1024 tsize 0',
    'grub/x86_64-efi/fs.lst octet blksize 1024 tsize 0',
    'grub/x86_64-efi/crypto.lst octet blksize 1024 tsize 0',
    'grub/x86_64-efi/terminal.lst octet blksize 1024 tsize 0',
    'grub/grub.cfg octet blksize 1024 tsize 0',
    'vmlinuz octet blksize 1024 tsize 0',
    'initrd.img octet blksize 1024 tsize 0',
  ])
})

t.test('names', async (t) => {
  for (const [name, path] of [
    ['a', 'a'],
    ['/a/b', 'a/b'],
    ['//a//b', 'a/b'],
    ['\\a\\b', 'a/b'],
    ['./a/./b', 'a/b'],
    ['a\xff', 'a'],
    ['a\0\xff\0', 'a'],
    ['a..b/..c', 'a..b/..c'],
    ['../a', undefined],
    ['a/../b', undefined],
    ['a\\..\\b', undefined],
    ['a\0b', undefined],
    ['', undefined],
    ['/', undefined],
    ['\xff', undefined],
  ] as const) {
    t.equal(cleanName(name), path, JSON.stringify(name))
  }
})

t.test('options', async (t) => {
  for (const [options, blockSize, windowSize, accepted] of [
    [{}, 512, 1, ''],
    [{ tsize: '0', blksize: '1468', windowsize: '4' }, 1468, 4, 'tsize=1000 blksize=1468 windowsize=4'],
    [{ blksize: '65464' }, 1468, 1, 'blksize=1468'],
    [{ blksize: '8' }, 8, 1, 'blksize=8'],
    [{ blksize: '7', windowsize: '0', timeout: '0', tsize: 'x' }, 512, 1, ''],
    [{ blksize: '65465', windowsize: '65536', timeout: '256' }, 512, 1, ''],
    [{ blksize: '1e3', windowsize: ' 4', tsize: '-1' }, 512, 1, ''],
    [{ windowsize: '65535' }, 512, 64, 'windowsize=64'],
    [{ multicast: '', timeout: '3' }, 512, 1, 'timeout=3'],
  ] as const) {
    const terms = negotiate(new Map(Object.entries(options)), 1000)
    const said = terms.accepted.map((pair) => pair.join('=')).join(' ')
    t.strictSame([terms.blockSize, terms.windowSize, said], [blockSize, windowSize, accepted])
  }
})

t.test('netascii and errors', async (t) => {
  t.equal(toNetascii(Buffer.from('a\nb\r\nc\r')).toString(), 'a\r\nb\r\0\r\nc\r\0')
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const back = toNetascii(bytes).toString('latin1').replaceAll('\r\n', '\n').replaceAll('\r\0', '\r')
      return back === Buffer.from(bytes).toString('latin1')
    }),
  )
  t.equal(readError(encodeError(1, 'file not found')), 'file not found')
  t.equal(readError(Buffer.of(0, 5, 0, 8)), 'error 8')
  t.equal(readError(Buffer.from('\0\x05\0\x01a\x1b[2Jb')), 'a?[2Jb', 'no control characters in the log')
})
