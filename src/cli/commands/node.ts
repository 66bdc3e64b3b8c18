import { UserError } from '../../shared/errors.ts'
import { type RunFlags, run } from '../run.ts'

/** `runbook node doctor NODE…`: the module `doctor` on hosts, as root. */
export async function doctorNodes(nodes: readonly string[], flags: RunFlags): Promise<number> {
  const option = nodes.find((node) => node.startsWith('-'))
  if (option !== undefined)
    throw new UserError({ message: `unknown option ${option}`, hint: 'runbook node doctor --help' })
  const path = `node doctor ${nodes.join(' ')}`
  const text = [
    '- name: Doctor',
    `  hosts: ${JSON.stringify(nodes)}`,
    '  become: true',
    '  gather_facts: false',
    '  tasks:',
    '    - doctor: {}',
    '      register: doctor',
    '    - debug:',
    '        var: doctor.msg',
  ].join('\n')
  return run({ flags, playbooks: [path], texts: new Map([[path, `${text}\n`]]), command: ['node', 'doctor', ...nodes] })
}
