import { SessionError } from '../../session/session.ts'
import { quote } from '../../shared/quote.ts'
import type { ActionContext } from '../action.ts'
import { TaskFailure } from '../define.ts'
import { containerMounts, LOOK, type NodeLook, parseLook } from './look.ts'
import { PODS, parsePods, podGroups, type RunningPod } from './pods.ts'
import {
  containerdStep,
  kubeletStep,
  mountStep,
  podStep,
  runsKubernetes,
  type Step,
  type StopLimits,
  serviceStep,
  syncStep,
} from './steps.ts'

/** Milliseconds; the questions have limits of their own, which are shorter. */
const LOOK_MS = 90_000
const PODS_MS = 180_000
/** Milliseconds that the host gets beyond a step's own limit before the script is killed. */
const BEYOND_MS = 15_000

/** Reads the host as it is. Throws SessionError. */
export async function lookAt(ctx: ActionContext): Promise<NodeLook> {
  const { stdout } = await ctx.run(LOOK, { timeoutMs: LOOK_MS })
  return parseLook(stdout.toString('utf8'))
}

export type Pods = ReturnType<typeof parsePods>

/** The pods that run. A container runtime that does not answer has none that could be stopped by it. */
export async function podsOn(ctx: ActionContext): Promise<Pods> {
  const { rc, stdout, stderr } = await ctx.run(PODS, { timeoutMs: PODS_MS })
  if (rc === 0) return parsePods(stdout.toString('utf8'))
  ctx.log(`containerd does not tell which pods run: ${stderr.toString('utf8').trim().split('\n').at(-1) ?? ''}`)
  return { tool: 'none', pods: [] }
}

/** A step that has come to its end. */
export interface StepDone {
  readonly step: string
  readonly seconds: number
  readonly did: readonly string[]
  /** What survived it. */
  readonly left: readonly string[]
}

/**
 * Stops services and containers in the order that does not hang. What a step leaves behind ends it (`stop`), or is only
 * said (`continue`).
 */
export async function stopNode(
  ctx: ActionContext,
  options: {
    readonly services: readonly string[]
    readonly limits: StopLimits
    readonly onTimeout: 'stop' | 'continue'
  },
): Promise<StepDone[]> {
  const { services, limits, onTimeout } = options
  const done: StepDone[] = []
  const perform = async (step: Step): Promise<void> => {
    const result = await performStep(ctx, step)
    done.push(result)
    ctx.log(describeStep(result))
    if (result.left.length === 0 || onTimeout === 'continue') return
    throw new TaskFailure(
      `${step.title}: ${result.left.join('; ')}. Nothing was powered off. Look at it (a process in state D waits for a ` +
        'disk or a dead server), or go on without it: on_timeout: continue (--on-timeout continue)',
      { steps: done.map((one) => ({ ...one })), step: step.title },
    )
  }
  const look = await lookAt(ctx)
  for (const name of services) await perform(serviceStep(name, limits.service))
  const first = look.containerd === 'active' ? await podsOn(ctx) : NONE
  if (runsKubernetes(look, first.pods)) {
    if (look.kubelet !== undefined) await perform(kubeletStep(limits.kubelet))
    // kubelet may have started some until it stopped.
    const { tool, pods } = look.containerd === 'active' ? await podsOn(ctx) : NONE
    if (tool !== 'none') for (const group of podGroups(pods)) await perform(podStep(group, tool))
    if (look.containerd !== undefined) await perform(containerdStep(limits.containerd))
    const paths = containerMounts(await lookAt(ctx))
    if (paths.length > 0) await perform(mountStep(paths, limits.mount))
  }
  await perform(syncStep(limits.sync))
  return done
}

const NONE: { readonly tool: 'none'; readonly pods: RunningPod[] } = { tool: 'none', pods: [] }

async function performStep(ctx: ActionContext, step: Step): Promise<StepDone> {
  const started = performance.now()
  const of = (lines: readonly string[], key: string): string[] =>
    lines.flatMap((line) => (line.startsWith(`${key} `) ? [line.slice(key.length + 1).replace(/,$/, '')] : []))
  const end = (lines: readonly string[], more: readonly string[] = []): StepDone => ({
    step: step.title,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    did: of(lines, 'did'),
    left: [...of(lines, 'left'), ...more],
  })
  try {
    const { stdout } = await ctx.run(step.script, { timeoutMs: step.seconds * 1000 + BEYOND_MS })
    return end(stdout.toString('utf8').split('\n'))
  } catch (error) {
    if (!(error instanceof SessionError) || error.kind !== 'timeout') throw error
    return end([], [`it did not end within ${step.seconds} s`])
  }
}

function describeStep({ step, seconds, did, left }: StepDone): string {
  const said = [...did, ...left.map((text) => `LEFT: ${text}`)]
  return `${step}: ${said.length === 0 ? 'nothing to do' : said.join('; ')} (${seconds} s)`
}

/** `active`, `inactive` …, a line for each service. */
export function isActiveScript(services: readonly string[]): string {
  return `systemctl is-active ${services.map(quote).join(' ')}; :`
}

/** Starts what was stopped, in the order in which each needs the one before it. */
export function startScript(services: readonly string[]): string {
  return services.map((name) => `timeout 50 systemctl start ${quote(name)} || exit`).join('\n')
}
