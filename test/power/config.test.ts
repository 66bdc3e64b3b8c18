import t from 'tap'
import { parsePower } from '../../src/power/config.ts'
import { parseBootFlags } from '../../src/power/ipmi.ts'
import { UserError } from '../../src/shared/errors.ts'
import { placeAt } from '../../src/shared/source.ts'
import fc from '../property.ts'

const redfish = { type: 'redfish', address: 'bmc-1', user: 'admin', password: 'p4ssw0rd' }
const ipmi = { ...redfish, type: 'ipmi' }
const fingerprint = `SHA256:${'AB:'.repeat(31)}AB`

t.test('what is understood', async (t) => {
  for (const [value, expected] of [
    [redfish, { certificate: { mode: 'remember' }, firmware: 'uefi' }],
    [{ ...redfish, certificate: fingerprint }, { certificate: { sha256: 'ab'.repeat(32) } }],
    [
      { ...redfish, certificate: 'verify', system: 1 },
      { certificate: { mode: 'verify' }, system: '1' },
    ],
    [ipmi, { port: 623, privilege: 'administrator', firmware: 'uefi' }],
    [
      { type: 'wol', mac: '02:00:00:ab:cd:ef' },
      { port: 9, mac: [Buffer.from('020000abcdef', 'hex')] },
    ],
    [{ type: 'wol', mac: ['0200.00ab.cdef'], password: 'a1:b2:c3:d4' }, { password: 'a1:b2:c3:d4' }],
    [
      { type: 'command', command: './pdu' },
      { command: ['./pdu'], timeout: 60 },
    ],
    [{ type: 'command', command: ['pdu', '-x'], env: { OUTLET: '3' } }, { env: { OUTLET: '3' } }],
  ] as const)
    t.match(parsePower('n1', value), expected)
  for (const [address, href] of [
    ['10.0.0.5', 'https://10.0.0.5/'],
    ['10.0.0.5:8443', 'https://10.0.0.5:8443/'],
    ['fd00::5', 'https://[fd00::5]/'],
    ['[fd00::5]:444', 'https://[fd00::5]:444/'],
    ['https://bmc/', 'https://bmc/'],
    ['http://127.0.0.1:8000', 'http://127.0.0.1:8000/'],
  ] as const)
    t.equal((parsePower('n1', { ...redfish, address }) as { address: URL }).address.href, href)
})

t.test('what is not', async (t) => {
  const place = placeAt({ path: 'hosts.yml', text: 'runbook_power: {password: p4ssw0rd}' }, 15)
  for (const [value, message] of [
    ['redfish', /hosts\.yml:1:16: host n1: runbook_power/],
    [{}, /runbook_power.type: type must be one of redfish, ipmi, wol, command/],
    [{ type: 'idrac' }, /must be one of/],
    [{ ...redfish, address: 'http://10.0.0.5' }, /address: must be https:/],
    [{ ...redfish, address: 'https://a:b@bmc' }, /address: must be without a password/],
    [{ ...redfish, address: 'https://bmc/redfish/v1' }, /address: must end after host and port/],
    [{ ...redfish, address: 'ftp://bmc' }, /address: must be a host name/],
    [{ ...redfish, certificate: 'yes' }, /certificate: must be remember, verify, or a fingerprint/],
    [{ ...redfish, pasword: 'x' }, /Unrecognized key: "pasword"/],
    [{ ...ipmi, password: 'x'.repeat(21) }, /password: must have at most 20 bytes/],
    [{ ...ipmi, address: '-oProxy' }, /address: must be a host name/],
    [{ ...ipmi, cipher: 18 }, /cipher/],
    [{ type: 'wol', mac: '02:00' }, /mac.*: "02:00" is no MAC address/],
    [{ type: 'wol', mac: ['02:00:00:ab:cd:ef', 'x'] }, /mac/],
    [{ type: 'wol', mac: '02:00:00:ab:cd:ef', password: 'abcde' }, /password: must be four or six bytes/],
    [{ type: 'command', command: [] }, /command/],
    [{ type: 'command', command: 'x', timeout: 0 }, /timeout/],
  ] as const) {
    t.throws(() => parsePower('n1', value, place), { name: 'UserError', message })
    try {
      parsePower('n1', value, place)
    } catch (error) {
      t.notMatch((error as Error).message, /p4ssw0rd/, 'the line with the password is not shown')
    }
  }
})

t.test('anything at all is understood or a user error', async () => {
  const types = fc.constantFrom('redfish', 'ipmi', 'wol', 'command')
  const value = fc.oneof(
    fc.anything(),
    fc.record(
      { type: types, address: fc.string(), mac: fc.anything(), command: fc.anything() },
      { requiredKeys: ['type'] },
    ),
  )
  fc.assert(
    fc.property(value, (any) => {
      try {
        parsePower('n1', any)
      } catch (error) {
        if (!(error instanceof UserError)) throw error
      }
    }),
  )
})

t.test("ipmitool's boot flags", async (t) => {
  const text = (data: string) =>
    `Boot parameter version: 1\nBoot parameter 5 is valid/unlocked\nBoot parameter data: ${data}\n Boot Flags :\n`
  for (const [data, flags] of [
    ['0000000000', { valid: false, persistent: false, uefi: false, selector: 0 }],
    ['a004000000', { valid: true, persistent: false, uefi: true, selector: 1 }],
    ['e008000000', { valid: true, persistent: true, uefi: true, selector: 2 }],
    ['8018000000', { valid: true, persistent: false, uefi: false, selector: 6 }],
  ] as const)
    t.same(parseBootFlags(text(data)), flags, data)
  t.equal(parseBootFlags('Get Chassis Boot Parameter 5 failed'), undefined)
})
