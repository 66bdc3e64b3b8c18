/** The systemd unit of the daemon. */
import { dirname } from 'node:path'
import { notifyService, unitPath } from '../../shared/notify-service.ts'

export interface UnitOptions {
  /** What starts runbook: absolute paths. */
  readonly program: readonly string[]
  /** Absolute path of maintenance.yml. */
  readonly file: string
  readonly inventory: readonly string[]
  readonly listen: string
  readonly user: string | undefined
}

/**
 * KillMode=process: SIGTERM reaches the daemon alone, which lets nodes under way come to their end and asks systemd for time
 * meanwhile; and when it is killed or has crashed, what works on a node lives on, and the next daemon takes it up.
 */
export function unitText({ program, file, inventory, listen, user }: UnitOptions): string {
  const folder = dirname(file)
  const words = [
    ...program,
    'schedule',
    'run',
    '-c',
    file,
    ...inventory.flatMap((one) => ['-i', one]),
    '--listen',
    listen,
  ]
  return `[Unit]
Description=runbook: maintenance windows of ${unitPath(folder)}
Documentation=man:systemd.time(7)
# A window opens by the wall clock: not before it is set.
Wants=time-sync.target network-online.target
After=time-sync.target network-online.target

${notifyService({ words, folder, user, restart: 5 })}
# A node that is under way is let come to its end, by this daemon or the next one.
KillMode=process
# Exit code 3: maintenance.yml or the command line is wrong; again and again would not mend it.
RestartPreventExitStatus=3

[Install]
WantedBy=multi-user.target
`
}
