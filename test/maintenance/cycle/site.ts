/** Lab hosts whose power a program switches, with containers and a unit that stands in for kubelet. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runbook } from '../../acceptance/support.ts'
import type { Lab } from '../../lab/index.ts'

export interface Switch extends AsyncDisposable {
  /** For the inventory: `runbook_power`. */
  readonly power: { readonly type: 'command'; readonly command: string }
  /** What was asked for but the state: `n1 on`. */
  readonly asked: string[]
  /** Actions that are accepted and not done. */
  readonly broken: Set<string>
  /** What it says instead of the truth. */
  lie: string | undefined
  /** When all that was begun has ended. */
  settled(): Promise<void>
}

/** A controller that really starts and ends lab hosts: `runbook_power` of type `command`. */
export async function powerSwitch(lab: Lab, folder: string): Promise<Switch> {
  const asked: string[] = []
  const broken = new Set<string>()
  let running: Promise<unknown> = Promise.resolve()
  const begin = (work: Promise<unknown>): void => {
    running = Promise.allSettled([running, work])
  }
  const act = async (host: string, action: string): Promise<string> => {
    if (action === 'state') return made.lie ?? (lab.isOn(host) ? 'on' : 'off')
    asked.push(`${host} ${action}`)
    if (broken.has(action)) return ''
    if (action === 'on' && !lab.isOn(host)) {
      const up = lab.powerOn(host)
      begin(up)
      while (!lab.isOn(host)) await Promise.race([up, sleep(50)])
    }
    if (action === 'soft-off' && lab.isOn(host)) begin(lab.powerOff(host))
    if (action === 'hard-off') await lab.kill(host)
    return ''
  }
  const server = createServer((request, response) => {
    const [, host = '', action = ''] = request.url!.split('/')
    act(host, action).then(
      (said) => response.end(said),
      (error) => response.writeHead(500).end(String(error)),
    )
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  mkdirSync(folder, { recursive: true })
  const command = join(folder, 'power.mjs')
  writeFileSync(
    command,
    `#!${process.execPath}
const { HOST, ACTION } = process.env
if (!/^(state|on|soft-off|hard-off)$/.test(ACTION)) process.exit(64)
const answer = await fetch('http://127.0.0.1:${port}/' + HOST + '/' + ACTION)
process.stdout.write(await answer.text())
process.exit(answer.ok ? 0 : 1)
`,
  )
  chmodSync(command, 0o755)
  const made: Switch = {
    lie: undefined,
    power: { type: 'command', command },
    asked,
    broken,
    settled: async () => void (await running),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
      await running
    },
  }
  return made
}

/** Runs sh on a host, not over SSH; gives what it prints. */
export async function inside(lab: Lab, host: string, script: string): Promise<string> {
  const { rc, stdout, stderr } = await lab.exec(host, ['sh', '-c', script])
  if (rc !== 0) throw new Error(`${host}: ${script}: status ${rc}\n${stdout}${stderr}`)
  return stdout
}

export const bootId = async (lab: Lab, host: string): Promise<string> =>
  (await inside(lab, host, 'cat /proc/sys/kernel/random/boot_id')).trim()

/**
 * A unit in kubelet's place, and one that counts boots in /srv/log/boots. containerd comes from Debian, and is the real
 * one; it is not enabled there by itself.
 */
export const NODE = `
mkdir -p /srv/log /srv/root
cat >/etc/systemd/system/kubelet.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
Restart=always
[Install]
WantedBy=multi-user.target
END
cat >/etc/systemd/system/count-boots.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/boot_id >>/srv/log/boots'
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable -q --now kubelet containerd count-boots
until ctr version >/dev/null 2>&1; do sleep 0.2; done
`

/** Containers of containerd in the names that Kubernetes gives its own; each says in /srv/log/ended when it was asked to end. */
export const PODS = `
mountpoint -q /srv/root || mount --bind / /srv/root
pod() {
  n=$1 net=$2; shift 2
  ctr -n k8s.io containers rm "\${n#*/}" 2>/dev/null
  ctr -n k8s.io run -d $net --label io.kubernetes.pod.namespace=\${n%%/*} --label io.kubernetes.pod.name=\${n#*/} \\
    --label io.kubernetes.pod.uid=\${n#*/} --mount type=bind,src=/srv/log,dst=/srv/log,options=rbind:rw \\
    --rootfs /srv/root \${n#*/} /bin/sh -c "$*; while :; do sleep 0.1; done"
}
pod kube-system/etcd-n1 --net-host 'trap "echo etcd >>/srv/log/ended; exit" TERM'
pod kube-system/proxy --net-host 'trap "sleep 0.3; echo proxy >>/srv/log/ended; exit" TERM'
pod shop/web '' 'trap "sleep 0.5; echo web >>/srv/log/ended; exit" TERM'
`

/** `runbook node VERB n1 …`; what was said. */
export function nodeCommand(lab: Lab, folder: string, vars: object) {
  return (args: readonly string[], during?: Parameters<typeof runbook>[1]) =>
    runbook(['node', ...args, '-i', lab.inventoryFile, '-e', JSON.stringify(vars)], { cwd: folder, ...during })
}
