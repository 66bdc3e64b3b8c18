import { stringify } from 'yaml'
import {
  type ActionContext,
  type AppliedObject,
  args,
  defineAction,
  describeRef,
  type KubeObject,
  kubeadm,
  TaskFailure,
  withoutBookkeeping,
  z,
} from '#module'

const object = z.looseObject({ apiVersion: z.string(), kind: z.string() })

const schema = z
  .strictObject({
    ...kubeadm.clusterArgs,
    src: z.string().min(1).optional().describe('a manifest beside the playbook or role, of one or more documents'),
    template: z.string().min(1).optional().describe('the same as a template'),
    definition: z
      .union([object, z.array(object), z.string()])
      .optional()
      .describe('the object itself, a list, or YAML'),
    state: z.enum(['present', 'absent']).default('present').describe('absent: delete the objects'),
    namespace: z.string().optional().describe('for objects that name none; default: default'),
    prune: z
      .string()
      .optional()
      .describe(
        'labels (app=web): objects with them that runbook applied before and that the manifest has no more are deleted',
      ),
    force_conflicts: args.boolean.default(false).describe('take fields over that belong to another field manager'),
  })
  .refine(
    (a) => [a.src, a.template, a.definition].filter((one) => one !== undefined).length === 1,
    'give one of `src`, `template` and `definition`',
  )
  .refine((a) => a.state === 'present' || a.prune === undefined, '`prune` goes with state: present')
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Apply a manifest to the cluster',
  description:
    'Server-side apply with the field manager `runbook`, from the controller. A field that belongs to somebody else is a ' +
    'failure that names them. Check mode asks the API for a dry run. Pruning never deletes namespaces, volumes, claims ' +
    'or definitions.',
  controllerOnly: true,
  args: schema,
  returns: { objects: 'the objects, as Kind namespace/name', result: 'the objects as the API has them' },
  examples: [
    {
      name: 'From a file',
      yaml: 'k8s_manifest:\n  src: web.yml\n  prune: app=web\n  kubeconfig: admin.conf\nrun_once: true',
    },
    {
      name: 'A namespace',
      yaml: 'k8s_manifest:\n  definition: {apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n  control_planes: [cp1]',
    },
  ],
  run: (ctx, a) => carryOut(ctx, a, false),
  preview: kubeadm.foreseen<Args>((ctx, a) => carryOut(ctx, a, true), { changed: true }),
})

async function carryOut(ctx: ActionContext, a: Args, dryRun: boolean) {
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  const { text, name } = await manifest(ctx, a)
  const options = { dryRun, force: a.force_conflicts, namespace: a.namespace, prune: a.prune }
  const objects = await (a.state === 'present'
    ? api.applyManifest(text, name, options)
    : api.deleteManifest(text, name, options))
  const changes = objects.filter(({ changed }) => changed).map(change)
  return {
    changed: changes.length > 0,
    changes,
    data: { objects: objects.map(({ ref }) => describeRef(ref)), result: objects.map(({ after }) => after ?? null) },
  }
}

async function manifest(ctx: ActionContext, a: Args): Promise<{ text: string; name: string }> {
  const path = a.src ?? a.template
  if (path === undefined) {
    if (typeof a.definition === 'string') return { text: a.definition, name: 'definition' }
    return {
      text: [a.definition]
        .flat()
        .map((one) => JSON.stringify(one))
        .join('\n---\n'),
      name: 'definition',
    }
  }
  const { content } = await ctx.loadFile(path, a.src === undefined ? 'template' : 'file')
  if (content === undefined) throw new TaskFailure(`${path} is too large for a manifest`)
  return { text: content.toString('utf8'), name: path }
}

function change({ ref, before, after }: AppliedObject) {
  const verb = after === undefined ? 'delete' : before === undefined ? 'create' : 'configure'
  const diff = { kind: 'text' as const, path: describeRef(ref), before: yaml(before), after: yaml(after) }
  // Values of secrets belong in no diff.
  return { summary: `${verb} ${describeRef(ref)}`, ...(ref.kind === 'Secret' ? {} : { diff }) }
}

function yaml(object: KubeObject | undefined): string {
  return object === undefined ? '' : stringify(withoutBookkeeping(object), { lineWidth: 0, sortMapEntries: true })
}
