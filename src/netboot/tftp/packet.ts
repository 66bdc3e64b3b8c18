/** The TFTP messages: RFC 1350 section 5, with the option extension of RFC 2347. */

export const OPCODE = { read: 1, write: 2, data: 3, ack: 4, error: 5, oack: 6 } as const

/** Error codes: RFC 1350, appendix; 8 is RFC 2347's. */
export const ERROR = { other: 0, notFound: 1, access: 2, illegal: 4, unknownTransfer: 5, option: 8 } as const

export interface Request {
  readonly write: boolean
  /** As sent; `cleanName` makes a path of it. */
  readonly file: string
  /** Lower case: `octet` or `netascii`, or something that is refused. */
  readonly mode: string
  /** Names in lower case (RFC 2347: they compare without case), in the order of the packet. */
  readonly options: ReadonlyMap<string, string>
}

/** A request has at most 512 bytes (RFC 2347); no client of ours needs more than a frame. */
const LONGEST_REQUEST = 1500

/** A read or write request from any bytes; undefined when it is none. */
export function parseRequest(bytes: Buffer): Request | undefined {
  if (bytes.length < 4 || bytes.length > LONGEST_REQUEST || bytes[0] !== 0) return undefined
  if (bytes[1] !== OPCODE.read && bytes[1] !== OPCODE.write) return undefined
  // Every field ends with a NUL, so the split has an empty last part.
  const fields = bytes.toString('latin1', 2).split('\0')
  const [file = '', mode = ''] = fields
  if (file === '' || mode === '' || fields.length < 3) return undefined
  const options = new Map<string, string>()
  for (let i = 2; i + 1 < fields.length - 1; i += 2) options.set(fields[i]!.toLowerCase(), fields[i + 1]!)
  return { write: bytes[1] === OPCODE.write, file, mode: mode.toLowerCase(), options }
}

export function encodeRequest({ write, file, mode, options }: Request): Buffer {
  const fields = [file, mode, ...[...options].flat()]
  return Buffer.from(`\0${String.fromCharCode(write ? 2 : 1)}${fields.map((field) => `${field}\0`).join('')}`, 'latin1')
}

export function encodeOptions(options: Iterable<readonly [string, string]>): Buffer {
  return Buffer.from(`\0\x06${[...options].map(([name, value]) => `${name}\0${value}\0`).join('')}`, 'latin1')
}

export function encodeError(code: number, message: string): Buffer {
  return Buffer.concat([Buffer.of(0, OPCODE.error, 0, code), Buffer.from(`${message}\0`)])
}

/** The text of an ERROR message, for the log. */
export function readError(bytes: Buffer): string {
  const end = bytes.indexOf(0, 4)
  const text = bytes.toString('latin1', 4, end === -1 ? bytes.length : end).replace(/[^\x20-\x7e]/g, '?')
  return text || `error ${bytes.length >= 4 ? bytes.readUInt16BE(2) : '?'}`
}
