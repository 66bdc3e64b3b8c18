import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { isAlive, processName } from '../../src/journal/process.ts'

t.test('alive, gone, and a zombie that nobody takes note of', async (t) => {
  t.ok(isAlive(processName()))
  // sh leaves its child alone and becomes a sleep that never waits for it.
  const parent = spawn('sh', ['-c', 'sleep 1000 & echo $!; exec sleep 1000'], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => parent.kill('SIGKILL'))
  const pid = await new Promise<number>((resolve) => parent.stdout.once('data', (text) => resolve(Number(text))))
  const name = processName(pid)
  t.ok(isAlive(name))
  process.kill(pid, 'SIGKILL')
  const state = (): string => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))![1]!
  while (state() !== 'Z') await new Promise((resolve) => setTimeout(resolve, 20))
  t.notOk(isAlive(name), 'a zombie has ended')
  t.notOk(isAlive(JSON.stringify(['another-machine', process.pid, null])))
})
