import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Prompt } from '../session/session.ts'
import { UserError } from '../shared/errors.ts'

/** Asks at the terminal, one question at a time; what is secret is not echoed. Undefined when there is no terminal. */
export function terminalPrompt(suspend: <T>(fn: () => Promise<T>) => Promise<T>): Prompt | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined
  let last: Promise<unknown> = Promise.resolve()
  return (question, { secret }) => {
    const answer = last.then(() => suspend(() => ask(question, secret)))
    last = answer.catch(() => {})
    return answer
  }
}

function ask(question: string, secret: boolean): Promise<string> {
  const muted = new Writable({ write: (_chunk, _encoding, done) => done() })
  process.stderr.write(`${question} `)
  const lines = createInterface({ input: process.stdin, output: secret ? muted : process.stderr, terminal: true })
  return new Promise((resolve, reject) => {
    lines.once('line', resolve)
    // readline has the terminal in raw mode, so Ctrl-C comes here and not as a signal; Ctrl-D ends the input.
    lines.once('SIGINT', () => {
      lines.close()
      process.kill(process.pid, 'SIGINT')
    })
    lines.once('close', () => reject(new UserError('no answer was given')))
  }).then(
    (line) => finish(line as string),
    (error: unknown) => {
      finish('')
      throw error
    },
  )

  function finish(line: string): string {
    lines.removeAllListeners('close')
    lines.close()
    if (secret) process.stderr.write('\n')
    return line
  }
}
