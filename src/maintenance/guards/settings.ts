/** `guards:` of maintenance.yml. */
import { z } from 'zod'
import { parseSelector } from './selector.ts'

const UNITS: Readonly<Record<string, number>> = { '': 1000, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of `90s`, `30m`, `2h`, or of a number of seconds. */
const duration = z.union([z.string(), z.number()]).transform((text, context) => {
  const [, count, unit] = /^(\d{1,6})([smh]?)$/.exec(String(text)) ?? []
  if (count === undefined) {
    context.addIssue({ code: 'custom', message: 'must be a time such as 90s, 15m, 1h' })
    return z.NEVER
  }
  return Number(count) * UNITS[unit ?? '']!
})

const line = z
  .string()
  .min(1)
  .max(1000)
  .regex(/^[^\r\n\0]*$/, 'must be one line')
const selector = line.refine(
  (text) => parseSelector(text) !== undefined,
  'must be a label selector, e.g. pool=db,!spot',
)
const pattern = line.refine(isPattern, 'must be a regular expression')
const COUNT = 'must be a whole number, or a percentage such as 10%'
const maxUnavailable = z.union([z.int(COUNT).min(0, COUNT), z.string().regex(/^(?:100|\d{1,2})%$/, COUNT)], COUNT)

const BUDGET = z.strictObject({
  name: line.optional().describe('in messages; default: what it selects'),
  max_unavailable: maxUnavailable.describe('nodes, or a percentage of them: rounded down, at least 1'),
  label: selector.optional().describe('label selector of nodes: pool=db, !spot, tier in (a,b)'),
  group: line.optional().describe('host pattern of the inventory'),
  per: line
    .optional()
    .describe('label: each of its values is a budget of its own; zone is topology.kubernetes.io/zone'),
})

const BLOCKING_PODS = z.strictObject({
  selector: selector.describe('label selector of pods'),
  namespace: line.optional().describe('default: all'),
  on: z.enum(['node', 'cluster']).default('node').describe('pods of the node, or wherever they run'),
})

const ALERTS = z.strictObject({
  prometheus: z.url({ protocol: /^https?$/ }).describe('URL of the server, without /api'),
  match: z.array(pattern).default([]).describe('regular expressions of alert names that block; default: all'),
  ignore: z.array(pattern).default([]).describe('regular expressions of alert names that do not'),
  labels: z
    .record(z.string(), line)
    .default({})
    .describe('only alerts with these labels; {node} is the name of the node'),
  pending: z.boolean().default(false).describe('pending ones block too'),
  token_file: line.optional().describe('bearer token, in a file beside maintenance.yml'),
})

const COMMAND = z.strictObject({
  command: z
    .union([line.transform((one) => [one]), z.array(z.string()).min(1)])
    .describe(
      'exit status 0: go on; else its last line says why not. RUNBOOK_NODE, RUNBOOK_RUN, RUNBOOK_REASON are set',
    ),
  timeout: duration.prefault('30s'),
})

export const GUARDS_SCHEMA = z
  .strictObject({
    max_unavailable: maxUnavailable
      .optional()
      .describe('of all nodes together; default: 1, and no limit for plain hosts'),
    budgets: z.array(BUDGET).default([]).describe('of groups of nodes, besides'),
    soak: duration.prefault('0s').describe('how long a node must be Ready before the next one is taken'),
    blockers: z
      .strictObject({
        pods: z.array(BLOCKING_PODS).default([]),
        alerts: z.array(ALERTS).default([]),
        commands: z.array(COMMAND).default([]),
      })
      .prefault({}),
    lease: z
      .strictObject({
        namespace: line.default('kube-system'),
        duration: duration
          .prefault('60s')
          .refine((ms) => ms >= 5000 && ms <= 3_600_000, 'must be from 5s to 1h')
          .describe('after so long without a sign of life a holder is dead'),
      })
      .prefault({}),
    etcd: z
      .strictObject({
        pki: line
          .default('/etc/kubernetes/pki/etcd')
          .describe('on control planes: ca.crt, healthcheck-client.crt and .key'),
        port: z.int().min(1).max(65535).default(2379),
      })
      .prefault({}),
  })
  .prefault({})

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) !== undefined
  } catch {
    return false
  }
}

/** Plain data; durations in milliseconds. */
export type GuardSettings = z.output<typeof GUARDS_SCHEMA>
export type BudgetSettings = GuardSettings['budgets'][number]
export type Blockers = GuardSettings['blockers']

/** What a run did to a node whose lock it gives back; see Hold.release. */
export type ExitGuard = 'back' | 'untouched' | 'left'
