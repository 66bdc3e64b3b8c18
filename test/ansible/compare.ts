/**
 * Two fresh lab hosts, one made by ansible-playbook and one by the imported playbook after its hand edits, compared one by one:
 *
 *     node test/ansible/compare.ts THEIRS.yml OURS.yml [--prepare SCRIPT] [--read-only FOLDER] [--group NAME] [-e VAR=VALUE]
 *
 * Both playbooks are applied twice, as the second run tells whether the host had come to rest. Exit code 1: a difference.
 * Playbooks of others are never part of this repository; this is how to try one.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { bootLab } from '../lab/index.ts'
import { ansibleFolder } from './ansible.ts'
import { inventoryOf, runAnsible, runRunbook } from './apply.ts'
import { differences, stateOf } from './state.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    prepare: { type: 'string' },
    'read-only': { type: 'string', multiple: true },
    group: { type: 'string', multiple: true },
    'extra-vars': { type: 'string', short: 'e', multiple: true },
  },
})
const [theirs, ours] = positionals
if (!theirs || !ours) throw new Error('usage: compare.ts THEIRS.yml OURS.yml')
process.exitCode = await compare(resolve(theirs), resolve(ours))

async function compare(theirs: string, ours: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-compare-'))
  try {
    await using lab = await bootLab({ hosts: 2, image: 'ansible', readOnly: values['read-only'] })
    if (values.prepare !== undefined) {
      const script = readFileSync(values.prepare, 'utf8')
      for (const host of ['n1', 'n2']) {
        const { rc, stdout, stderr } = await lab.exec(host, ['sh', '-eu'], { input: script })
        if (rc !== 0) throw new Error(`${host}: ${stdout}${stderr}`)
      }
    }
    const groups = values.group ?? []
    const before = await Promise.all([stateOf(lab, 'n1'), stateOf(lab, 'n2')])
    const unlike = differences(...before)
    const more = (values['extra-vars'] ?? []).flatMap((one) => ['-e', one])
    const ansible = await ansibleFolder({ collections: true })
    for (const run of ['first', 'second']) {
      const made = await runAnsible(ansible, theirs, inventoryOf(lab, 'n1', folder, groups), more)
      console.log(`--- ansible-playbook, ${run} run: ${made.rc}\n${made.out}`)
      const done = await runRunbook(['apply', ours, '-i', inventoryOf(lab, 'n2', folder, groups), ...more])
      console.log(`--- runbook, ${run} run: ${done.rc}\n${done.out}`)
      if (made.rc !== 0 || done.rc !== 0) return 1
    }
    const after = await Promise.all([stateOf(lab, 'n1'), stateOf(lab, 'n2')])
    const differ = differences(...after).filter((line) => !unlike.includes(line))
    console.log(
      `${after[0].length} things were compared, ${differences(before[0], after[0]).length} lines were changed by Ansible`,
    )
    console.log(differ.length === 0 ? 'no difference' : `${differ.length} differences (- Ansible, + runbook):`)
    for (const line of differ) console.log(line)
    return differ.length === 0 ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
