import { skipWithoutLab } from '../skip.ts'
import { findGo } from './go.ts'

/** For tap's `skip`: false where the lab can run a real Kubernetes, else the reason; see skipWithoutLab(). */
export function skipWithoutKubernetes(): string | false {
  const reason = skipWithoutLab()
  if (reason || findGo()) return reason
  if (process.env.RUNBOOK_REQUIRE_LAB === '1') throw new Error('RUNBOOK_REQUIRE_LAB=1, but there is no Go')
  return 'no Go to build Kubernetes with'
}
