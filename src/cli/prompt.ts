import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { AskStep } from '../engine/stepper.ts'
import { printable } from '../report/text.ts'
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

/** `--step`'s question. Throws UserError when there is nobody to ask. */
export function stepQuestion(prompt: Prompt | undefined): AskStep {
  if (!prompt)
    throw new UserError({ message: '--step needs a terminal to ask at', hint: 'run it by hand, without a pipe' })
  return async (task, hosts) => {
    const where = hosts.length === 1 ? hosts[0] : `${hosts.length} hosts`
    const question = printable(`${task} on ${where}: run it? (y)es, (n)o, (c)ontinue without asking:`).replaceAll(
      '\n',
      ' ',
    )
    for (;;) {
      let answer: string
      try {
        answer = await prompt(question, { secret: false })
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        // Ctrl-D; or Ctrl-C, whose signal must find the run still there, or it would end the process before the exit code.
        await setTimeout(SIGNAL_ARRIVES)
        return 'stop'
      }
      const word = ANSWERS.find((one) => answer.trim() !== '' && one.startsWith(answer.trim().toLowerCase()))
      if (word) return word
    }
  }
}

/** Milliseconds; a signal to oneself takes one turn of the event loop. */
const SIGNAL_ARRIVES = 20

const ANSWERS = ['yes', 'no', 'continue'] as const

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
