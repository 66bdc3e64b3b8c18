/** Scalars as SOPS sees them: their type, and the bytes that its MAC counts (ToBytes in sops.go). */
import type { EnvelopeType, Opened } from './envelope.ts'

export type ScalarValue = string | number | bigint | boolean

/** A scalar of a file, with its spelling there: tells `0644` from `420`, and keeps digits that a number loses. */
export interface Scalar {
  readonly value: ScalarValue
  readonly source: string
}

/** Type and text of a value that is to be encrypted. */
export function typed({ value, source }: Scalar): Opened {
  if (typeof value === 'string') return { type: 'str', text: value }
  if (typeof value === 'boolean') return { type: 'bool', text: value ? 'True' : 'False' }
  if (/^[-+]?\d+$/.test(source)) return { type: 'int', text: BigInt(source.replace(/^\+/, '')).toString() }
  return Number.isInteger(Number(value)) && !/[.eE]/.test(source)
    ? { type: 'int', text: BigInt(value).toString() }
    : { type: 'float', text: decimal(Number(value)) }
}

/** What the MAC counts of a value that stands in the clear: SOPS reads it with Go's YAML, which has its own mind. */
export function macText(scalar: Scalar): string {
  const { value, source } = scalar
  if (typeof value === 'string') return timestamp(source) ?? value
  if (typeof value === 'number' && /^[-+]?0[0-7]+$/.test(source)) return Number.parseInt(source, 8).toString()
  return typed(scalar).text
}

/** The value that an envelope held. Numbers beyond what a number keeps come as bigint. Undefined: not of its type. */
export function clearValue({ type, text }: Opened): ScalarValue | undefined {
  switch (type as EnvelopeType) {
    case 'int': {
      if (!/^[-+]?\d+$/.test(text)) return undefined
      return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text.replace(/^\+/, ''))
    }
    case 'float': {
      const known = { '+Inf': Infinity, '-Inf': -Infinity, NaN: Number.NaN }[text]
      if (known !== undefined) return known
      return text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text)
    }
    case 'bool':
      // SOPS in Python wrote True, in Go ParseBool reads more.
      if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true
      return /^(0|f|F|false|FALSE|False)$/.test(text) ? false : undefined
    default:
      return text
  }
}

/** The shortest digits that give the number back, without an exponent: Go's FormatFloat(value, 'f', -1, 64). */
export function decimal(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const [, sign, whole, fraction = '', exponent] = /^(-?)(\d+)(?:\.(\d+))?(?:e([-+]\d+))?$/.exec(String(value))!
  if (exponent === undefined) return String(value)
  const digits = whole! + fraction
  const point = whole!.length + Number(exponent)
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  if (point >= digits.length) return sign + digits.padEnd(point, '0')
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}

const TIME = /^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d?):(\d\d?)(?:\.(\d+))?[ \t]*(Z|[-+]\d\d:\d\d)?)?$/

/** A plain (unquoted) YAML timestamp as Go marshals it. Undefined: it is none. */
function timestamp(source: string): string | undefined {
  const [all, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] =
    TIME.exec(source) ?? []
  if (all === undefined) return undefined
  const two = (text: string): string => text.padStart(2, '0')
  const rest = fraction.replace(/0+$/, '')
  const offset = /^[-+]00:00$/.test(zone) ? 'Z' : zone
  return `${year}-${two(month!)}-${two(day!)}T${two(hour)}:${two(minute)}:${two(second)}${rest && `.${rest}`}${offset}`
}
