/** A host that kubeadm works on and a cluster, both made up, for tests of what the modules of kubeadm decide. */
import type { ActionContext, KubeObject, KubernetesApi } from '../../src/module/index.ts'
import { kubeadm } from '../../src/module/index.ts'

export const CA = '-----BEGIN CERTIFICATE-----\nMIIBeTCCAR+gAwIBAgIUEX4WI0MPKE\n-----END CERTIFICATE-----'

/** A node object. */
export function node(
  name: string,
  { plane = false, ready = true, kubelet = 'v1.34.4', message = '' } = {},
): KubeObject {
  const label = 'node-role.kubernetes.io/control-plane'
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, resourceVersion: '7', labels: plane ? { [label]: '' } : {} },
    spec: {},
    status: {
      nodeInfo: { kubeletVersion: kubelet },
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', reason: 'KubeletNotReady', message }],
    },
  }
}

/** An object that only has to be there. */
export function object(kind: string, namespace: string, name: string, more: object = {}): KubeObject {
  const apiVersion = kind === 'ConfigMap' ? 'v1' : 'apps/v1'
  return { apiVersion, kind, metadata: { name, namespace }, ...more }
}

export interface World {
  readonly ctx: ActionContext
  /** Commands of kubeadm that ran, by host. */
  readonly commands: string[]
  /** `create Secret x`, `delete Node y`, `patch Node z {…}` */
  readonly calls: string[]
  readonly secrets: string[]
  readonly objects: KubeObject[]
}

export interface WorldOptions {
  readonly objects?: readonly KubeObject[]
  readonly version?: string
  /** Status of kubeadm, and what the host is like after it. */
  readonly kubeadm?: (
    argv: string,
    objects: KubeObject[],
  ) => { rc?: number; output?: string; state?: Partial<kubeadm.HostState> }
  readonly api?: Partial<KubernetesApi>
}

const CLEAN: kubeadm.HostState = {
  root: true,
  hostname: 'n2',
  running: [],
  unfinished: undefined,
  files: new Set(),
  servers: {},
  authority: undefined,
  apiServer: undefined,
}

/** Host n2 as `state` has it, and n1, a whole control plane. */
export function world(state: Partial<kubeadm.HostState>, options: WorldOptions = {}): World {
  const { version = 'v1.34.4' } = options
  let host: kubeadm.HostState = { ...CLEAN, ...state }
  const commands: string[] = []
  const calls: string[] = []
  const secrets: string[] = []
  const objects = [...(options.objects ?? [])]
  const same = (o: KubeObject, ref: { kind: string; name: string }) =>
    o.kind === ref.kind && o.metadata.name === ref.name
  const api = {
    server: 'https://10.0.0.10:6443',
    authorities: CA,
    version: async () => version,
    notReady: async () => undefined,
    get: async (ref) => objects.find((o) => same(o, ref)),
    list: async ({ kind }) => objects.filter((o) => o.kind === kind),
    create: async (created) => {
      calls.push(`create ${created.kind} ${created.metadata.name}`)
      objects.push(created)
      return created
    },
    patch: async (ref, patch, { dryRun = false } = {}) => {
      if (!dryRun) calls.push(`patch ${ref.kind} ${ref.name} ${JSON.stringify(patch)}`)
      return objects.find((o) => same(o, ref))!
    },
    delete: async (ref) => {
      calls.push(`delete ${ref.kind} ${ref.name}`)
      const at = objects.findIndex((o) => same(o, ref))
      if (at !== -1) objects.splice(at, 1)
      return at !== -1
    },
    applyManifest: async () => [],
    deleteManifest: async () => [],
    cordon: async () => [],
    uncordon: async () => [],
    drain: async function* () {},
    ...options.api,
  } satisfies KubernetesApi
  const runOn = (name: string) => async (script: string) => {
    const answer = (rc: number, stdout = '') => ({
      rc,
      stdout: Buffer.from(stdout),
      stderr: Buffer.alloc(0),
      elapsedMs: 0,
      truncated: false,
    })
    if (script === 'kubeadm version -o short') return answer(0, `${version}\n`)
    const argv = /kubeadm ((?:init|join|reset|upgrade)[^<|]*?) (?:--config|<\/dev\/null|2>&1)/.exec(script)?.[1]
    if (argv === undefined) return answer(0)
    commands.push(name === 'n2' ? argv : `${name}: ${argv}`)
    const { rc = 0, output = '', state: after } = options.kubeadm?.(argv, objects) ?? {}
    host = { ...host, ...after }
    return answer(rc, output)
  }
  const plane: kubeadm.HostState = { ...CLEAN, hostname: 'n1', files: new Set(Object.values(kubeadm.FILES)) }
  const ctx = {
    host: 'n2',
    check: false,
    facts: {},
    run: runOn('n2'),
    read: async () => host as never,
    on: (name: string) => ({ run: runOn(name), read: async () => plane as never }),
    kubernetes: async () => api,
    secret: (text: string) => void secrets.push(text),
    log: () => {},
    sleep: async () => {},
    signal: AbortSignal.timeout(60_000),
  } as unknown as ActionContext
  return { ctx, commands, calls, secrets, objects }
}
