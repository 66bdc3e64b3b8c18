import type { CordonOptions, CordonResult } from '../../shared/drain.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { KubernetesError } from '../../shared/kubernetes.ts'
import type { NodesApi } from './nodes-api.ts'
import type { Node } from './objects.ts'

/** On nodes that runbook cordoned: who, why, when, and how the node was before. */
export const CORDON_ANNOTATION = 'runbook/cordoned'

/** The annotation's value. */
export interface CordonMark {
  readonly run: string
  readonly at: string
  readonly reason?: string | undefined
  /** True when somebody else had cordoned the node before: then it stays cordoned in the end. */
  readonly before: boolean
}

/** Kubelet and controllers write to nodes all the time; a patch that met one of them is made again. */
const CONFLICTS = 5

/** A patch of a node, or none, and what to say of it. */
export interface CordonChange {
  readonly patch: object | undefined
  readonly message: string
}

/** The mark on a node; undefined when there is none that can be read. */
export function markOf(node: Node): CordonMark | undefined {
  const text = node.metadata.annotations?.[CORDON_ANNOTATION]
  if (text === undefined) return undefined
  try {
    const mark = JSON.parse(text) as CordonMark | null
    return typeof mark === 'object' && typeof mark?.before === 'boolean' ? mark : undefined
  } catch {
    return undefined
  }
}

/** How a node is cordoned. Pure. */
export function cordonChange(node: Node, { run, reason }: CordonOptions, at: Date): CordonChange {
  const unschedulable = node.spec.unschedulable === true
  const mark = markOf(node)
  if (unschedulable && mark)
    return { patch: undefined, message: `already cordoned, by runbook (run ${mark.run}, ${mark.at})` }
  const value: CordonMark = {
    run,
    at: at.toISOString(),
    ...(reason === undefined ? {} : { reason }),
    before: unschedulable,
  }
  return {
    patch: {
      metadata: { annotations: { [CORDON_ANNOTATION]: JSON.stringify(value) } },
      ...(unschedulable ? {} : { spec: { unschedulable: true } }),
    },
    message: unschedulable ? 'already cordoned, not by runbook: uncordon will leave it so' : 'cordoned',
  }
}

/** How a node is uncordoned. Pure. */
export function uncordonChange(node: Node): CordonChange {
  const mark = markOf(node)
  if (!mark) {
    const message =
      node.spec.unschedulable === true
        ? 'stays cordoned: it was not runbook that cordoned it (kubectl uncordon does it all the same)'
        : 'already uncordoned'
    return { patch: undefined, message }
  }
  const gone = { metadata: { annotations: { [CORDON_ANNOTATION]: null } } }
  if (node.spec.unschedulable !== true) return { patch: gone, message: 'already uncordoned, not by runbook' }
  if (mark.before) return { patch: gone, message: `stays cordoned: it was so before run ${mark.run}` }
  return { patch: { ...gone, spec: { unschedulable: null } }, message: 'uncordoned' }
}

/** Cordons nodes. Nothing is touched when one of them does not exist. */
export async function cordonNodes(
  api: NodesApi,
  names: readonly string[],
  options: CordonOptions,
  now = () => new Date(),
): Promise<CordonResult[]> {
  return changeNodes(api, names, options, (node) => cordonChange(node, options, now()))
}

/** Uncordons nodes that runbook cordoned. Nothing is touched when one of them does not exist. */
export async function uncordonNodes(
  api: NodesApi,
  names: readonly string[],
  options: CordonOptions,
): Promise<CordonResult[]> {
  return changeNodes(api, names, options, uncordonChange)
}

async function changeNodes(
  api: NodesApi,
  names: readonly string[],
  { dryRun = false, signal }: CordonOptions,
  change: (node: Node) => CordonChange,
): Promise<CordonResult[]> {
  await mustExist(api, names, signal)
  const results: CordonResult[] = []
  for (const name of names) results.push(await changeNode(api, name, { dryRun, signal }, change))
  return results
}

async function changeNode(
  api: NodesApi,
  name: string,
  options: { readonly dryRun: boolean; readonly signal: AbortSignal | undefined },
  change: (node: Node) => CordonChange,
): Promise<CordonResult> {
  for (let conflicts = 0; ; conflicts++) {
    const node = await api.node(name, options.signal)
    if (!node) throw unknownNodes([name], [])
    const { patch, message } = change(node)
    if (patch === undefined) return { node: name, changed: false, message }
    const { metadata, ...rest } = patch as { metadata: object }
    const guarded = { ...rest, metadata: { ...metadata, resourceVersion: node.metadata.resourceVersion } }
    try {
      await api.patchNode(name, guarded, options)
      return { node: name, changed: true, message: options.dryRun ? `${message} (dry run)` : message }
    } catch (error) {
      if (!(error instanceof KubernetesError && error.status === 409) || conflicts >= CONFLICTS) throw error
    }
  }
}

/** All nodes of the cluster. Throws UserError when one of the names is not among them. */
export async function mustExist(api: NodesApi, names: readonly string[], signal?: AbortSignal): Promise<Node[]> {
  const nodes = await api.nodes(signal)
  const known = nodes.map(({ metadata }) => metadata.name)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw unknownNodes(unknown, known)
  return nodes
}

function unknownNodes(names: readonly string[], known: readonly string[]): UserError {
  return new UserError(
    names.map((name) => ({ message: `there is no node ${name} in the cluster`, hint: didYouMean(name, known) })),
  )
}
