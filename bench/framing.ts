/**
 * Ways to hand scripts to a persistent `sh`, in milliseconds a script: `node bench/framing.ts`. See
 * docs/architecture.md, "Session framing".
 */
import { spawn } from 'node:child_process'
import { frameScript } from '../src/session/framing.ts'
import { quote } from '../src/shared/quote.ts'

const SHELLS: Record<string, readonly string[]> = {
  dash: ['dash'],
  'bash as sh': ['bash', '--posix'],
  busybox: ['busybox', 'sh'],
}
const NONCE = 'nonce'
const MARK = `printf '\\036${NONCE} %s\\n' $?; printf '\\036${NONCE}\\n' >&2`
const READ_LINE = 'while IFS= read -r l; do eval "$l"; done'
const READ_LINES = `while IFS= read -r l; do s=$l; while IFS= read -r l && [ "$l" != END ]; do s="$s
$l"; done; ( eval "$s" ) </dev/null; ${MARK}; done`

interface Way {
  /** Run by `sh -c`; without it the shell reads its commands from standard input. */
  readonly boot?: string
  readonly send: (script: string, shell: string) => string
}

const WAYS: Record<string, Way> = {
  'sh reads eval of a quoted script': { send: (script) => frameScript(script, NONCE, false) },
  'as above, by head(1) in bash above 8 KiB': {
    send: (script, shell) => frameScript(script, NONCE, shell.startsWith('bash')),
  },
  'read -r loop, one escaped line': {
    boot: READ_LINE,
    send: (script) => {
      const line = script.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
      return `( eval "$(printf '%b' ${quote(line)})" ) </dev/null; ${MARK}\n`
    },
  },
  'read -r loop, lines up to an end word': { boot: READ_LINES, send: (script) => `${script}\nEND\n` },
}

function scriptOf(bytes: number): string {
  let script = ''
  for (let i = 0; script.length < bytes; i++) script += `x${i}="some text with 'quotes' and $HOME"\n`
  return `${script}echo done`
}

for (const bytes of [100, 10_000, 60_000]) {
  const script = scriptOf(bytes)
  for (const [way, { boot, send }] of Object.entries(WAYS)) {
    const cells: string[] = []
    for (const [shell, [file = '', ...args]] of Object.entries(SHELLS)) {
      const child = spawn(file, boot ? [...args, '-c', boot] : args)
      const times: number[] = []
      for (let round = 0; round < 21; round++) {
        const begin = performance.now()
        const done = new Promise<void>((resolve) => {
          let out = ''
          child.stdout.removeAllListeners('data').on('data', (chunk) => {
            out += chunk
            if (!out.endsWith('0\n')) return
            if (out !== `done\n\x1e${NONCE} 0\n`) throw new Error(`${way} in ${shell}: ${out}`)
            resolve()
          })
        })
        child.stdin.write(send(script, shell))
        await done
        times.push(performance.now() - begin)
      }
      child.kill()
      cells.push(`${shell} ${times.toSorted((a, b) => a - b)[10]!.toFixed(1)}`)
    }
    console.log(`${String(bytes).padStart(6)} bytes  ${way.padEnd(42)} ${cells.join('   ')}`)
  }
}
