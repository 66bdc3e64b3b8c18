import { type ActionContext, defineAction, kubeadm, node, SessionError, z } from '#module'

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  node: z.string().min(1).optional().describe('name of the node in the cluster; default: the inventory’s'),
})

export default defineAction({
  summary: 'How a host stands: power, boot, services, cluster, and how far a cycle of it is',
  description: 'Reads only, and does not fail for a host that is off.',
  args: schema,
  returns: {
    power: 'on, off, unknown; with what says so',
    ssh: 'up, refuses or silent',
    system: 'systemd’s word',
    services: 'containerd, kubelet: active …',
    cluster: 'ready, schedulable, cordoned by whom; absent when it is in none or the API cannot be asked',
    cycle: 'of an earlier run: its id, how far it came; absent when there is none',
  },
  examples: [{ name: 'Before the night', yaml: 'node_status: {}' }],
  run: status,
  preview: status,
})

async function status(ctx: ActionContext, a: z.output<typeof schema>) {
  await using power = await ctx.power()
  const state = await node.powerState(ctx, power)
  const answer = await node.answerOf(ctx, node.TRY_MS)
  const look = answer.kind === 'up' ? await lookAt(ctx) : undefined
  const record = node.recordOf(ctx)
  const cluster = look?.joined || record?.joined ? await clusterOf(ctx, a) : undefined
  const data = {
    power: power ? { state, by: power.description } : undefined,
    ssh: answer.kind,
    ...(answer.kind === 'up' ? { boot_id: answer.bootId } : { ssh_words: answer.words }),
    ...(look ? { system: look.state, going_down: look.goingDown, failed: look.failedUnits } : {}),
    ...(look ? { services: defined({ containerd: look.containerd, kubelet: look.kubelet }) } : {}),
    ...(cluster ? { cluster } : {}),
    ...(record
      ? {
          cycle: {
            kind: record.cycle,
            run: record.run,
            begun: new Date(record.begun).toISOString(),
            phase: record.phase,
            rests: record.rests === true,
          },
        }
      : {}),
  }
  return { changed: false, msg: words(data, record), data: defined(data) }
}

/** As root where the task is; a host on its way down may end the connection. */
async function lookAt(ctx: ActionContext): Promise<node.NodeLook | undefined> {
  try {
    return await node.lookAt(ctx)
  } catch (error) {
    if (!(error instanceof SessionError)) throw error
    return undefined
  }
}

async function clusterOf(ctx: ActionContext, a: z.output<typeof schema>) {
  try {
    const api = await ctx.kubernetes(kubeadm.clusterSource(a))
    const found = await kubeadm.getNode(api, a.node ?? ctx.host)
    if (!found) return { error: `the cluster has no node ${a.node ?? ctx.host}` }
    const { ready, why, schedulable } = kubeadm.nodeStatus(found)
    const mark = found.metadata.annotations?.['runbook/cordoned']
    return defined({ ready, why: why || undefined, schedulable, cordoned: mark })
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'TypeError') throw error
    return { error: error.message }
  }
}

/** What each phase of a cycle means for the host. */
const PHASES: Readonly<Record<node.Phase, string>> = {
  begun: 'it was looked at, and may be drained',
  stopped: 'its services are stopped, it was not sent down yet',
  sent: 'it was sent down, and nobody has seen yet that it is',
  off: 'it is off',
  up: 'it has been down and is up again, and was not given back to work',
}

interface Data {
  readonly power?: { readonly state: string; readonly by: string } | undefined
  readonly ssh: string
  readonly ssh_words?: string | undefined
  readonly system?: string | undefined
  readonly services?: Readonly<Record<string, unknown>> | undefined
  readonly cluster?: Readonly<Record<string, unknown>> | undefined
}

function words(data: Data, record: node.CycleRecord | undefined): string {
  const { power, ssh, ssh_words, system, services = {}, cluster } = data
  return [
    power ? `power ${power.state}` : 'power not known (no runbook_power)',
    ssh === 'up' ? `up, systemd ${system ?? 'does not answer'}` : `ssh ${ssh}: ${ssh_words}`,
    ...Object.entries(services).map(([name, state]) => `${name} ${state}`),
    ...(cluster ? [clusterWords(cluster)] : []),
    ...(record
      ? [`${record.cycle} of run ${record.run}: ${record.rests ? 'it is off, as it was told' : PHASES[record.phase]}`]
      : []),
  ].join('; ')
}

function clusterWords({ error, ready, why, schedulable, cordoned }: Readonly<Record<string, unknown>>): string {
  if (error !== undefined) return `cluster: ${error}`
  const taking = schedulable ? 'takes pods' : `cordoned${cordoned ? ' by runbook' : ', not by runbook'}`
  return `${ready ? 'Ready' : `not Ready (${why})`}, ${taking}`
}

const defined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T
