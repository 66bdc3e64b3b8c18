const CR = 13
const LF = 10

/** Text as netascii (RFC 764, which RFC 1350 names): LF becomes CR LF, a lone CR becomes CR NUL. */
export function toNetascii(bytes: Uint8Array): Buffer {
  let extra = 0
  for (const byte of bytes) if (byte === LF || byte === CR) extra++
  const out = Buffer.allocUnsafe(bytes.length + extra)
  let at = 0
  for (const byte of bytes) {
    if (byte === LF) out[at++] = CR
    out[at++] = byte
    if (byte === CR) out[at++] = 0
  }
  return out
}
