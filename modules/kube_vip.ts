import { change, defineModule, kubeadm, read, z } from '#module'

const MANIFEST = '/etc/kubernetes/manifests/kube-vip.yaml'
const ADMIN = '/etc/kubernetes/admin.conf'
const SUPER_ADMIN = '/etc/kubernetes/super-admin.conf'

const schema = z.strictObject({
  address: z
    .string()
    .regex(/^[0-9a-fA-F.:]+$/, 'must be an IP address')
    .describe('the virtual IP'),
  interface: z
    .string()
    .regex(/^[\w.@-]{1,15}$/, 'must be the name of a network interface')
    .describe('interface that gets it'),
  port: z.int().min(1).max(65535).default(6443).describe('port of the API servers'),
  kubernetes_version: z
    .string()
    .refine((v) => kubeadm.parseVersion(v) !== undefined, 'must be a whole version, such as v1.34.1')
    .transform((v) => kubeadm.parseVersion(v)!)
    .describe('version of the control plane'),
  image: z.string().default('ghcr.io/kube-vip/kube-vip:v0.9.2').describe('image of kube-vip, with its tag'),
  bootstrap: z
    .boolean()
    .default(false)
    .describe(
      'the first control plane before kubeadm init: only super-admin.conf can do anything yet (1.29 and later)',
    ),
  lease_duration: z.int().min(2).default(5).describe('seconds after which another control plane takes the address'),
})
type Args = z.output<typeof schema>

export default defineModule({
  summary: 'A virtual IP for the control planes, with kube-vip as a static pod',
  description:
    'ARP mode: one control plane at a time answers for the address. With `bootstrap` a manifest is only added to a host ' +
    'that is no node yet, and the kubeconfig of one that is there is left as it is; run it again without, after kubeadm ' +
    'init, to go on with admin.conf.',
  args: schema,
  examples: [
    {
      name: 'On each control plane',
      yaml: 'kube_vip:\n  address: 10.0.0.10\n  interface: eth0\n  kubernetes_version: v1.34.1\nbecome: true',
    },
  ],
  probe: () => ({ manifest: read.text(MANIFEST), kubelet: read.stat('/etc/kubernetes/kubelet.conf') }),
  plan: (a, { manifest, kubelet }) => {
    const wanted = render(a, kubeconfigFor(a, manifest.text, kubelet !== undefined))
    const folder = change.makeFolder('/etc/kubernetes/manifests', { mode: '0700' })
    const edit = change.editText(MANIFEST, manifest, wanted, { mode: '0600' })
    return edit.length > 0 && !manifest.exists ? [folder, ...edit] : edit
  },
})

/** What stands in the manifest stays during bootstrap: init may be over already, or under way. */
function kubeconfigFor(a: Args, present: string, isNode: boolean): string {
  if (!a.bootstrap) return ADMIN
  if (present !== '') return present.includes(SUPER_ADMIN) ? SUPER_ADMIN : ADMIN
  // admin.conf gets its rights late in init since 1.29 (kube-vip issue 684).
  return isNode || a.kubernetes_version.minor < 29 ? ADMIN : SUPER_ADMIN
}

/** What `kube-vip manifest pod --controlplane --arp --leaderElection` prints. */
function render(a: Args, kubeconfig: string): string {
  const tag = /:v?(\d+)\.(\d+)/.exec(a.image)
  // Renamed at 0.9; a version that cannot be told gets both.
  const isOld = tag !== null && Number(tag[1]) === 0 && Number(tag[2]) < 9
  const prefix = a.address.includes(':') ? '128' : '32'
  const retry = Math.max(1, Math.floor(a.lease_duration / 5))
  const env: Record<string, string> = {
    vip_arp: 'true',
    port: String(a.port),
    vip_interface: a.interface,
    ...(isOld || tag === null ? { vip_cidr: prefix } : {}),
    ...(isOld ? {} : { vip_subnet: prefix }),
    cp_enable: 'true',
    cp_namespace: 'kube-system',
    vip_leaderelection: 'true',
    vip_leasename: 'plndr-cp-lock',
    vip_leaseduration: String(a.lease_duration),
    vip_renewdeadline: String(Math.max(1, a.lease_duration - 2)),
    vip_retryperiod: String(retry),
    address: a.address,
  }
  const lines = Object.entries(env).map(([name, value]) => `    - name: ${name}\n      value: "${value}"`)
  return `# Written by runbook.
apiVersion: v1
kind: Pod
metadata:
  name: kube-vip
  namespace: kube-system
spec:
  containers:
  - name: kube-vip
    image: ${a.image}
    imagePullPolicy: IfNotPresent
    args: [manager]
    env:
${lines.join('\n')}
    securityContext:
      capabilities:
        add: [NET_ADMIN, NET_RAW]
    volumeMounts:
    - mountPath: ${ADMIN}
      name: kubeconfig
  hostAliases:
  - ip: 127.0.0.1
    hostnames: [kubernetes]
  hostNetwork: true
  volumes:
  - name: kubeconfig
    hostPath:
      path: ${kubeconfig}
`
}
