import { type ActionContext, defineAction, kubeadm, z } from '#module'

const selectors = z.union([z.string(), z.array(z.string()).transform((all) => all.join(','))])

const schema = z
  .strictObject({
    ...kubeadm.clusterArgs,
    kind: z.string().optional().describe('kind of the objects; without it: version and nodes of the cluster'),
    api_version: z.string().default('v1').describe('its group and version, such as apps/v1'),
    name: z.string().optional().describe('one object'),
    namespace: z.string().optional().describe('default: all of them; for one object: default'),
    label_selectors: selectors.optional().describe('such as app=web'),
    field_selectors: selectors.optional().describe('such as spec.nodeName=worker-1'),
  })
  .refine((a) => a.kind !== undefined || a.name === undefined, '`name` needs `kind`')

type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Read objects of the cluster',
  description:
    'Changes nothing and runs in check mode too. Fails when the API does not answer: with retries it waits for it.',
  controllerOnly: true,
  args: schema,
  returns: {
    resources: 'the objects',
    version: 'without `kind`: version of the API server',
    nodes: 'without `kind`: name, ready, why, kubelet, schedulable and control_plane of each node',
  },
  examples: [
    {
      name: 'Pods of a node',
      yaml: 'k8s_info:\n  kind: Pod\n  field_selectors: spec.nodeName=worker-1\nregister: pods',
    },
    {
      name: 'Wait for the API',
      yaml: 'k8s_info:\n  control_planes: [cp1]\nregister: api\nuntil: "!api.failed"\nretries: 30\ndelay: 2',
    },
  ],
  run: look,
  preview: kubeadm.foreseen(look, { changed: false }),
})

async function look(ctx: ActionContext, a: Args) {
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  if (a.kind === undefined) {
    const [version, nodes] = await Promise.all([api.version(), api.list({ apiVersion: 'v1', kind: 'Node' })])
    const states = nodes.map((node) => ({
      name: node.metadata.name,
      control_plane: kubeadm.isControlPlane(node),
      ...kubeadm.nodeStatus(node),
    }))
    return { changed: false, data: { version, nodes: states } }
  }
  const { kind, api_version: apiVersion, namespace } = a
  if (a.name !== undefined) {
    const found = await api.get({ apiVersion, kind, namespace, name: a.name })
    return { changed: false, data: { resources: found ? [found] : [] } }
  }
  const query = { apiVersion, kind, namespace, labelSelector: a.label_selectors, fieldSelector: a.field_selectors }
  return { changed: false, data: { resources: await api.list(query) } }
}
