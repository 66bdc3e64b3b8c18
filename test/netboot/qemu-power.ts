/**
 * The power of a QEMU machine, as `runbook_power: {type: command}` calls it: ACTION in the environment, and the folder of
 * the machine as argument. Its `qemu.json` has the command; QEMU runs on when we end. With BOOT=disk it boots its disk first.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const folder = process.argv[2]!
const pidFile = join(folder, 'pid')

/** Of the QEMU that runs; undefined when it is off. */
function running(): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'))
    return pid > 1 && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(pidFile) ? pid : undefined
  } catch {
    return undefined
  }
}

const pid = running()
switch (process.env.ACTION) {
  case 'state':
    process.stdout.write(pid === undefined ? 'off\n' : 'on\n')
    break
  case 'on':
    if (pid === undefined) {
      const argv = JSON.parse(readFileSync(join(folder, 'qemu.json'), 'utf8')) as string[]
      const args = argv
        .slice(1)
        .map((arg) => (process.env.BOOT === 'disk' ? arg.replace('bootindex=1', 'bootindex=3') : arg))
      const { status, stderr } = spawnSync(argv[0]!, [...args, '-daemonize', '-pidfile', pidFile], {
        encoding: 'utf8',
        // What it prints must not hold our caller's pipe open.
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      process.stderr.write(stderr)
      process.exitCode = status ?? 1
    }
    break
  case 'soft-off': {
    if (pid === undefined) break
    // The power button. QEMU ends when the system has shut down.
    const monitor = connect(join(folder, 'qmp'))
    monitor.write('{"execute": "qmp_capabilities"}\n{"execute": "system_powerdown"}\n')
    for await (const text of monitor.setEncoding('utf8')) if (/"POWERDOWN"/.test(text)) break
    break
  }
  case 'hard-off':
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    while (running() !== undefined) await sleep(50)
    rmSync(pidFile, { force: true })
    break
  default:
    process.exitCode = 64
}
