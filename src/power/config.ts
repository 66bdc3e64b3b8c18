/** From `runbook_power` of the inventory to power control. */
import { resolve } from 'node:path'
import { z } from 'zod'
import { Problems, UserError } from '../shared/errors.ts'
import { formatPlace, type Place } from '../shared/source.ts'
import { type CertificatePolicy, parseFingerprint } from './certificates.ts'
import { commandDriver } from './command.ts'
import type { DriverContext, PowerDriver } from './driver.ts'
import { ipmiDriver } from './ipmi.ts'
import { makePower, type Power } from './power.ts'
import { redfishDriver } from './redfish/driver.ts'
import { parseMac, wolDriver } from './wol.ts'

/** The variable. */
export const POWER_VARIABLE = 'runbook_power'

const text = z.string().min(1, 'must not be empty')
const firmware = z.enum(['uefi', 'legacy']).default('uefi').describe('how the host boots')
const user = text.describe('user of the controller')

const certificate = z
  .string()
  .default('remember')
  .transform((value, context): CertificatePolicy => {
    if (value === 'remember' || value === 'verify') return { mode: value }
    const sha256 = parseFingerprint(value)
    if (sha256 !== undefined) return { sha256 }
    context.addIssue({ code: 'custom', message: 'must be remember, verify, or a fingerprint SHA256:…' })
    return z.NEVER
  })

const baseUrl = text.transform((value, context): URL => {
  const hasScheme = value.includes('://')
  // An IPv6 address as it is read aloud.
  const host = !hasScheme && /^[0-9a-f]*:[0-9a-f:]*:[0-9a-f.]*$/i.test(value) ? `[${value}]` : value
  const url = URL.parse(hasScheme ? value : `https://${host}`)
  const issue = (message: string): never => {
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  }
  if (!url?.hostname || !['https:', 'http:'].includes(url.protocol))
    return issue('must be a host name, an address or https://…')
  if (url.username || url.password) return issue('must be without a password; give user and password on their own')
  if (url.pathname !== '/' || url.search || url.hash) return issue('must end after host and port')
  if (url.protocol === 'http:' && !/^(localhost|127\..*|\[::1\])$/.test(url.hostname))
    return issue('must be https: over http the password could be read on the way')
  return url
})

/** IPMI passwords end after 20 bytes and names after 16 (IPMI 2.0, 22.28 and 22.30). */
const atMost = (bytes: number) =>
  text.refine((value) => Buffer.byteLength(value) <= bytes, `must have at most ${bytes} bytes: IPMI has no longer ones`)

const mac = z.string().transform((value, context) => {
  const parsed = parseMac(value)
  if (parsed) return parsed
  context.addIssue({ code: 'custom', message: `"${value}" is no MAC address` })
  return z.NEVER
})

const SCHEMAS = {
  redfish: z.strictObject({
    type: z.literal('redfish'),
    address: baseUrl,
    user,
    password: text,
    certificate,
    system: z.union([text, z.int().transform(String)]).optional(),
    firmware,
  }),
  ipmi: z.strictObject({
    type: z.literal('ipmi'),
    address: text.regex(/^[^-\s/][^\s/]*$/, 'must be a host name or an address'),
    port: z.int().min(1).max(65535).default(623),
    user: atMost(16),
    password: atMost(20),
    cipher: z.int().min(1).max(17).optional(),
    privilege: z.enum(['administrator', 'operator']).default('administrator'),
    firmware,
  }),
  wol: z.strictObject({
    type: z.literal('wol'),
    mac: z.union([mac.transform((one) => [one]), z.array(mac).min(1)]),
    broadcast: z.ipv4('must be an IPv4 address').optional(),
    port: z.int().min(1).max(65535).default(9),
    password: z
      .string()
      .regex(/^[0-9a-f]{2}(?:[:.-]?[0-9a-f]{2}){3}(?:(?:[:.-]?[0-9a-f]{2}){2})?$/i, 'must be four or six bytes in hex')
      .optional(),
  }),
  command: z.strictObject({
    type: z.literal('command'),
    command: z.union([text.transform((one) => [one]), z.array(z.string()).min(1)]),
    env: z.record(z.string().regex(/^[A-Za-z_]\w*$/, 'must be a name'), z.string()).default({}),
    timeout: z.number().positive().max(3600).default(60).describe('seconds that one call may take'),
  }),
} as const

const schema = z.discriminatedUnion('type', [SCHEMAS.redfish, SCHEMAS.ipmi, SCHEMAS.wol, SCHEMAS.command], {
  error: (issue) =>
    issue.code === 'invalid_union' ? `type must be one of ${Object.keys(SCHEMAS).join(', ')}` : undefined,
})

export type PowerSettings = z.output<typeof schema>

/** Reads the variable's value. Throws UserError with every problem; `place` is where the variable stands. */
export function parsePower(host: string, value: unknown, place?: Place): PowerSettings {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = new Problems()
  for (const { path, message } of result.error.issues.flatMap(flatten)) {
    const where = [POWER_VARIABLE, ...path.map(String)].join('.')
    // The place without the line that stands there: a password may stand in it.
    problems.add(`${place ? `${formatPlace(place)}: ` : ''}host ${host}: ${where}: ${message}`)
  }
  throw new UserError(problems.list)
}

type Issue = z.core.$ZodIssue

/** Of alternatives, the first that got as far as the value's own shape says what is wrong. */
function flatten(issue: Issue): { path: readonly PropertyKey[]; message: string }[] {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const best = issue.errors.find((errors) => errors.every(({ code }) => code === 'custom')) ?? issue.errors[0]!
    return best.flatMap(flatten).map((one) => ({ ...one, path: [...issue.path, ...one.path] }))
  }
  return [{ path: issue.path, message: issue.message }]
}

export interface PowerContext extends DriverContext {
  /** Where `.runbook/` stands, and what a relative `command` is relative to. */
  readonly folder: string
}

/** Power control as the settings say. Nothing is contacted yet. */
export function openPower(settings: PowerSettings, context: PowerContext): Power {
  return makePower(context.host, driverOf(settings, context))
}

function driverOf(settings: PowerSettings, context: PowerContext): PowerDriver {
  const { host, folder } = context
  switch (settings.type) {
    case 'redfish':
      return redfishDriver({ ...settings, base: settings.address, folder }, context)
    case 'ipmi':
      return ipmiDriver(settings, context)
    case 'wol': {
      const { mac: macs, password, ...rest } = settings
      if (password !== undefined) context.addSecret(password)
      const bytes = password === undefined ? undefined : Buffer.from(password.replaceAll(/[:.-]/g, ''), 'hex')
      return wolDriver(host, { ...rest, macs, password: bytes })
    }
    case 'command': {
      const [program = '', ...args] = settings.command
      // A bare name is looked up in PATH; anything with a slash stands beside the inventory's folder.
      const argv = [program.includes('/') ? resolve(folder, program) : program, ...args]
      return commandDriver(host, { argv, env: settings.env, timeoutMs: settings.timeout * 1000 })
    }
  }
}
