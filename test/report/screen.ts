import { Writable } from 'node:stream'

/**
 * A terminal that keeps everything that was ever on it, scrolled away or not: lines, and the few sequences that log-update
 * uses (erase line, up, column 1). Any other escape sequence is an error, so that a test notices it.
 */
export function makeScreen(columns: number, rows: number) {
  const lines: string[] = ['']
  let row = 0
  let column = 0
  const snapshots: string[][] = []
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      put(String(chunk))
      done()
    },
  })

  function put(text: string): void {
    for (const [part] of text.matchAll(/\x1b\[[0-9;?]*[A-Za-z]|\n|[^\x1b\n]+|\x1b/g)) {
      if (part === '\n') {
        row++
        column = 0
        if (row === lines.length) lines.push('')
      } else if (part === '\x1b[2K') lines[row] = ''
      else if (part === '\x1b[1A') row = Math.max(0, row - 1)
      else if (part === '\x1b[G') column = 0
      else if (/^\x1b\[([0-9;]*m|\?25[lh])$/.test(part)) continue
      else if (part.startsWith('\x1b')) throw new Error(`unexpected sequence ${JSON.stringify(part)}`)
      else {
        lines[row] = lines[row]!.slice(0, column).padEnd(column) + part + lines[row]!.slice(column + part.length)
        column += part.length
      }
    }
    snapshots.push([...lines])
  }

  return {
    stream: Object.assign(stream, { columns, rows, isTTY: true }) as unknown as NodeJS.WriteStream,
    lines: () => lines.map((line) => line.trimEnd()),
    snapshots,
  }
}
