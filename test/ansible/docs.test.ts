/** The pairs of docs/coming-from-ansible.md: what stands under "Ansible" is imported and must give what stands under "runbook". */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { importAnsible } from '../../src/ansible/index.ts'

const DOC = join(import.meta.dirname, '../../docs/coming-from-ansible.md')

t.test('before and after', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-import-doc-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  let text = readFileSync(DOC, 'utf8')
  const defaults = /```yaml\n# defaults\/main.yml\n([\s\S]*?)```/.exec(text)![1]!
  const pairs = [...text.matchAll(/```yaml\n# Ansible\n([\s\S]*?)```\n\n```yaml\n# runbook\n([\s\S]*?)```/g)]
  t.equal(pairs.length, 5)
  for (const [i, [all, before, after]] of pairs.entries()) {
    const role = join(folder, `role${i}`)
    for (const [part, content] of [
      ['tasks', before!],
      ['defaults', defaults],
    ] as const) {
      mkdirSync(join(role, part), { recursive: true })
      writeFileSync(join(role, part, 'main.yml'), content)
    }
    await importAnsible(role, join(folder, `out${i}`), async () => [])
    const made = readFileSync(join(folder, `out${i}/tasks/main.yml`), 'utf8')
    if (process.env.UPDATE_DOCS)
      text = text.replace(
        all!,
        all!.replace(`# runbook\n${after}`, () => `# runbook\n${made}`),
      )
    else t.equal(made, after, `pair ${i + 1}`)
  }
  if (process.env.UPDATE_DOCS) writeFileSync(DOC, text)
})
