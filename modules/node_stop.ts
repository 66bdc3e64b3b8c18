import { type ActionContext, args, defineAction, node, SessionError, z } from '#module'

const seconds = (value: number) => args.seconds.refine((n) => n >= 1, 'must be at least 1').default(value)

const schema = z.strictObject({
  services: args
    .list(z.string().min(1))
    .default([])
    .describe('units to stop first, in this order: a database, a queue'),
  service_timeout: seconds(120).describe('seconds for each of them; they are asked, never killed'),
  kubelet_timeout: seconds(30).describe('seconds until kubelet is killed'),
  containerd_timeout: seconds(30).describe('seconds until containerd is killed'),
  mount_timeout: seconds(60).describe('seconds for all unmounts; what is busy is unmounted lazily'),
  sync_timeout: seconds(120).describe('seconds for writing what is not written yet'),
  on_timeout: z
    .enum(['stop', 'continue'])
    .default('stop')
    .describe('when something is left after all that a step can do: stop here and say what, or go on'),
  cycle: z.string().default('maintain').describe('as for node_preflight'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Stop services and containers of a host in the order that lets it shut down',
  description:
    'Services of your choice; kubelet alone; pods through crictl while the pod network lives (those of the pod network, then ' +
    'those of the host network, etcd last, each with its own grace period); containerd and what its unit leaves running; mounts, ' +
    'deepest first; sync. Without Kubernetes: the services and sync. Done twice, the second has nothing to stop. Drain first.',
  args: schema,
  returns: { steps: 'list of {step, seconds, did, left}' },
  examples: [{ name: 'A database first', yaml: 'node_stop:\n  services: [postgresql]' }],
  run: async (ctx, a) => {
    const record = node.recordOf(ctx)
    const answer = await node.answerOf(ctx, node.TRY_MS)
    if (answer.kind !== 'up' && record && node.mayBeDown(record))
      return { changed: false, msg: 'is down already, by an earlier run' }
    if (answer.kind === 'up' && node.continuation(record, a.cycle, answer.bootId) === 'is_back')
      return { changed: false, msg: 'has been down already, and is up again' }
    if (answer.kind === 'up' && (await node.isOwnMachine(answer.bootId))) throw node.mustNotBeOwn(ctx.host)
    try {
      return await stop(ctx, a, record)
    } catch (error) {
      // What was sent before may take the host away in the middle of it.
      if (error instanceof SessionError && record && node.mayBeDown(record))
        return { changed: true, msg: `goes down already, by an earlier run: ${error.message}` }
      throw error
    }
  },
  preview: async (ctx, a) => {
    const look = await node.lookAt(ctx)
    const pods = await node.podsOn(ctx)
    const steps = node.stopSteps(look, pods, a.services, limitsOf(a))
    const changes = steps.map(({ title, items, seconds: limit }) => ({
      summary: `${title}: ${items.join(', ')} (at most ${limit} s)`,
    }))
    return { changed: true, msg: `would take ${steps.length} steps`, changes }
  },
})

async function stop(ctx: ActionContext, a: Args, record: node.CycleRecord | undefined) {
  const running = await activeOf(ctx, a.services)
  const steps = await node.stopNode(ctx, { services: a.services, limits: limitsOf(a), onTimeout: a.on_timeout })
  if (record) {
    const phase = node.mayBeDown(record) ? record.phase : 'stopped'
    node.advance(ctx, record, { phase, ran: [...new Set([...record.ran, ...running])] })
  }
  const done = steps.filter(({ did, left }) => did.length > 0 || left.length > 0)
  return {
    changed: done.some(({ step }) => step !== 'sync'),
    msg: done.map(({ step, seconds: took }) => `${step} ${took} s`).join(', '),
    changes: done.map(({ step, did, left }) => ({
      summary: `${step}: ${[...did, ...left.map((text) => `left: ${text}`)].join('; ')}`,
    })),
    data: { steps: steps.map((one) => ({ ...one })) },
  }
}

/** Those of the services that run now: they must do so again after the boot. */
async function activeOf(ctx: ActionContext, services: readonly string[]): Promise<string[]> {
  if (services.length === 0) return []
  const { stdout } = await ctx.run(node.isActiveScript(services), { timeoutMs: 30_000 })
  const states = stdout.toString('utf8').trim().split('\n')
  return services.filter((_, i) => states[i] === 'active')
}

const limitsOf = (a: Args) => ({
  service: a.service_timeout,
  kubelet: a.kubelet_timeout,
  containerd: a.containerd_timeout,
  mount: a.mount_timeout,
  sync: a.sync_timeout,
})
