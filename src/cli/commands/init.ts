import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as registry from '../../module/registry.ts'
import { inventorySchema, playbookSchema } from '../../playbook/index.ts'
import { UserError } from '../../shared/errors.ts'
import { EXIT } from '../exit.ts'

const INVENTORY = `# yaml-language-server: $schema=.schema/inventory.json
all:
  hosts:
    # This machine, without SSH, so that there is something to try at once. Put your own in its place:
    # node1:
    #   ansible_host: 192.0.2.11
    #   ansible_user: root
    localhost:
      ansible_connection: local
`

const PLAYBOOK = `# yaml-language-server: $schema=.schema/playbook.json
#
#   runbook plan site.yml     what would change, with diffs; nothing is touched
#   runbook apply site.yml    make it so; once more: nothing to change
- name: First play
  hosts: all
  tasks:
    - name: Look at the kernel
      command: uname -r
      register: kernel
      changed_when: false

    - name: A file once only
      command:
        argv: [touch, "{{ marker }}"]
        creates: "{{ marker }}"
`

const VARS = `# Variables of all hosts. A file group_vars/NAME.yml is for one group, host_vars/NAME.yml for one host.
marker: /tmp/runbook-was-here
`

/** \`runbook init [FOLDER]\`: a folder that works as it is. Throws UserError, and writes nothing, when a file is there. */
export async function init(folder: string): Promise<number> {
  const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`
  const files: Record<string, string> = {
    'inventory.yml': INVENTORY,
    'site.yml': PLAYBOOK,
    'group_vars/all.yml': VARS,
    '.schema/playbook.json': json(await playbookSchema(registry)),
    '.schema/inventory.json': json(inventorySchema()),
  }
  const there = Object.keys(files).filter((name) => existsSync(join(folder, name)))
  if (there.length > 0) {
    throw new UserError({
      message: `${there.map((name) => join(folder, name)).join(', ')}: already there`,
      hint: 'give another folder: runbook init FOLDER',
    })
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    // wx: never over a file that came in between.
    writeFileSync(path, text, { flag: 'wx' })
    process.stdout.write(`wrote ${path}\n`)
  }
  process.stdout.write(`\nTry it:  ${folder === '.' ? '' : `cd ${folder} && `}runbook plan site.yml\n`)
  return EXIT.done
}
