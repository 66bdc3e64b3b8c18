import type { Command } from 'commander'
import type { EncryptFlags } from './commands/secrets.ts'
import type { AddCommand } from './program.ts'

/** `runbook secrets …`. */
export function addSecrets(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  const age = (one: Command): Command =>
    one.option(
      '--age <recipient>',
      'who can read it: age1… (again for more)',
      (value: string, before: readonly string[]) => [...before, ...value.split(',').filter(Boolean)],
      [],
    )
  age(
    command(
      parent,
      'encrypt',
      'Encrypt a vars file in its place',
      '  runbook secrets encrypt group_vars/all/secrets.yml --age age1…',
    ),
  )
    .argument('<file>', 'YAML or JSON')
    .option('--encrypted-regex <regex>', 'encrypt only values of keys like this, e.g. password|token')
    .action(async (file: string, flags: EncryptFlags) => {
      const { encrypt } = await import('./commands/secrets.ts')
      done(await encrypt(file, flags))
    })
  command(parent, 'decrypt', 'Print a file in the clear', '  runbook secrets decrypt group_vars/all/secrets.yml')
    .argument('<file>', 'an encrypted file')
    .action(async (file: string) => {
      const { decrypt } = await import('./commands/secrets.ts')
      done(await decrypt(file))
    })
  command(parent, 'edit', 'Edit an encrypted file in $EDITOR', '  runbook secrets edit group_vars/all/secrets.yml')
    .argument('<file>', 'an encrypted file')
    .action(async (file: string) => {
      const { edit } = await import('./commands/secrets.ts')
      done(await edit(file))
    })
  age(
    command(
      parent,
      'rekey',
      'Give a file a new data key, and other recipients',
      '  runbook secrets rekey group_vars/all/secrets.yml --age age1… --age age1…\n  runbook secrets rekey FILE                  the same recipients',
    ),
  )
    .argument('<file>', 'an encrypted file')
    .action(async (file: string, flags: EncryptFlags) => {
      const { rekey } = await import('./commands/secrets.ts')
      done(await rekey(file, flags))
    })
}

export const SECRETS_EXAMPLES = `  runbook secrets encrypt secrets.yml --age age1…
  SOPS_AGE_KEY_FILE=key.txt runbook secrets edit secrets.yml`
