import t from 'tap'
import { parse } from 'yaml'
import kubeVip from '../../modules/kube_vip.ts'
import type { Change, Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const args = { address: '10.0.0.10', interface: 'eth0', kubernetes_version: 'v1.34.1' }
const none = { exists: false, text: '', stat: undefined }
const MANIFEST = '/etc/kubernetes/manifests/kube-vip.yaml'
const made = ['create folder /etc/kubernetes/manifests (0700)', `create ${MANIFEST} (0600)`]

/** The manifest that `args` make on a host that is a node. */
function manifest(given: object, present = none, isNode = true): string {
  const module = kubeVip as Module
  const changes = module.plan(module.args.parse(given), { manifest: present, kubelet: isNode ? {} : undefined })
  return after(changes)
}

function after(changes: readonly Change[]): string {
  const { diff } = changes.at(-1)!
  return diff?.kind === 'text' ? diff.after : ''
}

const path = (text: string): string => parse(text).spec.volumes[0].hostPath.path
const stat = { type: 'file', mode: 0o600, uid: 0, gid: 0, owner: 'root', group: 'root' }
const admin = { exists: true, text: manifest(args), stat }
const superAdmin = { exists: true, text: manifest({ ...args, bootstrap: true }, none, false), stat }

t.equal(path(admin.text), '/etc/kubernetes/admin.conf')
t.equal(path(superAdmin.text), '/etc/kubernetes/super-admin.conf')
const pod = parse(admin.text)
t.same(Object.fromEntries(pod.spec.containers[0].env.map((e: { name: string; value: string }) => [e.name, e.value])), {
  vip_arp: 'true',
  port: '6443',
  vip_interface: 'eth0',
  vip_subnet: '32',
  cp_enable: 'true',
  cp_namespace: 'kube-system',
  vip_leaderelection: 'true',
  vip_leasename: 'plndr-cp-lock',
  vip_leaseduration: '5',
  vip_renewdeadline: '3',
  vip_retryperiod: '1',
  address: '10.0.0.10',
})
t.same(pod.spec.containers[0].securityContext.capabilities.add, ['NET_ADMIN', 'NET_RAW'])
t.match(manifest({ ...args, image: 'kube-vip:v0.8.7' }), /vip_cidr/, 'before 0.9 it was called so')
t.notMatch(manifest({ ...args, image: 'kube-vip:v0.8.7' }), /vip_subnet/)

table(kubeVip as Module, [
  { name: 'a new control plane', args, state: { manifest: none, kubelet: {} }, changes: made },
  { name: 'nothing to do', args, state: { manifest: admin, kubelet: {} }, changes: [] },
  {
    name: 'after init: on to admin.conf',
    args,
    state: { manifest: superAdmin, kubelet: {} },
    changes: [`write ${MANIFEST} (0600)`],
    check: (changes) => t.equal(path(after(changes)), '/etc/kubernetes/admin.conf'),
  },
  {
    name: 'during init super-admin.conf stays',
    args: { ...args, bootstrap: true },
    state: { manifest: superAdmin, kubelet: {} },
    changes: [],
  },
  {
    name: 'bootstrap never goes back to super-admin.conf',
    args: { ...args, bootstrap: true },
    state: { manifest: admin, kubelet: {} },
    changes: [],
  },
  {
    name: 'a node that lost its manifest has no need of super-admin.conf',
    args: { ...args, bootstrap: true },
    state: { manifest: none, kubelet: {} },
    changes: made,
    check: (changes) => t.equal(path(after(changes)), '/etc/kubernetes/admin.conf'),
  },
  {
    name: 'before 1.29 there was none',
    args: { ...args, bootstrap: true, kubernetes_version: 'v1.28.15' },
    state: { manifest: none, kubelet: undefined },
    check: (changes) => t.equal(path(after(changes)), '/etc/kubernetes/admin.conf'),
  },
  { name: 'no address', args: { ...args, address: 'vip.example' }, state: {}, invalid: /must be an IP address/ },
])
