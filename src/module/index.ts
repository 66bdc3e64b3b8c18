/** What a module in `modules/` is written with; the only thing of ours that it imports. */

export { z } from 'zod'
export { SessionError } from '../session/session.ts'
export {
  type CordonResult,
  DRAIN_TIMEOUT_MS,
  type DrainEvent,
  drainLine,
  reportLine,
} from '../shared/drain.ts'
export {
  type AppliedObject,
  describeRef,
  isUnreachable,
  type KubeconfigSource,
  type KubeObject,
  type KubernetesApi,
  KubernetesError,
  type ObjectRef,
  withoutBookkeeping,
} from '../shared/kubernetes.ts'
export { quote, quoteAll } from '../shared/quote.ts'
export { isSwift, withinTime } from '../shared/time-limit.ts'
export type { Action, ActionContext, ActionResult, OtherHost } from './action.ts'
export * as args from './args.ts'
export type { Change, ChangeOutput, Diff } from './change.ts'
export * as change from './change.ts'
export * as containerd from './containerd/index.ts'
export {
  type ControllerFile,
  defineAction,
  defineModule,
  type Example,
  type LoadedFile,
  type Module,
  type ResultData,
  TaskFailure,
} from './define.ts'
export * as doctor from './doctor/index.ts'
export { fileResult } from './file-result.ts'
export * as ini from './ini.ts'
export * as jobs from './jobs.ts'
export * as kubeadm from './kubeadm/index.ts'
export * as node from './node/index.ts'
export * as preflight from './preflight/index.ts'
export * as program from './program.ts'
export { all, each, known, map, type Read, ReadError } from './read.ts'
export * as read from './reads/index.ts'
export { EVERYTHING, fileTree } from './resources.ts'
export * as sourcesList from './sources-list.ts'
