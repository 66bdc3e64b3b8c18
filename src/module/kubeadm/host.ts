import type { ActionContext } from '../action.ts'
import { TaskFailure } from '../define.ts'
import { map, type Read } from '../read.ts'
import { script } from '../reads/script.ts'

/** What kubeadm has left on a host. */
export interface HostState {
  readonly root: boolean
  readonly hostname: string
  /** Process ids of a kubeadm that is at work, whoever started it. */
  readonly running: readonly string[]
  /** What one of our runs has begun and not ended: see MARKER. */
  readonly unfinished: 'init' | 'join' | undefined
  /** Of FILES, those that are there. */
  readonly files: ReadonlySet<string>
  /** API servers that the kubeconfigs name, by file. */
  readonly servers: Readonly<Record<string, string>>
  /** PEM of the authority that kubelet trusts, or that a join has fetched. */
  readonly authority: string | undefined
  /** Tag of the API server's image in its manifest. */
  readonly apiServer: string | undefined
}

const KUBELET = '/etc/kubernetes/kubelet.conf'
const BOOTSTRAP = '/etc/kubernetes/bootstrap-kubelet.conf'
const ADMIN = '/etc/kubernetes/admin.conf'
const CA = '/etc/kubernetes/pki/ca.crt'
const API_SERVER = '/etc/kubernetes/manifests/kube-apiserver.yaml'

/** Paths of kubeadm (cmd/kubeadm/app/constants); each says how far an init or a join has come. */
export const FILES = {
  admin: ADMIN,
  kubelet: KUBELET,
  bootstrap: BOOTSTRAP,
  kubeletConfig: '/var/lib/kubelet/config.yaml',
  ca: CA,
  caKey: '/etc/kubernetes/pki/ca.key',
  apiServer: API_SERVER,
  etcd: '/etc/kubernetes/manifests/etcd.yaml',
  etcdData: '/var/lib/etcd/member',
} as const

/**
 * Says which command is under way; written before it begins and removed by the same script when it has succeeded, whether
 * or not we are still there. It stands on the host, for the next run may be somebody else's, from another machine.
 */
export const MARKER = '/var/lib/runbook/kubeadm'

const SCRIPT = `
printf 'uid=%s\\n' "$(id -u)"
[ ! -r ${MARKER} ] || printf 'unfinished=%s\\n' "$(cat ${MARKER})"
printf 'hostname=%s\\n' "$(cat /proc/sys/kernel/hostname)"
for f in $(grep -lsx kubeadm /proc/[0-9]*/comm); do f=\${f%/comm}; printf 'running=%s\\n' "\${f##*/}"; done
for f in ${Object.values(FILES).join(' ')}; do [ ! -e "$f" ] || printf 'file=%s\\n' "$f"; done
for f in ${KUBELET} ${BOOTSTRAP} ${ADMIN}; do
  [ ! -r "$f" ] || sed -n "s#^ *server: *#server=$f #p; s#^ *certificate-authority-data: *#authority=#p" "$f"
done
[ ! -r ${CA} ] || printf 'authority=%s\\n' "$(base64 <${CA} | tr -d '\\n')"
[ ! -r ${API_SERVER} ] || sed -n 's#^ *image: .*:\\(v[0-9.]*[^ "]*\\).*#apiserver=\\1#p' ${API_SERVER}
`

/** One script, for a look at a host that is as it should be costs a round trip and no process of kubeadm's. */
export const hostState: Read<HostState> = map(script(SCRIPT, ['file:/etc/kubernetes']), ({ out }) =>
  parseHostState(out.toString('utf8')),
)

/** Reads what SCRIPT printed. */
export function parseHostState(text: string): HostState {
  const all = (key: string): string[] =>
    text.split('\n').flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1).trim()] : []))
  const servers = all('server').map((line): [string, string] => {
    const at = line.indexOf(' ')
    return [line.slice(0, at), line.slice(at + 1).replace(/^"(.*)"$/, '$1')]
  })
  const [authority] = all('authority')
  return {
    root: all('uid')[0] === '0',
    hostname: (all('hostname')[0] ?? '').toLowerCase(),
    running: all('running'),
    unfinished: all('unfinished')[0] as HostState['unfinished'],
    files: new Set(all('file')),
    servers: Object.fromEntries(servers),
    authority: authority === undefined ? undefined : Buffer.from(authority, 'base64').toString('utf8').trim(),
    apiServer: all('apiserver')[0],
  }
}

/** Whether anything of kubeadm's is there. */
export function isTouched({ files, unfinished }: HostState): boolean {
  return files.size > 0 || unfinished !== undefined
}

/** A kubeadm that is at work is let come to its end: it may be ours, of a run that died or lost its connection. */
const POLL_MS = 2000
const PATIENCE_MS = 15 * 60_000

/** The state of the host when no kubeadm is at work on it. Throws TaskFailure when one does not end, or we are not root. */
export async function settledState(ctx: ActionContext): Promise<HostState> {
  const until = Date.now() + PATIENCE_MS
  for (let told = false; ; told = true) {
    const state = await ctx.read(hostState)
    if (!state.root) throw new TaskFailure('kubeadm needs root: say become: true')
    if (state.running.length === 0) return state
    const pids = state.running.join(', ')
    if (Date.now() > until)
      throw new TaskFailure(
        `a kubeadm (pid ${pids}) has been at work for ${PATIENCE_MS / 60_000} minutes; look what it does`,
      )
    if (!told) ctx.log(`a kubeadm is at work already (pid ${pids}), waiting for its end`)
    await ctx.sleep(POLL_MS)
  }
}
