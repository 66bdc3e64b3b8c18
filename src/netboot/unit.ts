/** The systemd unit of `runbook netboot serve`. */
import { dirname } from 'node:path'
import { notifyService, unitPath } from '../shared/notify-service.ts'
import { unitWord } from '../shared/unit-word.ts'

export interface UnitOptions {
  /** What starts runbook: absolute paths. */
  readonly program: readonly string[]
  /** Absolute path of netboot.yml. */
  readonly file: string
  readonly inventory: readonly string[]
  readonly site: string | undefined
  readonly user: string | undefined
  /** Absolute path: `~/.ssh` of that user, where host keys are pinned. */
  readonly ssh: string
  /** Whether Router Advertisements are sent. */
  readonly rawSockets: boolean
}

/**
 * What it needs and no more: ports below 1024, its folder, the network. V8 writes code, so MemoryDenyWriteExecute cannot be; Node
 * lets itself have more files than 1024, so @resources is allowed; playbooks that follow may look at this machine, so all of /proc is.
 */
export function unitText({ program, file, inventory, site, user, ssh, rawSockets }: UnitOptions): string {
  const folder = dirname(file)
  const more = site === undefined ? [] : ['--site', site]
  const words = [...program, 'netboot', 'serve', '-c', file, ...inventory.flatMap((one) => ['-i', one]), ...more]
  // A /tmp of its own would hide what stands in ours.
  const inTmp = [...program, file, ...inventory].some((path) => /^(\/var)?\/tmp\//.test(path))
  const capabilities = ['CAP_NET_BIND_SERVICE', ...(rawSockets ? ['CAP_NET_RAW'] : [])].join(' ')
  return `[Unit]
Description=runbook: first boot over the network, ${unitPath(folder)}
Wants=network-online.target
After=network-online.target
# An interface without an address yet, or a file that is being edited: it is tried for as long as it takes.
StartLimitIntervalSec=0

${notifyService({ words, folder, user, restart: 10 })}
# The server ends what it has started itself: a playbook that runs comes to a good place.
KillMode=mixed

AmbientCapabilities=${capabilities}
CapabilityBoundingSet=${capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=${unitWord(folder)} ${unitWord(`-${ssh}`)}
PrivateTmp=${inTmp ? 'no' : 'yes'}
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`
}
