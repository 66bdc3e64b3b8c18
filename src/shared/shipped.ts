import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What comes with runbook: from src/, or from the bundle, which stands one folder deeper. */
export const SHIPPED_PLAYBOOKS = ['../../playbooks', '../../../playbooks']
  .map((path) => join(import.meta.dirname, path))
  .find((path) => existsSync(path))!
