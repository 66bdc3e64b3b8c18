import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'

/**
 * Takes an exclusive lock on a file by flock(1), so that it is gone when this process is, however that ended.
 * `onWait` is called once when another process holds it.
 */
export async function takeLock(file: string, onWait: () => void = () => {}): Promise<AsyncDisposable> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o755 })
  // `cat` ends with our end of the pipe.
  const child = spawn('flock', [file, 'sh', '-c', 'echo locked; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const timer = setTimeout(onWait, 300)
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => reject(new Error(`flock ${file}: exit status ${code}`)))
      child.stdout.once('data', () => resolve())
    })
  } finally {
    clearTimeout(timer)
  }
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await ended
    },
  }
}
