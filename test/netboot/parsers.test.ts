/** What strangers send by HTTP: any text at all becomes a few bounded words, or nothing; never a crash. */
import t from 'tap'
import { describeFacts, hostOf, parseFacts } from '../../src/netboot/facts.ts'
import { BadRequest, segmentsOf } from '../../src/netboot/http/request.ts'
import { parseHostKeys, parseReport } from '../../src/netboot/reports.ts'
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
