import t from 'tap'
import { stepQuestion } from '../../src/cli/prompt.ts'
import { UserError } from '../../src/shared/errors.ts'

t.test('--step: what counts as an answer', async (t) => {
  const ask = async (...lines: string[]) => {
    const questions: string[] = []
    const answer = await stepQuestion(async (question) => {
      questions.push(question)
      const line = lines.shift()
      if (line === undefined) throw new UserError('no answer was given')
      return line
    })('Format \u001b[2J\ndisk', ['h1', 'h2'])
    return { answer, asked: questions.length, question: questions[0]! }
  }
  for (const [lines, answer, asked] of [
    [['y'], 'yes', 1],
    [['Yes '], 'yes', 1],
    [['n'], 'no', 1],
    [['con'], 'continue', 1],
    [['', 'yess', 'q', 'no'], 'no', 4],
    [['maybe'], 'stop', 2],
  ] as const)
    t.match(await ask(...lines), { answer, asked }, lines.join())
  const { question } = await ask('y')
  t.match(question, /disk on 2 hosts: run it\?/)
  t.notMatch(question, /[\u0000-\u001f]/, 'a name writes nothing else to the terminal')
})
