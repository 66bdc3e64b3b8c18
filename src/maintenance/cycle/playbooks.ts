import { join } from 'node:path'
import { SHIPPED_PLAYBOOKS } from '../../shared/shipped.ts'
import type { CycleRequest, CycleVerb } from './types.ts'

/** A playbook by its path; `text` is that of one which is on no disk. */
export interface CyclePlaybook {
  readonly path: string
  readonly text?: string | undefined
}

/** The playbook of a request: its own tasks are the phases. */
export function playbookOf({ verb, playbook }: Pick<CycleRequest, 'verb' | 'playbook'>): CyclePlaybook {
  if (verb === 'maintain') return { path: playbook ?? join(SHIPPED_PLAYBOOKS, 'maintenance.yml') }
  const parts = PARTS[verb].map((part) => `    - import_role: { name: node_cycle, tasks_from: ${part} }`)
  const text = `- name: ${verb}
  hosts: "{{ nodes }}"
  gather_facts: false
  tasks:
${parts.join('\n')}
`
  return { path: `node ${verb}`, text }
}

const PARTS: Readonly<Record<Exclude<CycleVerb, 'maintain'>, readonly ('down' | 'up')[]>> = {
  shutdown: ['down'],
  reboot: ['down', 'up'],
  poweron: ['up'],
}

/** Variables that make the role's tasks do what the verb says; the request's own stand above them. */
export function varsOf({ verb, vars = {}, reason }: CycleRequest, node: string): Map<string, unknown> {
  const own = {
    shutdown: { node_cycle: 'shutdown', node_rests: true, node_goes: 'off' },
    reboot: { node_cycle: 'reboot', node_goes: 'reboot' },
    poweron: {},
    maintain: {},
  }[verb]
  const given = { ...own, ...(reason === undefined ? {} : { node_reason: reason }), ...vars, nodes: node }
  return new Map<string, unknown>(Object.entries(given))
}
