import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { parse } from 'yaml'
import { cgroupProcesses } from './cgroups.ts'
import { bootLab, LAB_PASSWORD, type Lab } from './index.ts'
import { cgroupOf, listLabs } from './registry.ts'
import { attempt } from './run.ts'
import { skipWithoutLab } from './skip.ts'

t.setTimeout(300_000) // the first run builds the image

const ssh = (lab: Lab, host: string, ...command: string[]) =>
  attempt(['ssh', '-F', lab.sshConfigFile, host, ...command], { timeoutMs: 30_000 })

t.test('a lab of two hosts', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })

  await t.test('ssh lets root in by key, with the host keys of known_hosts', async (t) => {
    for (const type of ['ssh-ed25519', 'ecdsa-sha2-nistp256']) {
      t.match(
        await ssh(lab, 'n1', '-o', `HostKeyAlgorithms=${type}`, 'hostname; id -un; systemctl is-system-running --wait'),
        {
          rc: 0,
          stdout: 'n1\nroot\nrunning\n',
        },
      )
    }
    const inventory = parse(await readFile(lab.inventoryFile, 'utf8'))
    t.equal(inventory.lab.hosts.n2.ansible_host, lab.hosts[1]?.address)
  })

  await t.test('admin needs the password for sudo, ops does not', async (t) => {
    t.match(await ssh(lab, 'n1', '-l', 'admin', 'sudo -n true'), { rc: 1, stderr: /password is required/ })
    t.match(await ssh(lab, 'n1', '-l', 'admin', `echo ${LAB_PASSWORD} | sudo -S -p '' id -un`), {
      rc: 0,
      stdout: 'root\n',
    })
    t.match(await ssh(lab, 'n1', '-l', 'ops', 'sudo -n id -un; doas -n id -un'), { rc: 0, stdout: 'root\nroot\n' })
  })

  await t.test('hosts reach each other and have their own identity and kernel settings', async (t) => {
    t.match(await ssh(lab, 'n1', 'ping -c1 -W2 n2'), { rc: 0 })
    const ids = await Promise.all(
      ['n1', 'n2'].map(async (host) => (await lab.exec(host, ['cat', '/etc/machine-id'])).stdout),
    )
    t.not(ids[0], ids[1])
    await lab.exec('n1', ['sysctl', '-qw', 'net.ipv4.ip_forward=1'])
    t.equal((await lab.exec('n1', ['sysctl', '-n', 'net.ipv4.ip_forward'])).stdout, '1\n')
    t.equal((await lab.exec('n2', ['sysctl', '-n', 'net.ipv4.ip_forward'])).stdout, '0\n')
    const script =
      'set -e; for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do [ ! -w $d ] || { mkdir $d/probe; rmdir $d/probe; n=1; }; done; [ $n ]'
    t.match(await lab.exec('n2', ['sh', '-c', script]), { rc: 0, stderr: '' }, 'it can make cgroups')
  })

  await t.test('a reboot from inside gives a new boot_id, keeps the disk and comes back', async (t) => {
    const before = await bootId(lab, 'n1')
    t.not(before, await readFile('/proc/sys/kernel/random/boot_id', 'utf8'), "not the machine's own")
    await lab.exec('n1', ['touch', '/root/kept'])
    await ssh(lab, 'n1', 'systemctl reboot')
    while ([before, undefined].includes(await bootId(lab, 'n1'))) await sleep(50)
    await lab.waitForSshd('n1')
    t.match(await ssh(lab, 'n1', 'ls /root; cat /proc/sys/kernel/random/boot_id'), { rc: 0, stdout: /^kept\n/ })
    t.equal(await bootId(lab, 'n2'), await bootId(lab, 'n2'), 'without a reboot it stays')
  })

  await t.test('power: off and on, cut, reset', async (t) => {
    await lab.powerOff('n1')
    t.notOk(lab.isOn('n1'))
    t.match(await ssh(lab, 'n1', '-o', 'ConnectTimeout=2', 'true'), { rc: 255 })
    await lab.powerOn('n1')
    t.match(await ssh(lab, 'n1', 'ls /root'), { rc: 0, stdout: 'kept\n' })
    await lab.kill('n1')
    t.notOk(lab.isOn('n1'))
    t.ok(lab.isOn('n2'))
    await lab.reset('n1')
    t.match(await ssh(lab, 'n1', 'ls /root'), { rc: 0, stdout: '' }, 'an empty disk, the same host keys')
  })

  await t.test('sshd stops, with its connections, and starts', async (t) => {
    const session = ssh(lab, 'n2', 'sleep 20')
    while (!(await lab.exec('n2', ['pgrep', '-x', 'sleep'])).stdout) await sleep(20)
    await lab.stopSshd('n2')
    t.match(await session, { rc: 255 })
    t.match(await ssh(lab, 'n2', 'true'), { rc: 255, stderr: /refused/ })
    await lab.startSshd('n2')
    t.match(await ssh(lab, 'n2', 'true'), { rc: 0 })
  })
})

t.test('other shells, and a folder of the machine', { skip: skipWithoutLab() }, async (t) => {
  await using busybox = await bootLab({ hosts: 1, sh: 'busybox', loginShell: 'fish' })
  await using bash = await bootLab({ hosts: 1, sh: 'bash', loginShell: 'csh', readOnly: [import.meta.dirname] })
  t.not(busybox.hosts[0]?.address, bash.hosts[0]?.address, 'two labs side by side')
  t.match(await ssh(busybox, 'n1', 'readlink /bin/sh; echo $FISH_VERSION'), { rc: 0, stdout: /^busybox\n3\.\d/ })
  t.match(await bash.exec('n1', ['touch', `${import.meta.dirname}/run.ts`]), { rc: 1, stderr: /Read-only file system/ })
  t.match(await ssh(bash, 'n1', 'readlink /bin/sh; echo $shell'), { rc: 0, stdout: /^bash\n.*csh\n/ })
})

t.test('a process that is killed leaves no hosts behind', { skip: skipWithoutLab() }, async (t) => {
  const name = `orphan-${process.pid}`
  const script = `import { bootLab } from './index.ts'; await bootLab({ hosts: 1, name: '${name}' }); console.log('up'); setInterval(() => {}, 1e6)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout })) if (line === 'up') break
  t.ok(cgroupProcesses(cgroupOf(name, 'n1')).length > 5, 'it is up')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const deadline = Date.now() + 20_000
  while (Date.now() < deadline && (await attempt(['test', '-e', `/run/runbook-lab/${name}`])).rc === 0) await sleep(50)
  t.equal((await attempt(['test', '-e', `/run/runbook-lab/${name}`])).rc, 1, 'its folder is gone')
  t.equal(cgroupProcesses(cgroupOf(name, 'n1')).length, 0, 'its processes are gone')
  t.notMatch((await attempt(['ip', 'netns'])).stdout, name)
  t.notMatch(await readFile('/proc/mounts', 'utf8'), name)
  t.notOk((await listLabs()).some((lab) => lab.name === name))
})

/** Undefined while the host is off or between two boots. */
async function bootId(lab: Lab, host: string): Promise<string | undefined> {
  return lab.exec(host, ['cat', '/proc/sys/kernel/random/boot_id']).then(
    ({ rc, stdout }) => (rc === 0 ? stdout : undefined),
    () => undefined,
  )
}
