import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Each host runs in a cgroup of its own in every hierarchy of the machine (version 1, 2 or both), so that hosts do not
 * share limits and the processes of a host can be found, counted and killed whatever became of their parents.
 */

/** Mount points of the machine's cgroup hierarchies. */
export function cgroupMounts(): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
  return mounts.flatMap((line) => {
    const [, folder, type] = line.split(' ')
    return (type === 'cgroup' || type === 'cgroup2') && folder!.startsWith('/sys/fs/cgroup') ? [folder!] : []
  })
}

/** Makes the cgroup in every hierarchy; returns their folders. */
export async function createCgroups(name: string): Promise<string[]> {
  const folders: string[] = []
  for (const mount of cgroupMounts()) {
    const folder = `${mount}/${name}`
    await mkdir(folder, { recursive: true })
    // A version 1 cpuset takes no process before it has cpus and memory nodes.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (existsSync(`${mount}/cgroup.controllers`) || !existsSync(`${mount}/${file}`)) continue
      await writeFile(`${folder}/${file}`, await readFile(`${mount}/${file}`))
    }
    folders.push(folder)
  }
  return folders
}

/**
 * Ids of the processes in the cgroup and below it, as this machine sees them. One hierarchy tells all of them: a host's
 * processes are born into its cgroups and cannot leave them.
 */
export function cgroupProcesses(name: string): number[] {
  const pids: number[] = []
  for (const folder of tree(`${cgroupMounts()[0]}/${name}`)) {
    try {
      pids.push(...(readFileSync(`${folder}/cgroup.procs`, 'utf8').match(/\d+/g) ?? []).map(Number))
    } catch {
      // removed meanwhile, or a threaded cgroup: its processes are listed in the one above
    }
  }
  return pids
}

/** SIGKILLs every process in the cgroup until none is left. */
export async function killCgroup(name: string): Promise<void> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const pids = cgroupProcesses(name)
    if (pids.length === 0) return
    if (Date.now() > deadline) throw new Error(`processes ${pids.join(', ')} of ${name} do not die`)
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // already gone
      }
    }
    await sleep(10)
  }
}

/** Removes what is below the cgroup, which holds no process any more, and the cgroup itself. */
export async function removeCgroup(name: string): Promise<void> {
  for (const mount of cgroupMounts()) {
    for (const folder of tree(`${mount}/${name}`).reverse()) await rmdir(folder).catch(() => {})
  }
}

/** Removes the (empty) cgroups whose name starts with `prefix`, everywhere. */
export async function removeCgroups(prefix: string): Promise<void> {
  for (const mount of cgroupMounts()) {
    for (const entry of await readdir(mount)) {
      if (!entry.startsWith(prefix)) continue
      for (const folder of tree(`${mount}/${entry}`).reverse()) await rmdir(folder).catch(() => {})
    }
  }
}

/** The folder and all below it, parents first; none if it is not there. */
function tree(folder: string): string[] {
  try {
    const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return [folder, ...below.flatMap((entry) => tree(`${folder}/${entry.name}`))]
  } catch {
    return []
  }
}
