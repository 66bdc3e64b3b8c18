import { type ActionContext, args, defineAction, type KubeObject, kubeadm, TaskFailure, z } from '#module'

const taint = z.strictObject({
  key: z.string().min(1),
  value: z.string().optional(),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']),
})
type Taint = z.output<typeof taint>

const values = z.record(z.string(), z.string().nullable())

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  node: z.string().optional().describe('name of the node; default: the inventory’s name of the host'),
  labels: values.default({}).describe('label: value; null takes a label away. Others stay'),
  annotations: values.default({}).describe('annotation: value; null takes it away. Others stay'),
  taints: z.array(taint).default([]).describe('taints that must be there: key, effect, value. Others stay'),
  remove_taints: z.array(z.string().min(1)).default([]).describe('taints that must not be there: KEY or KEY:EFFECT'),
  unschedulable: args.boolean.optional().describe('true: cordon; false: uncordon'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Labels, taints, annotations and cordon of a node',
  description: 'Only what is named is changed; a node that somebody else changes at the same time is read again.',
  controllerOnly: true,
  args: schema,
  returns: { node: 'name of the node' },
  examples: [
    {
      name: 'Label by variable',
      yaml: 'k8s_node:\n  control_planes: [cp1]\n  labels:\n    topology.kubernetes.io/zone: "{{ rack }}"\n    old-label: null',
    },
    {
      name: 'Workloads on the control plane too',
      yaml: 'k8s_node:\n  remove_taints: [node-role.kubernetes.io/control-plane]',
    },
  ],
  run: (ctx, a) => carryOut(ctx, a, false),
  preview: kubeadm.foreseen<Args>((ctx, a) => carryOut(ctx, a, true), { changed: true }),
})

const ATTEMPTS = 5

async function carryOut(ctx: ActionContext, a: Args, dryRun: boolean) {
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  const name = a.node ?? ctx.host
  for (let attempt = 1; ; attempt++) {
    const node = await kubeadm.getNode(api, name)
    if (!node) throw new TaskFailure(`${api.server} has no node ${name}`)
    const { patch, changes } = difference(node, a)
    if (changes.length === 0) return { changed: false, data: { node: name } }
    try {
      await api.patch({ apiVersion: 'v1', kind: 'Node', name }, patch, { dryRun })
      return { changed: true, changes, data: { node: name } }
    } catch (error) {
      if ((error as { status?: unknown }).status !== 409 || attempt === ATTEMPTS) throw error
    }
  }
}

type Change = { summary: string; diff: { kind: 'value'; from: unknown; to: unknown } }

/** The merge patch from the node to what is wanted, and the same in words. */
function difference(node: KubeObject, a: Args): { patch: object; changes: Change[] } {
  const changes: Change[] = []
  const metadata: Record<string, unknown> = {}
  for (const field of ['labels', 'annotations'] as const) {
    const present = node.metadata[field] ?? {}
    const wanted = Object.entries(a[field]).filter(([key, value]) => (present[key] ?? null) !== value)
    if (wanted.length > 0) metadata[field] = Object.fromEntries(wanted)
    for (const [key, to] of wanted)
      changes.push({
        summary: `${to === null ? 'remove' : 'set'} ${field.slice(0, -1)} ${key}`,
        diff: { kind: 'value', from: present[key] ?? null, to },
      })
  }
  const spec: Record<string, unknown> = {}
  const state = (node.spec ?? {}) as { taints?: Taint[]; unschedulable?: boolean }
  const before = state.taints ?? []
  const after = taintsAfter(before, a)
  if (after !== before) {
    // A merge patch replaces the list: with the version it fails rather than undo another's taint.
    spec.taints = after
    metadata.resourceVersion = node.metadata.resourceVersion
    changes.push({ summary: 'change taints', diff: { kind: 'value', from: before.map(words), to: after.map(words) } })
  }
  const cordoned = state.unschedulable ?? false
  if (a.unschedulable !== undefined && a.unschedulable !== cordoned) {
    spec.unschedulable = a.unschedulable || null
    const summary = a.unschedulable ? 'cordon' : 'uncordon'
    changes.push({ summary, diff: { kind: 'value', from: cordoned, to: a.unschedulable } })
  }
  return { patch: { ...(Object.keys(metadata).length > 0 ? { metadata } : {}), spec }, changes }
}

/** The same list when nothing is different. */
function taintsAfter(before: readonly Taint[], { taints, remove_taints }: Args): readonly Taint[] {
  const same = (x: Taint, y: Taint) => x.key === y.key && x.effect === y.effect
  const kept = before.filter(
    (one) =>
      !remove_taints.some((key) => key === one.key || key === `${one.key}:${one.effect}`) &&
      !taints.some((wanted) => same(wanted, one) && wanted.value !== one.value),
  )
  const missing = taints.filter((wanted) => !kept.some((one) => same(wanted, one)))
  return missing.length === 0 && kept.length === before.length ? before : [...kept, ...missing]
}

function words({ key, value, effect }: Taint): string {
  return `${key}${value === undefined ? '' : `=${value}`}:${effect}`
}
