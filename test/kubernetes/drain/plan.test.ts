/** What the drain makes of pods and budgets: tables. */
import t from 'tap'
import {
  budgetsOf,
  claimsOf,
  counts,
  inTurns,
  neverMet,
  selects,
  uncomputed,
} from '../../../src/kubernetes/drain/budgets.ts'
import { type FilterOptions, judgePod } from '../../../src/kubernetes/drain/filters.ts'
import type { Budget, Node, Pod } from '../../../src/kubernetes/drain/objects.ts'
import { planDrain, type Snapshot } from '../../../src/kubernetes/drain/plan.ts'

const NOW = Date.parse('2026-11-20T03:00:00Z')

interface PodChoice {
  readonly name?: string
  readonly node?: string
  readonly labels?: Record<string, string>
  readonly owner?: { readonly kind: string; readonly apiVersion?: string; readonly controller?: boolean } | null
  readonly phase?: string
  readonly ready?: boolean
  readonly deleted?: string
  readonly volumes?: Pod['spec']['volumes']
  readonly mirror?: boolean
}

function pod(choice: PodChoice = {}): Pod {
  const { name = 'p', node = 'n1', labels = { app: 'x' }, owner = { kind: 'ReplicaSet' }, phase = 'Running' } = choice
  const { ready = true, deleted, volumes, mirror } = choice
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'shop',
      uid: `uid-${name}`,
      labels,
      ...(mirror ? { annotations: { 'kubernetes.io/config.mirror': 'hash' } } : {}),
      ...(deleted ? { deletionTimestamp: deleted } : {}),
      ...(owner ? { ownerReferences: [{ apiVersion: 'apps/v1', name: 'set', controller: true, ...owner }] } : {}),
    },
    spec: { nodeName: node, ...(volumes ? { volumes } : {}) },
    status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  }
}

function budget(status: Budget['status'], spec: Partial<Budget['spec']> = {}, more: object = {}): Budget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'b', namespace: 'shop', generation: 1, uid: 'b', ...more },
    spec: { selector: { matchLabels: { app: 'x' } }, minAvailable: 2, ...spec },
    status: { observedGeneration: 1, ...status },
  }
}

const node = (name: string, spec: Node['spec'] = {}, ready = 'True'): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec,
  status: { conditions: [{ type: 'Ready', status: ready }] },
})

t.test('filters, with kubectl’s words', async (t) => {
  const EMPTY = [{ name: 'v', emptyDir: {} }]
  const SET = { kind: 'DaemonSet' }
  const local = 'cannot delete Pods with local storage (use --delete-emptydir-data to override)'
  const unmanaged = 'cannot delete Pods that declare no controller (use --force to override)'
  const cases: [name: string, choice: PodChoice, options: FilterOptions, exists: boolean, verdict: object][] = [
    ['a pod', {}, {}, true, { do: 'evict' }],
    ['no controller', { owner: null }, {}, true, { do: 'refuse', why: unmanaged }],
    [
      'an owner that is no controller',
      { owner: { kind: 'Job', controller: false } },
      {},
      true,
      { do: 'refuse', why: unmanaged },
    ],
    [
      'forced',
      { owner: null },
      { force: true },
      true,
      { do: 'evict', warning: 'deleting Pods that declare no controller' },
    ],
    ['finished, no controller', { owner: null, phase: 'Failed' }, {}, true, { do: 'evict' }],
    ['finished, emptyDir', { volumes: EMPTY, phase: 'Succeeded' }, {}, true, { do: 'evict' }],
    ['emptyDir', { volumes: EMPTY }, {}, true, { do: 'refuse', why: local }],
    ['emptyDir, forced only', { volumes: EMPTY }, { force: true }, true, { do: 'refuse', why: local }],
    ['another volume', { volumes: [{ name: 'v' }] }, {}, true, { do: 'evict' }],
    [
      'emptyDir and no controller: both warnings',
      { volumes: EMPTY, owner: null },
      { force: true, deleteEmptydirData: true },
      true,
      { do: 'evict', warning: 'deleting Pods with local storage; deleting Pods that declare no controller' },
    ],
    [
      'DaemonSet',
      { owner: SET },
      {},
      true,
      { do: 'refuse', why: 'cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)' },
    ],
    [
      'DaemonSet with emptyDir: the first filter ends it',
      { owner: SET, volumes: EMPTY },
      { ignoreDaemonsets: true },
      true,
      { do: 'keep', why: 'DaemonSet-managed', warning: 'ignoring DaemonSet-managed Pods' },
    ],
    ['DaemonSet, finished', { owner: SET, phase: 'Succeeded' }, {}, true, { do: 'evict' }],
    ['DaemonSet of another API', { owner: { ...SET, apiVersion: 'kruise/v1' } }, {}, true, { do: 'evict' }],
    [
      'DaemonSet gone',
      { owner: SET },
      { ignoreDaemonsets: true },
      false,
      { do: 'refuse', why: 'daemonsets.apps "set" not found' },
    ],
    [
      'DaemonSet gone, forced',
      { owner: SET },
      { force: true },
      false,
      { do: 'evict', warning: 'daemonsets.apps "set" not found' },
    ],
    [
      'static',
      { mirror: true, owner: { kind: 'Node', apiVersion: 'v1' }, volumes: EMPTY },
      {},
      true,
      { do: 'keep', why: 'static pod of kubelet' },
    ],
    ['ending for long, waited for', { deleted: '2026-11-20T02:00:00Z' }, {}, true, { do: 'evict' }],
    [
      'ending for long, not waited for',
      { deleted: '2026-11-20T02:00:00Z', owner: null },
      { skipWaitForDeleteSeconds: 60 },
      true,
      { do: 'keep', why: 'should have ended 3600 s ago; not waited for' },
    ],
    ['ending just now', { deleted: '2026-11-20T02:59:30Z' }, { skipWaitForDeleteSeconds: 60 }, true, { do: 'evict' }],
  ]
  for (const [name, choice, options, exists, verdict] of cases) {
    const world = { daemonSets: new Set(exists ? ['shop/set'] : []), now: NOW }
    t.same(judgePod(pod(choice), options, world), verdict, name)
  }
})

t.test('label selectors', async (t) => {
  const labels = { app: 'x', tier: 'y' }
  const expression = (key: string, operator: string, values?: string[]) => ({
    matchExpressions: [{ key, operator, ...(values ? { values } : {}) }],
  })
  const cases: [Parameters<typeof selects>[0], boolean][] = [
    [undefined, false],
    [null, false],
    [{}, true],
    [{ matchLabels: { app: 'x' } }, true],
    [{ matchLabels: { app: 'x', other: '' } }, false],
    [{ matchLabels: { toString: 'x' } }, false],
    [expression('app', 'In', ['w', 'x']), true],
    [expression('app', 'In', ['w']), false],
    [expression('none', 'In', ['w']), false],
    [expression('app', 'NotIn', ['x']), false],
    [expression('none', 'NotIn', ['x']), true],
    [expression('app', 'Exists'), true],
    [expression('none', 'Exists'), false],
    [expression('none', 'DoesNotExist'), true],
    [expression('app', 'DoesNotExist'), false],
    [{ matchLabels: { app: 'x' }, ...expression('tier', 'NotIn', ['y']) }, false],
    [expression('app', 'Sometimes'), false],
  ]
  for (const [selector, expected] of cases) t.equal(selects(selector, labels), expected, JSON.stringify(selector))
  t.same(budgetsOf(pod(), [budget({}, {}, { namespace: 'other' })]), [], 'of its namespace only')
})

t.test('which pods a budget counts for', async (t) => {
  const short = { desiredHealthy: 2, currentHealthy: 1 }
  const enough = { desiredHealthy: 2, currentHealthy: 2 }
  const cases: [PodChoice, Budget['status'], Partial<Budget['spec']>, boolean][] = [
    [{}, short, {}, true],
    [{ phase: 'Pending', ready: false }, short, {}, false],
    [{ phase: 'Failed', ready: false }, short, {}, false],
    [{ deleted: '2026-11-20T02:00:00Z' }, short, {}, false],
    [{ ready: false }, short, {}, true],
    [{ ready: false }, enough, {}, false],
    [{ ready: false }, { desiredHealthy: 0, currentHealthy: 0 }, {}, true],
    [{ ready: false }, short, { unhealthyPodEvictionPolicy: 'AlwaysAllow' }, false],
    [{ ready: true }, short, { unhealthyPodEvictionPolicy: 'AlwaysAllow' }, true],
  ]
  for (const [choice, status, spec, expected] of cases)
    t.equal(counts(pod(choice), budget(status, spec)), expected, JSON.stringify([choice, status, spec]))
})

t.test('budgets that are never met', async (t) => {
  const full = { disruptionsAllowed: 0, desiredHealthy: 3, currentHealthy: 3, expectedPods: 3 }
  const failed = [{ type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed', message: 'found no controllers' }]
  const cases: [Budget, RegExp | undefined][] = [
    [budget(full), /shop\/b \(minAvailable 2\) needs 3 healthy pods and has 3, of 3 in all: it never lets one go/],
    [budget(full, { minAvailable: undefined, maxUnavailable: 0 } as never), /\(maxUnavailable 0\)/],
    [budget({ ...full, currentHealthy: 1 }), /needs 3 healthy pods and has 1/],
    [budget({ ...full, desiredHealthy: 2, currentHealthy: 2 }), undefined],
    [budget({ ...full, disruptionsAllowed: 1 }), undefined],
    [budget({ ...full, expectedPods: 0 }), undefined],
    [budget({ ...full, observedGeneration: 0 }), undefined],
    [budget({ conditions: failed }), undefined],
    [budget({ ...full, conditions: failed }), undefined],
  ]
  for (const [given, expected] of cases) {
    const said = neverMet(given)
    if (expected) t.match(said, expected)
    else t.equal(said, undefined, JSON.stringify(given.status))
  }
  const uncounted: [Budget, boolean][] = [
    [budget({ conditions: failed }), true],
    [budget({ ...full, conditions: failed }), true],
    [budget({ ...full, disruptionsAllowed: 1, conditions: failed }), false],
    [budget({ observedGeneration: 0, conditions: failed }), false],
    [budget(full), false],
  ]
  for (const [given, expected] of uncounted)
    t.equal(uncomputed(given) !== undefined, expected, JSON.stringify(given.status))
  t.match(uncomputed(budget({ conditions: failed })), /cannot be computed by the cluster.*: found no controllers/)
})

t.test('claims are summed per budget, over nodes', async (t) => {
  const one = budget({ disruptionsAllowed: 1, desiredHealthy: 2, currentHealthy: 3, expectedPods: 3 })
  const pods = [
    pod({ name: 'a' }),
    pod({ name: 'b', node: 'n2' }),
    pod({ name: 'c', labels: {} }),
    pod({ name: 'd', phase: 'Pending' }),
  ]
  const claims = claimsOf(pods, [one])
  t.same(
    claims.map((claim) => claim.pods.map(({ metadata }) => metadata.name)),
    [['a', 'b']],
  )
  t.match(inTurns(claims[0]!), /needs 2 healthy pods and has 3, so 1 of its pods here may go at once, not 2 \(a, b\)/)
  t.equal(inTurns({ budget: one, pods: pods.slice(0, 1) }), undefined)
})

t.test('plans', async (t) => {
  const never = budget({ disruptionsAllowed: 0, desiredHealthy: 2, currentHealthy: 2, expectedPods: 2 })
  const fine = budget({ disruptionsAllowed: 9, desiredHealthy: 1, currentHealthy: 10, expectedPods: 10 })
  const taint = { taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] }
  const three = [node('n1'), node('n2'), node('cp', taint)]
  const last = /no other one is Ready, schedulable and without taints/
  const cases: [
    string,
    { nodes?: Node[]; pods?: Pod[]; budgets?: Budget[]; names?: string[]; force?: boolean; disableEviction?: boolean },
    RegExp[],
  ][] = [
    ['nothing', { pods: [] }, []],
    ['a pod', {}, []],
    ['never met', { budgets: [never] }, [/^shop\/p: PodDisruptionBudget shop\/b/]],
    ['never met, not asked', { budgets: [never], disableEviction: true }, []],
    ['never met, pod not counted', { budgets: [never], pods: [pod({ phase: 'Pending' })] }, []],
    [
      'two',
      { budgets: [fine, { ...fine, metadata: { ...fine.metadata, name: 'c' } }] },
      [/2 PodDisruptionBudgets select it, shop\/b and shop\/c/],
    ],
    ['last: only a tainted one is left', { nodes: [node('n1'), node('cp', taint)] }, [last]],
    ['last: the other is cordoned', { nodes: [node('n1'), node('n2', { unschedulable: true })] }, [last]],
    ['last: the other is not Ready', { nodes: [node('n1'), node('n2', {}, 'Unknown')] }, [last]],
    ['last, forced', { nodes: [node('n1')], force: true }, []],
    ['last, nothing to place elsewhere', { nodes: [node('n1')], pods: [pod({ owner: null, phase: 'Succeeded' })] }, []],
    ['both at once', { names: ['n1', 'n2'] }, [last]],
    ['a tainted one goes onto any', { nodes: [node('n1', taint), node('cp', taint)] }, []],
    ['a pod of another node', { pods: [pod({ node: 'n2', owner: null })] }, []],
  ]
  for (const [name, { nodes = three, pods = [pod()], budgets = [], names = ['n1'], ...options }, expected] of cases) {
    const snapshot: Snapshot = { nodes, pods: new Map([['n1', pods]]), budgets, daemonSets: new Set(), now: NOW }
    const [plan] = planDrain(names, snapshot, { run: 'r', ...options })
    t.equal(plan!.blockers.length, expected.length, `${name}: ${plan!.blockers}`)
    for (const [i, words] of expected.entries()) t.match(plan!.blockers[i], words, name)
  }
  const unready: Snapshot = {
    nodes: [node('n1', {}, 'Unknown'), node('n2')],
    pods: new Map(),
    budgets: [],
    daemonSets: new Set(),
    now: NOW,
  }
  t.match(planDrain(['n1'], unready, { run: 'r' })[0]!.warnings, [/^it is not Ready/])
})
