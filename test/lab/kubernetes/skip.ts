import { skipWithoutLab } from '../skip.ts'
import { findGo } from './go.ts'

/**
 * For tap's `skip`: false where a real Kubernetes is to be run, else the reason. It has to be asked for by
 * RUNBOOK_KUBERNETES=1 (`npm run test:kubernetes`), since the first run builds for minutes and downloads 1.6 GB. With
 * RUNBOOK_REQUIRE_LAB=1, what else is missing is thrown.
 */
export function skipWithoutKubernetes(): string | false {
  if (process.env.RUNBOOK_KUBERNETES !== '1') return 'not asked for: npm run test:kubernetes'
  const reason = skipWithoutLab()
  if (reason) return reason
  if (findGo()) return false
  if (process.env.RUNBOOK_REQUIRE_LAB === '1') throw new Error('RUNBOOK_REQUIRE_LAB=1, but there is no Go')
  return 'no Go to build Kubernetes with'
}
