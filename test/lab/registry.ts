import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { UserError } from '../../src/shared/errors.ts'
import { killCgroup, removeCgroups } from './cgroups.ts'
import { takeLock } from './lock.ts'
import { unmountBelow } from './mounts.ts'
import { createNetwork, freeSubnet, removeNetwork } from './network.ts'
import { run } from './run.ts'

/**
 * What labs there are on this machine: a folder each in /run/runbook-lab. A lab belongs to a process and goes when that
 * process is gone, or stays until it is taken down (`owner: null`).
 */

const REGISTRY = '/run/runbook-lab'

/** What the hosts of a lab are like. */
export interface LabSpec {
  readonly name: string
  readonly hosts: readonly string[]
  /** Root folder of the image. */
  readonly image: string
  readonly sh: 'dash' | 'bash' | 'busybox'
  readonly loginShell: 'bash' | 'fish' | 'csh'
  /** Folders of this machine that hosts see at the same path, read-only. */
  readonly readOnly: readonly string[]
}

export interface LabRecord extends LabSpec {
  /** Tells this lab from a later one of the same name. */
  readonly id: string
  /** The process that the lab belongs to; null for a lab that stays. */
  readonly owner: { readonly pid: number; readonly startTime: string } | null
  /** boot_id of the machine: after a reboot only the folder is left of a lab. */
  readonly machineBoot: string
  /** Third octet of 10.213.x.0/24. */
  readonly subnet: number
}

export const labFolder = (name: string): string => path.join(REGISTRY, name)
export const hostFolder = (lab: string, host: string): string => path.join(labFolder(lab), 'hosts', host)
export const cgroupOf = (lab: string, host: string): string => `runbook-lab.${lab}.${host}`
/** nspawn's name of the host; unique on the machine. */
export const machineOf = (lab: string, host: string): string => `${lab}-${host}`

/** All labs of this machine that still stand. */
export async function listLabs(): Promise<LabRecord[]> {
  const names = existsSync(REGISTRY) ? await readdir(REGISTRY) : []
  const records = await Promise.all(names.map(readRecord))
  return records.filter((record) => record !== undefined).filter((record) => !isLeftOver(record))
}

/**
 * Enters a new lab of this process: removes what dead labs have left behind, then makes folder and network. Throws if a
 * lab of that name stands.
 */
export async function claimLab(spec: LabSpec): Promise<LabRecord> {
  const { name } = spec
  if (!/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    throw new UserError(`"${name}" is no name for a lab: a-z, 0-9 and - please`)
  await using _ = await takeLock(`${REGISTRY}.lock`)
  await sweep()
  if (await readRecord(name))
    throw new UserError({
      message: `lab ${name} is up already`,
      hint: `take it down first: npm run lab -- down --name ${name}`,
    })
  const subnet = await freeSubnet(name)
  const owner = { pid: process.pid, startTime: startTimeOf(process.pid)! }
  const record: LabRecord = { ...spec, id: randomUUID(), owner, machineBoot: machineBoot(), subnet }
  await removeEverything(name) // a folder without a record: its making was interrupted
  await mkdir(labFolder(name), { recursive: true, mode: 0o700 })
  await writeFile(recordFile(name), JSON.stringify(record))
  await createNetwork(name, subnet)
  // One memory file system for the disks of all hosts: fast, and gone with its mount.
  const disks = path.join(labFolder(name), 'disks')
  await mkdir(disks)
  await run(['mount', '-t', 'tmpfs', '-o', 'size=80%,mode=0755', 'runbook-lab', disks])
  return record
}

/** Lets a lab outlive this process. */
export async function disown(record: LabRecord): Promise<void> {
  await writeFile(recordFile(record.name), JSON.stringify({ ...record, owner: null }))
}

/** Takes a lab down, power cut and all; with `id` only if it is still that one. Not an error when it is not there. */
export async function removeLab(name: string, id?: string): Promise<boolean> {
  await using _ = await takeLock(`${REGISTRY}.lock`)
  const record = await readRecord(name)
  if (id !== undefined && record?.id !== id) return false
  const existed = existsSync(labFolder(name))
  await removeEverything(name)
  return existed
}

/** Removes labs whose process is gone, e.g. by SIGKILL together with its watchdog. */
async function sweep(): Promise<void> {
  for (const name of existsSync(REGISTRY) ? await readdir(REGISTRY) : []) {
    const record = await readRecord(name)
    if (!record || isLeftOver(record)) await removeEverything(name)
  }
}

async function removeEverything(name: string): Promise<void> {
  const record = await readRecord(name)
  const folder = labFolder(name)
  const hosts = existsSync(path.join(folder, 'hosts')) ? await readdir(path.join(folder, 'hosts')) : []
  await Promise.all(hosts.map((host) => killCgroup(cgroupOf(name, host))))
  await unmountBelow(folder)
  await removeNetwork(name, record?.subnet)
  await removeCgroups(`runbook-lab.${name}.`)
  for (const host of hosts) {
    await rm(`/run/systemd/nspawn/propagate/${machineOf(name, host)}`, { recursive: true, force: true })
  }
  await rm(folder, { recursive: true, force: true })
}

function isLeftOver({ owner, machineBoot: booted }: LabRecord): boolean {
  if (booted !== machineBoot()) return true
  return owner !== null && startTimeOf(owner.pid) !== owner.startTime
}

const recordFile = (name: string) => path.join(labFolder(name), 'lab.json')

async function readRecord(name: string): Promise<LabRecord | undefined> {
  try {
    return JSON.parse(await readFile(recordFile(name), 'utf8')) as LabRecord
  } catch {
    return undefined // not there, or cut short while being written
  }
}

function machineBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Start time of a process in clock ticks since boot (proc(5), field 22 of stat): with the id it names one process for good. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? undefined : fields[18]
  } catch {
    return undefined
  }
}
