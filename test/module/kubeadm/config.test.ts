import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { kubeadm } from '../../../src/module/index.ts'

const documents = (text: string) => parseAllDocuments(text).map((one) => one.toJS())

const init: Parameters<typeof kubeadm.initConfig>[0] = {
  kubeadm: kubeadm.parseVersion('v1.34.4')!,
  version: 'v1.34.4',
  nodeName: 'cp1',
  advertiseAddress: '10.0.0.11',
  bindPort: 6443,
  endpoint: '10.0.0.10:6443',
  criSocket: 'unix:///run/containerd/containerd.sock',
  podSubnet: '10.244.0.0/16',
  certSans: ['api.example'],
  kubeletExtraArgs: { 'node-ip': '10.0.0.11' },
  ignorePreflightErrors: ['NumCPU'],
  skipPhases: ['addon/kube-proxy'],
  clusterConfiguration: {
    apiServer: { extraArgs: [{ name: 'audit-log-maxage', value: '7' }] },
    networking: { dnsDomain: 'site' },
  },
  documents: [{ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', maxPods: 50 }],
}

t.test('init', (t) => {
  t.same(documents(kubeadm.initConfig(init)), [
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'InitConfiguration',
      bootstrapTokens: [{ ttl: '15m0s' }],
      localAPIEndpoint: { advertiseAddress: '10.0.0.11', bindPort: 6443 },
      nodeRegistration: {
        name: 'cp1',
        criSocket: 'unix:///run/containerd/containerd.sock',
        kubeletExtraArgs: [{ name: 'node-ip', value: '10.0.0.11' }],
        ignorePreflightErrors: ['NumCPU'],
      },
      skipPhases: ['addon/kube-proxy'],
    },
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'ClusterConfiguration',
      kubernetesVersion: 'v1.34.4',
      controlPlaneEndpoint: '10.0.0.10:6443',
      networking: { podSubnet: '10.244.0.0/16', dnsDomain: 'site' },
      apiServer: { certSANs: ['api.example'], extraArgs: [{ name: 'audit-log-maxage', value: '7' }] },
    },
    { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', maxPods: 50 },
  ])
  const old = kubeadm.initConfig({ ...init, kubeadm: kubeadm.parseVersion('v1.30.1')! })
  const [first] = documents(old)
  t.equal(first.apiVersion, 'kubeadm.k8s.io/v1beta3')
  t.same(first.nodeRegistration.kubeletExtraArgs, { 'node-ip': '10.0.0.11' }, 'a map until v1beta4')
  t.end()
})

t.test('join', (t) => {
  const join = {
    kubeadm: init.kubeadm,
    nodeName: 'w1',
    endpoint: '10.0.0.10:6443',
    token: 'abcdef.0123456789abcdef',
    caCertHashes: ['sha256:00'],
    criSocket: init.criSocket,
    kubeletExtraArgs: {},
    ignorePreflightErrors: [],
  }
  const [worker] = documents(kubeadm.joinConfig(join))
  t.same(worker.discovery, {
    bootstrapToken: {
      apiServerEndpoint: '10.0.0.10:6443',
      token: 'abcdef.0123456789abcdef',
      caCertHashes: ['sha256:00'],
    },
  })
  t.notOk('controlPlane' in worker)
  const key = 'k'.repeat(64)
  const [plane] = documents(kubeadm.joinConfig({ ...join, controlPlane: { bindPort: 6443, certificateKey: key } }))
  t.same(plane.controlPlane, { localAPIEndpoint: { bindPort: 6443 }, certificateKey: key })
  const upload = documents(kubeadm.uploadCertsConfig(init.kubeadm, 'kind: ClusterConfiguration\n', key))
  t.same(
    upload.map((one) => one.kind),
    ['ClusterConfiguration', 'InitConfiguration'],
  )
  t.equal(upload[1].certificateKey, key)
  t.end()
})

t.test('tokens', (t) => {
  const token = kubeadm.makeToken()
  t.match(token.text, /^[a-z0-9]{6}\.[a-z0-9]{16}$/)
  const now = Date.UTC(2026, 0, 1)
  const secret = kubeadm.tokenSecret(token, { ttlSeconds: 900, description: 'x', now })
  const data = secret.data as Record<string, string>
  t.equal(Buffer.from(data.expiration!, 'base64').toString(), '2026-01-01T00:15:00Z')
  t.equal(secret.metadata.name, `bootstrap-token-${token.id}`)
  t.equal(kubeadm.endpointOf('https://10.0.0.10:6443'), '10.0.0.10:6443')
  t.equal(kubeadm.endpointOf('https://[fd00::10]'), '[fd00::10]:443')
  t.end()
})
