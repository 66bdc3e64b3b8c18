/** Drives modules over a real SSH session against a lab host with systemd: check mode, apply, nothing left to do. */
import t, { type Test } from 'tap'
import type { Module } from '../../src/module/index.ts'
import { connect } from '../../src/session/connect.ts'
import type { ImageName } from '../lab/image.ts'
import { bootLab, type Lab } from '../lab/index.ts'
import type { LabSpec } from '../lab/registry.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, check, type Driven, type Outcome } from './drive.ts'
import { skipWithoutTools, type Tools } from './repository.ts'

export interface LabBench extends Driven {
  readonly lab: Lab
  /** Runs sh on the host, not over SSH, and gives what it prints. Throws when it fails. */
  sh(script: string, input?: string): Promise<string>
  /** The summaries of what check mode says. */
  check(module: Module, args: unknown): Promise<string[]>
  /** Applies, and throws when something is left to do. */
  apply(module: Module, args: unknown): Promise<Outcome>
  /**
   * Check mode (nothing on the host may change), apply (exactly what check mode said), then nothing may be left to do.
   * Gives the summaries.
   */
  converge(t: Test, module: Module, args: unknown): Promise<string[]>
}

/**
 * Runs a test against one fresh host. `tools` are what it needs on this machine. RUNBOOK_LAB_SH makes the host's /bin/sh
 * another one than dash: bash or busybox.
 */
export function onLab(
  name: string,
  fn: (t: Test, bench: LabBench) => Promise<void>,
  tools: Tools = {},
  image: ImageName = 'debian',
): void {
  t.setTimeout(300_000)
  t.test(name, { skip: skipWithoutLab() || skipWithoutTools(tools), timeout: 300_000 }, async (t) => {
    await using lab = await bootLab({ hosts: 1, image, sh: process.env.RUNBOOK_LAB_SH as LabSpec['sh'] | undefined })
    const [host] = lab.hosts
    await using connection = await connect({
      name: host!.name,
      connection: 'ssh2',
      address: host!.address,
      user: 'root',
      privateKeyFile: lab.privateKeyFile,
      knownHostsFile: lab.knownHostsFile,
      sshConfigFile: 'none',
    })
    const shell = await connection.shell()
    const sh = async (script: string, input?: string): Promise<string> => {
      const { rc, stdout, stderr } = await lab.exec('n1', ['sh', '-c', script], { input })
      if (rc !== 0) throw new Error(`${script}: exit status ${rc}\n${stdout}${stderr}`)
      return stdout
    }
    // Units still come and go while the host boots. It fails as long as nobody answers, and when a unit has failed.
    await sh('until systemctl is-system-running --wait | grep -qE "running|degraded"; do sleep 0.1; done')
    const driven = { shell, controller: '/nonexistent' }
    await fn(t, {
      ...driven,
      lab,
      sh,
      check: (module, args) => check(driven, module, args),
      apply: (module, args) => apply(driven, module, args),
      async converge(t, module, args) {
        const before = await sh(STATE)
        const said = await check(driven, module, args)
        t.equal(await sh(STATE), before, 'check mode touches nothing')
        const { changes } = await apply(driven, module, args)
        t.same(
          changes.map((c) => c.summary),
          said,
          'what check mode said',
        )
        const again = (await check(driven, module, args)).length
        t.equal(again, changes.filter((c) => c.transient).length, 'nothing to do the second time')
        return said
      },
    })
  })
}

/** Everything that a module could change: files with owner, mode, time and size, units, users' and packages' databases. */
const STATE = `
find /etc /root /home /opt /srv /usr/local /var/lib/dpkg /var/lib/apt -xdev -printf '%p %y %m %U %G %s %T@ %l\\n' | sort
systemctl list-units --no-legend --plain --type=service,socket,swap,target,timer | awk '!/user-/ { print $1, $2, $3 }'
cat /proc/swaps /proc/sys/kernel/hostname
grep -v /run/credentials/ /proc/mounts
`
