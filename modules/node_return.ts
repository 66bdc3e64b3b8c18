import { type ActionContext, args, defineAction, doctor, kubeadm, node, SessionError, TaskFailure, z } from '#module'

const RETRY_MS = 3000
const PROGRESS_MS = 20_000

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  node: z.string().min(1).optional().describe('name of the node in the cluster; default: the inventory’s'),
  api: args.boolean.default(true).describe('of a node: ask the API too whether it is Ready'),
  cni: args.boolean.default(true).describe('of a node: make the network of a pod, and take it away'),
  checks: args
    .list(z.string().min(1))
    .default([])
    .describe('commands of the site’s that must succeed on the host, such as `ceph health | grep -q HEALTH_OK`'),
  timeout: args.seconds.default(600).describe('seconds until all checks must be good'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Check a host that has booted, before it gets work again',
  description:
    'A new boot, systemd’s state and units that failed only since, the root file system, error counters and journals of the disks, ' +
    'services that ran before; of a node containerd, kubelet, CNI, the API’s Ready; then your own commands. What may pass by itself is ' +
    'waited for. What does not pass ends with the doctor’s word.',
  args: schema,
  returns: { joined: 'whether it is a node of a cluster', checks: 'list of {name, state: ok or warn, message}' },
  examples: [
    {
      name: 'With the storage’s own check',
      yaml: 'node_return:\n  checks:\n    - systemctl is-active ceph-osd.target',
    },
  ],
  preview: async (ctx) => ({
    changed: false,
    msg: 'would check boot, systemd, disks, services, kubelet, CNI, Ready',
    // In a dry run the host is as it was before.
    data: {
      joined: node.recordOf(ctx)?.joined ?? (await look(ctx, { ...schema.parse({}), cni: false, api: false })).joined,
    },
  }),
  run: async (ctx, a) => {
    const deadline = performance.now() + a.timeout * 1000
    let said = performance.now()
    for (;;) {
      const { checks, signs, joined } = await look(ctx, a)
      const bad = checks.filter(({ state }) => state === 'failed')
      const waits = checks.filter(({ state }) => state === 'wait')
      if (bad.length === 0 && waits.length === 0) return report(ctx, checks, joined)
      if (bad.length > 0 || performance.now() >= deadline) throw trouble(checks, signs, a.timeout)
      if (performance.now() - said >= PROGRESS_MS) {
        said = performance.now()
        ctx.log(`waiting: ${waits.map(({ name, message }) => `${name}: ${message}`).join('; ')}`)
      }
      await ctx.sleep(RETRY_MS)
    }
  },
})

function report(ctx: ActionContext, checks: readonly node.Check[], joined: boolean) {
  for (const { name, message } of checks.filter(({ state }) => state === 'warn'))
    ctx.log(`warning: ${name}: ${message}`)
  return {
    changed: false,
    msg: checks.map(({ name, state }) => (state === 'ok' ? name : `${name} (warning)`)).join(', '),
    data: { joined, checks: checks.map((one) => ({ ...one })) },
  }
}

function trouble(checks: readonly node.Check[], signs: doctor.Signs | undefined, timeout: number): TaskFailure {
  const bad = checks.filter(({ state }) => state === 'failed' || state === 'wait')
  const words = bad.map(({ name, message }) => `${name}: ${message}`).join('\n  ')
  const chain = signs && bad.some(({ name }) => (doctor.LINKS as readonly string[]).includes(name))
  return new TaskFailure(
    `it is up, and not well${bad.every(({ state }) => state === 'wait') ? ` after ${timeout} s` : ''}; it stays cordoned:\n  ${words}` +
      (chain ? `\nThe doctor: ${node.doctorsWord(signs)}` : ''),
    { checks: checks.map((one) => ({ ...one })) },
  )
}

/** The cheap checks first; one that needs others to be good is not done before they are. */
async function look(
  ctx: ActionContext,
  a: Args,
): Promise<{ checks: node.Check[]; signs: doctor.Signs | undefined; joined: boolean }> {
  try {
    const now = await node.lookAt(ctx)
    const signs = await ctx.read(doctor.look())
    const record = node.recordOf(ctx)
    const checks = node.checksOf(now, signs, record)
    // Of a node, the doctor has told of some already.
    const services = record?.ran.filter((service) => !checks.some(({ name }) => name === service)) ?? []
    if (services.length > 0) {
      const { stdout } = await ctx.run(node.isActiveScript(services), { timeoutMs: 30_000 })
      checks.push(...node.serviceChecks(services, stdout.toString('utf8')))
    }
    const good = (): boolean => checks.every(({ state }) => state === 'ok' || state === 'warn')
    if (now.joined && a.cni && good()) checks.push(await cni(ctx))
    if (now.joined && a.api && good()) checks.push(await ready(ctx, a, now.bootId))
    for (const command of a.checks) if (good()) checks.push(await own(ctx, command))
    return { checks, signs, joined: now.joined }
  } catch (error) {
    // A boot goes on: sshd may be there, gone (a second reboot), and there again.
    if (!(error instanceof SessionError) || error.kind === 'host_key' || error.kind === 'locked') throw error
    await ctx.disconnect()
    return { checks: [{ name: 'ssh', state: 'wait', message: error.message }], signs: undefined, joined: false }
  }
}

async function cni(ctx: ActionContext): Promise<node.Check> {
  const { rc, stdout } = await ctx.run(node.CNI_CHECK, { timeoutMs: 120_000 })
  const said = stdout.toString('utf8').trim()
  if (rc === 0) return { name: 'CNI', state: 'ok', message: `a pod gets a network (${said})` }
  if (rc === 3) return { name: 'CNI', state: 'warn', message: `not tried: ${said}` }
  return { name: 'CNI', state: 'wait', message: `no pod gets a network: ${said}` }
}

/** The API goes on calling a node Ready for 40 s after it is gone: the report must be of this boot. */
async function ready(ctx: ActionContext, a: Args, bootId: string): Promise<node.Check> {
  const name = 'Ready'
  try {
    const api = await ctx.kubernetes(kubeadm.clusterSource(a))
    const found = await kubeadm.getNode(api, a.node ?? ctx.host)
    if (!found) return { name, state: 'wait', message: `the cluster has no node ${a.node ?? ctx.host}` }
    const { ready: is, why, bootId: reported } = kubeadm.nodeStatus(found)
    if (reported !== bootId) return { name, state: 'wait', message: 'kubelet has not reported since the boot' }
    return is ? { name, state: 'ok', message: 'the API has it as Ready' } : { name, state: 'wait', message: why }
  } catch (error) {
    if (!(error instanceof Error) || !/^(KubernetesError|NoCluster|UserError|TaskFailure)$/.test(error.name))
      throw error
    return { name, state: 'wait', message: error.message }
  }
}

async function own(ctx: ActionContext, command: string): Promise<node.Check> {
  const { rc, stdout, stderr } = await ctx.run(command, { timeoutMs: 60_000 })
  const said = `${stdout}${stderr}`.trim().split('\n').at(-1) ?? ''
  if (rc === 0) return { name: command, state: 'ok', message: said }
  return { name: command, state: 'wait', message: `status ${rc}${said ? `: ${said}` : ''}` }
}
