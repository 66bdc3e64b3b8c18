import { readFile } from 'node:fs/promises'
import { run } from './run.ts'

/** Unmounts everything mounted below a folder, last first, so that removing the folder removes nothing else. */
export async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
  for (const mount of mounts.filter((place) => place.startsWith(`${folder}/`)).reverse()) {
    await run(['umount', '--lazy', mount])
  }
}
