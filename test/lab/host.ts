import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../../src/shared/errors.ts'
import { cgroupProcesses, createCgroups, killCgroup, removeCgroup } from './cgroups.ts'
import { containerdOf, rootOf } from './disk.ts'
import { BRIDGE, netnsOf } from './network.ts'
import { cgroupOf, hostFolder, labFolder, machineOf } from './registry.ts'
import { attempt, type CommandOptions, type CommandResult } from './run.ts'

/** A host of a lab, by name; everything else about it follows. */
export interface HostId {
  readonly lab: string
  readonly name: string
}

export const diskOf = ({ lab, name }: HostId): string => path.join(labFolder(lab), 'disks', name)
export const consoleOf = ({ lab, name }: HostId): string => path.join(hostFolder(lab, name), 'console.log')

/**
 * The host's power supply: it moves into the host's cgroups, says so, and runs nspawn in the lab's network. With
 * --keep-unit, nspawn does not reboot a host itself but ends with 133 (EXIT_FORCE_RESTART of systemd's exit-status.h).
 */
const POWER_SUPPLY = `
netns=$1; shift
for folder in $CGROUPS; do echo $$ >"$folder/cgroup.procs" || exit 1; done
unset CGROUPS
echo on >&3
exec 3>&-
while :; do
  nsenter --net="$netns" systemd-nspawn "$@"
  [ $? -eq 133 ] || exit
done`

/** Turns the host on and returns when it runs (not yet when it is reachable). `readOnly`: folders shown at the same path. */
export async function powerOn(host: HostId, readOnly: readonly string[]): Promise<void> {
  const { lab, name } = host
  if (isOn(host)) throw new UserError(`${name} is on already`)
  const disk = diskOf(host)
  const options = ['--quiet', '--boot', '--register=no', '--keep-unit', '--link-journal=no', '--console=read-only']
  options.push(`--machine=${machineOf(lab, name)}`, `--directory=${rootOf(disk)}`, `--network-bridge=${BRIDGE}`)
  // A bare-metal host can do anything; what is not namespaced is kept harmless by the image.
  options.push('--capability=all', '--system-call-filter=@keyring bpf', '--bind=/dev/kmsg')
  options.push('--resolv-conf=off', '--timezone=off', `--bind=${containerdOf(disk)}:/var/lib/containerd`)
  options.push(...readOnly.map((folder) => `--bind-ro=${folder}`))

  // After a power cut the kernel takes the host's network apart in its own time (seconds, with a node's pods), and until
  // then the bridge's end of its cable is in the way of the new one.
  await attempt(['ip', '-n', netnsOf(lab), 'link', 'delete', `vb-${machineOf(lab, name)}`])
  // Cgroups of services and containers would outlive the cut too, and a kubelet tries to find a container in each.
  await removeCgroup(cgroupOf(lab, name))
  await mkdir(hostFolder(lab, name), { recursive: true })
  const folders = await createCgroups(cgroupOf(lab, name))
  const log = openSync(consoleOf(host), 'a', 0o600)
  const child = spawn('sh', ['-c', POWER_SUPPLY, 'sh', `/run/netns/${netnsOf(lab)}`, ...options], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log, 'pipe'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CGROUPS: folders.join(' '), SYSTEMD_NSPAWN_API_VFS_WRITABLE: '1' },
  })
  closeSync(log)
  child.unref()
  const said = await text(child.stdio[3] as NodeJS.ReadableStream)
  if (said.trim() !== 'on') throw new Error(`${name} could not be turned on\n${consoleTail(host)}`)
}

/** Whether the host has power. */
export function isOn({ lab, name }: HostId): boolean {
  return cgroupProcesses(cgroupOf(lab, name)).length > 0
}

/** Cuts the power. */
export function powerCut({ lab, name }: HostId): Promise<void> {
  return killCgroup(cgroupOf(lab, name))
}

/** Waits until the host is off. */
export async function waitUntilOff(host: HostId, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (isOn(host)) {
    if (Date.now() > deadline) throw new Error(`${host.name} is still on after ${timeoutMs} ms\n${consoleTail(host)}`)
    await sleep(20)
  }
}

/** Waits until an SSH server says its name at the host's address. */
export async function waitForSshd(host: HostId, address: string, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  // Not by trying to connect: a packet to an address that is not there yet waits a second for the next ARP request.
  while (!(listensOnSsh(host) && (await speaksSsh(address)))) {
    if (!isOn(host)) throw new Error(`${host.name} went off while booting\n${consoleTail(host)}`)
    if (Date.now() > deadline) throw new Error(`no sshd on ${host.name} after ${timeoutMs} ms\n${consoleTail(host)}`)
    await sleep(25)
  }
}

/** Runs a command inside the host by entering its namespaces, so that checks do not go through what they check. */
export async function execInside(
  host: HostId,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const enter = [
    'nsenter',
    `--target=${initOf(host)}`,
    '--mount',
    '--uts',
    '--ipc',
    '--net',
    '--pid',
    '--cgroup',
    '--root',
    '--wd',
  ]
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    ...options.env,
  }
  return attempt([...enter, ...argv], { ...options, env })
}

/** Machine's id of the host's process 1: the one in its cgroup that is 1 in a process namespace just below ours. */
export function initOf({ lab, name }: HostId): number {
  for (const pid of cgroupProcesses(cgroupOf(lab, name))) {
    try {
      if (/^NSpid:\t\d+\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return pid
    } catch {
      // ended meanwhile
    }
  }
  throw new UserError(`${name} is off`)
}

function consoleTail(host: HostId): string {
  return readFileSync(consoleOf(host), 'utf8').split('\n').slice(-20).join('\n')
}

/** Whether something listens on port 22 inside the host: state 0A in proc_net_tcp(5). */
function listensOnSsh(host: HostId): boolean {
  try {
    return /^ *\d+: [0-9A-F]{8}:0016 [0-9A-F]{8}:0000 0A /m.test(readFileSync(`/proc/${initOf(host)}/net/tcp`, 'utf8'))
  } catch {
    return false // off, or between two boots
  }
}

function speaksSsh(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: 22, timeout: 1000 })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (data) => end(data.toString('latin1').startsWith('SSH-2.0')))
    socket
      .once('error', () => end(false))
      .once('timeout', () => end(false))
      .once('close', () => end(false))
  })
}
