/** What strangers send by HTTP: any text at all becomes a few bounded words, or nothing; never a crash. */
import t from 'tap'
import { OPTION, readSubOptions, readText, readUserClasses } from '../../src/netboot/dhcp/options.ts'
import { decode } from '../../src/netboot/dhcp/packet.ts'
import { describeFacts, hostOf, parseFacts } from '../../src/netboot/facts.ts'
import { BadRequest, segmentsOf } from '../../src/netboot/http/request.ts'
import { parseHostKeys, parseReport } from '../../src/netboot/reports.ts'
import { cleanName } from '../../src/netboot/tftp/files.ts'
import { parseRequest } from '../../src/netboot/tftp/packet.ts'
import fc from '../property.ts'
import { FUZZ, FUZZ_TIMEOUT } from './fuzz.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.json(),
  fc
    .record({ status: fc.constantFrom('installing', 'installed', 'failed', ''), step: fc.string({ unit: 'binary' }) })
    .map(JSON.stringify as (value: unknown) => string),
  fc
    .record({ name: fc.string({ unit: 'binary' }), event_type: fc.constantFrom('start', 'finish') })
    .map(JSON.stringify as (value: unknown) => string),
  fc.string().map((key) => `pub_key_x=${encodeURIComponent(`ssh-ed25519 ${'A'.repeat(44)}${key}`)}`),
)

t.test('reports, host keys, facts', async (t) => {
  t.setTimeout(FUZZ_TIMEOUT)
  fc.assert(
    fc.property(text, (body) => {
      const report = parseReport(body)
      const said = report?.type === 'progress' ? report.step : report?.type === 'failed' ? report.reason : ''
      if (said.length > 200 || /[^\x20-\x7e]/.test(said)) return false
      if (!parseHostKeys(body).every((key) => /^[a-z0-9-]+ [A-Za-z0-9+/=]+$/.test(key))) return false
      const facts = parseFacts(body)
      if (facts) JSON.stringify([describeFacts(facts), hostOf('x', facts)])
      return true
    }),
    FUZZ,
  )
})

const path = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.webPath(),
  fc
    .array(fc.constantFrom('..', '%2e%2e', '%2f', '%5c', '\\', '.', 'files', 'a', '', '%', '%00', '%0a'))
    .map((all) => `/${all.join('/')}`),
)

t.test('paths never lead up', async (t) => {
  t.setTimeout(FUZZ_TIMEOUT)
  fc.assert(
    fc.property(path, (target) => {
      try {
        return segmentsOf(target).every((one) => one !== '..' && one !== '' && !/[\0-\x1f\x7f/\\]/.test(one))
      } catch (error) {
        return error instanceof BadRequest
      }
    }),
    FUZZ,
  )
})

/** Milliseconds of processor time. */
function costOf(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

t.test('one packet of a stranger does not keep the others waiting', async (t) => {
  // Long enough that what takes the square of it takes minutes.
  const MANY = 1_000_000
  const ends = (unit: string): string => `${unit.repeat(MANY)}x`
  const nul = Buffer.alloc(MANY + 1)
  nul[MANY] = 120
  for (const [name, work] of Object.entries({
    'text of a DHCP option': () => readText(new Map([[OPTION.vendorClass, nul]]), OPTION.vendorClass),
    'name of a TFTP file, 0': () => cleanName(ends('\0')),
    'name of a TFTP file, 255': () => cleanName(ends('\xff')),
    'name of a TFTP file, slashes': () => cleanName(ends('/')),
    'target of a request': () => segmentsOf(`/${ends('/%2e')}`),
    'user classes': () => readUserClasses(Buffer.alloc(MANY, 1)),
    'sub-options': () => readSubOptions(Buffer.alloc(MANY, 1)),
    'a report': () => parseReport(JSON.stringify({ status: 'failed', step: ends('\n') })),
    'host keys': () => parseHostKeys(`pub_key_x=ssh-rsa%20${ends('A')}&pub_key_y=ssh-rsa%20${ends('=')}`),
  })) {
    const cost = costOf(() => {
      try {
        work()
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error
      }
    })
    t.ok(cost < 5000, `${name}: ${Math.round(cost)} ms`)
  }
  // UDP carries 64 KiB; an option in many parts is put together anew with each of them.
  const head = Buffer.alloc(240)
  head.set([1, 1, 6])
  head.writeUInt32BE(0x63825363, 236)
  const parts = (length: number): Buffer => Buffer.concat([head, Buffer.alloc(length, Buffer.of(43, 1, 65))])
  t.equal(decode(parts(8700))?.options.get(43)?.length, 2900)
  t.equal(decode(parts(65_000)), undefined, 'longer than any frame')
  t.equal(parseRequest(Buffer.from(`\0\x01${'x'.repeat(1400)}\0octet\0`))?.mode, 'octet')
  t.equal(parseRequest(Buffer.from(`\0\x01${'x'.repeat(60_000)}\0octet\0`)), undefined)
})
