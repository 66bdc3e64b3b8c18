import type { Command } from 'commander'
import type { ImportFlags } from './commands/import.ts'
import type { AddCommand } from './program.ts'

/** `runbook import …`. */
export function addImport(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  command(parent, 'ansible', 'Rewrite an Ansible playbook or role for runbook', IMPORT_EXAMPLES)
    .argument('<playbook|role>', 'a playbook, with the roles and files that it names; or the folder of one role')
    .requiredOption('-o, --output <folder>', 'where to: a new or empty folder')
    .option('--report <file>', 'the report as JSON into a file; json: on standard output instead of the summary')
    .action(async (source: string, flags: ImportFlags) => {
      const { importFromAnsible } = await import('./commands/import.ts')
      done(await importFromAnsible(source, flags))
    })
}

export const IMPORT_EXAMPLES = `  runbook import ansible site.yml -o imported
  runbook import ansible roles/containerd -o playbooks/roles/containerd
  runbook import ansible site.yml -o imported --report report.json
Exit code 0: nothing is left to do; 2: places are marked that a person must write.`
