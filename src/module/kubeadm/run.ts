import { dirname } from 'node:path'
import { type ScriptResult, SessionError } from '../../session/session.ts'
import { quote, quoteAll } from '../../shared/quote.ts'
import type { OtherHost } from '../action.ts'
import { TaskFailure } from '../define.ts'
import { MARKER } from './host.ts'
import { mustParse, type Version } from './version.ts'

export interface KubeadmOptions {
  /** Goes in by standard input, so that it is never on a disk or a command line. */
  readonly config?: string | undefined
  /** Let kubeadm check the configuration first. */
  readonly validate?: boolean
  /** Mark the host until the command has succeeded; see MARKER. */
  readonly mark?: 'init' | 'join' | undefined
  readonly timeoutMs: number
  /** Its lines as they come; not for a command that prints secrets. */
  readonly log?: ((line: string) => void) | undefined
}

export interface KubeadmResult {
  readonly rc: number
  /** Standard output and error as they came. */
  readonly output: string
  /** The connection was lost in the middle; what became of it only the host knows. */
  readonly lost?: boolean
}

/** Status of our script when the configuration is refused; kubeadm itself ends with 0 to 3. */
const REFUSED = 90

/**
 * Goes on to its end when nobody reads its output any more: a run that dies in the middle must not leave half an init. The
 * relay reads on and throws away what it cannot pass on; without it kubeadm would die of SIGPIPE at its next line.
 */
const RELAY = `rb_relay() {
  trap '' PIPE HUP
  while IFS= read -r rb_l || [ -n "$rb_l" ]; do printf '%s\\n' "$rb_l" 2>/dev/null || :; done
}`

/** The script for a kubeadm command. Golden in the tests. */
export function kubeadmScript(
  argv: readonly string[],
  { config, validate = false, mark }: Partial<KubeadmOptions>,
): string {
  const input = config === undefined ? '</dev/null ' : ''
  const feed = config === undefined ? '' : `printf %s "$rb_c" | `
  const command = ['kubeadm', ...argv, ...(config === undefined ? [] : ['--config', '/dev/stdin'])]
  return [
    RELAY,
    ...(config === undefined ? [] : [`rb_c=${quote(config)}`]),
    ...(validate ? [`printf %s "$rb_c" | kubeadm config validate --config /dev/stdin 2>&1 || exit ${REFUSED}`] : []),
    ...(mark === undefined
      ? []
      : [`mkdir -p ${dirname(MARKER)} && echo ${mark} >${MARKER} && sync ${MARKER} || exit 91`]),
    `trap '' HUP`,
    'exec 4>&1',
    `rb_s=$({ { ${feed}${quoteAll(command)} ${input}2>&1 3>&- 4>&-; echo $? >&3; } | rb_relay 3>&- >&4 4>&-; } 3>&1)`,
    ...(mark === undefined ? [] : [`[ "$rb_s" != 0 ] || rm -f ${MARKER}`]),
    'exit "$rb_s"',
  ].join('\n')
}

/** Runs kubeadm on a host. A status other than 0 is a result; a refused configuration is a TaskFailure. */
export async function runKubeadm(
  host: Pick<OtherHost, 'run'>,
  argv: readonly string[],
  options: KubeadmOptions,
): Promise<KubeadmResult> {
  let line = ''
  const onOutput = (stream: string, chunk: Buffer): void => {
    if (!options.log || stream !== 'stdout') return
    const lines = (line + chunk.toString('utf8')).split('\n')
    line = lines.pop() ?? ''
    for (const one of lines) if (one.trim() !== '') options.log(one)
  }
  let answer: ScriptResult
  try {
    answer = await host.run(kubeadmScript(argv, options), { timeoutMs: options.timeoutMs, onOutput })
  } catch (error) {
    if (!(error instanceof SessionError) || error.kind !== 'lost') throw error
    return { rc: -1, output: '', lost: true }
  }
  const { rc, stdout, stderr } = answer
  const output = `${stdout.toString('utf8')}${stderr.toString('utf8')}`
  if (rc === REFUSED) throw new TaskFailure(`kubeadm refuses the configuration: ${complaintsOf(output)}`)
  return { rc, output }
}

/** Whether an error says that a host cannot be reached, now or any more. */
export function isGone(error: unknown): error is SessionError {
  return error instanceof SessionError && (error.kind === 'unreachable' || error.kind === 'lost')
}

/** Of the host's kubeadm. */
export async function kubeadmVersion(ctx: Pick<OtherHost, 'run'>): Promise<Version> {
  const { rc, stdout, stderr } = await ctx.run('kubeadm version -o short')
  if (rc !== 0) {
    const missing = rc === 127
    throw new TaskFailure(
      missing ? 'kubeadm is not installed: the role kubernetes_packages does so' : stderr.toString('utf8').trim(),
    )
  }
  return mustParse(stdout.toString('utf8'), 'kubeadm version')
}

/** What kubeadm says was wrong, without what went well. */
export function complaintsOf(output: string): string {
  const lines = output.split('\n').map((line) => line.trim())
  const checks = lines.filter((line) => /^\[ERROR [^\]]+\]/.test(line))
  if (checks.length > 0) return checks.map((line) => line.replace(/^\[ERROR ([^\]]+)\]:?\s*/, '$1: ')).join('; ')
  const at = lines.findIndex((line) => /^(error|Error)[: ]/.test(line))
  const from = at === -1 ? lines.filter((line) => line !== '').slice(-3) : lines.slice(at)
  return from
    .filter((line) => line !== '' && !line.startsWith('To see the stack trace'))
    .join(' ')
    .slice(0, 1500)
}

/** The failure of a command, with what to do where that is known. */
export function kubeadmFailure(command: string, { rc, output, lost }: KubeadmResult): TaskFailure {
  if (lost) return new TaskFailure(`the connection was lost in the middle of kubeadm ${command}; run again to go on`)
  const said = complaintsOf(output)
  const hint = HINTS.find(([pattern]) => pattern.test(output))?.[1]
  return new TaskFailure(`kubeadm ${command} ended with ${rc}: ${said}${hint === undefined ? '' : `\n  ${hint}`}`, {
    rc,
    output: output.slice(-8000),
  })
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/\[ERROR Swap\]/, 'turn swap off: the role kubernetes_host does so'],
  [/\[ERROR (FileContent--proc-sys-net-|.*ip_forward)/, 'set the kernel parameters: the role kubernetes_host does so'],
  [
    /\[ERROR CRI\]|container runtime is not running/,
    'containerd does not answer: the role containerd configures it; systemctl status containerd',
  ],
  [
    /\[ERROR ImagePull\]/,
    'let the host reach the registry or a mirror, or import the images into containerd (namespace k8s.io)',
  ],
  [
    /\[ERROR SystemVerification\].*cgroup/,
    'cgroup v1: boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false in KubeletConfiguration (1.35 and later)',
  ],
  [/\[ERROR Port-/, 'another program has the port: ss -ltnp'],
  [
    /couldn't validate the identity of the API Server|configmaps "cluster-info" is forbidden|token.*(expired|not found)/i,
    'the API did not accept the token or has another certificate; compare the clocks of the hosts',
  ],
  [
    /etcd cluster is not healthy|error execution phase check-etcd/,
    'a member of etcd is down: bring it back, or remove it (etcdctl member remove) before another joins',
  ],
  [
    /wrong API Server URL|CA.*(not|does not) match/i,
    'files of another cluster are on the host; kubeadm_reset, asked for by name, clears it',
  ],
  [
    /kubelet is not healthy|timed out waiting for the condition/,
    'kubelet or a static pod did not come up: journalctl -u kubelet, crictl ps -a on the host',
  ],
]
