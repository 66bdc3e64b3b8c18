import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, copyFile, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { LabSpec } from './registry.ts'
import { attempt, run } from './run.ts'

/** What makes one host differ from the others of the same image. */
export interface DiskSpec {
  /** Folder of the host in the registry; keeps what outlives a reset (its host keys). */
  readonly folder: string
  /** Folder on the lab's memory file system for what the host writes. */
  readonly disk: string
  /** Root folder of the image. */
  readonly image: string
  readonly name: string
  readonly address: string
  readonly gateway: string
  /** Text of /etc/hosts beyond localhost. */
  readonly hostsFile: string
  readonly publicKey: string
  readonly sh: LabSpec['sh']
  readonly loginShell: LabSpec['loginShell']
}

const KEY_TYPES = ['ed25519', 'ecdsa'] as const

/** Where the host's files are seen from this machine. */
export const rootOf = (disk: string): string => path.join(disk, 'root')
/** Stands at /var/lib/containerd: overlayfs cannot have its upper folder on another overlayfs, a real file system is needed. */
export const containerdOf = (disk: string): string => path.join(disk, 'containerd')

/** Makes the host's disk: an overlay over the image, with the host's own names, keys and users' keys on it. */
export async function createDisk(spec: DiskSpec): Promise<void> {
  const root = rootOf(spec.disk)
  for (const name of ['upper', 'work', 'root', 'containerd'])
    await mkdir(path.join(spec.disk, name), { recursive: true })
  const layers = `lowerdir=${spec.image},upperdir=${spec.disk}/upper,workdir=${spec.disk}/work`
  await run(['mount', '-t', 'overlay', '-o', layers, 'runbook-lab', root])

  await writeFile(`${root}/etc/hostname`, `${spec.name}\n`)
  await writeFile(`${root}/etc/hosts`, `127.0.0.1 localhost\n::1 localhost\n${spec.hostsFile}`)
  await writeFile(`${root}/etc/machine-id`, `${randomBytes(16).toString('hex')}\n`)
  await writeFile(`${root}/etc/lab-network`, `ADDRESS=${spec.address}/24\nGATEWAY=${spec.gateway}\n`)
  for (const file of (await hostKeys(spec.folder)).flatMap((key) => [key, `${key}.pub`])) {
    const target = `${root}/etc/ssh/${path.basename(file)}`
    await copyFile(file, target)
    await chmod(target, file.endsWith('.pub') ? 0o644 : 0o600)
  }
  for (const home of ['/root', '/home/admin', '/home/ops']) await authorize(`${root}${home}`, spec.publicKey)
  if (spec.sh !== 'dash') {
    await rm(`${root}/usr/bin/sh`)
    await symlink(spec.sh, `${root}/usr/bin/sh`)
  }
  if (spec.loginShell !== 'bash') await setLoginShells(`${root}/etc/passwd`, `/usr/bin/${spec.loginShell}`)
}

/** Removes all that the host has written. The host has to be off. */
export async function removeDisk(disk: string): Promise<void> {
  await attempt(['umount', '--lazy', rootOf(disk)])
  await rm(disk, { recursive: true, force: true })
}

/** `ed25519 AAAA…` lines as known_hosts wants them after the name. */
export async function publicHostKeys(folder: string): Promise<string[]> {
  const keys = await hostKeys(folder)
  const texts = await Promise.all(keys.map((key) => readFile(`${key}.pub`, 'utf8')))
  return texts.map((text) => text.split(' ').slice(0, 2).join(' '))
}

/** Paths of the private host keys; made at the first call, kept by a reset. */
async function hostKeys(folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return Promise.all(KEY_TYPES.map((type) => sshKey(path.join(folder, `ssh_host_${type}_key`), type)))
}

/** Makes an SSH key without a passphrase unless it is there; returns its path. */
export async function sshKey(file: string, type: (typeof KEY_TYPES)[number]): Promise<string> {
  if (!existsSync(file)) await run(['ssh-keygen', '-q', '-t', type, '-N', '', '-C', 'runbook-lab', '-f', file])
  return file
}

async function authorize(home: string, publicKey: string): Promise<void> {
  const { uid, gid } = await stat(home)
  const file = `${home}/.ssh/authorized_keys`
  await writeFile(file, publicKey, { mode: 0o600 })
  await chown(file, uid, gid)
}

async function setLoginShells(file: string, shell: string): Promise<void> {
  const text = await readFile(file, 'utf8')
  await writeFile(file, text.replace(/^((?:root|admin|ops):.*:).*$/gm, `$1${shell}`))
}
