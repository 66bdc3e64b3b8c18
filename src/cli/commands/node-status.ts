import { runPlaybooks } from '../../engine/run.ts'
import { openJournal } from '../../journal/open.ts'
import { loadPlaybooks } from '../../playbook/index.ts'
import { connect } from '../../session/connect.ts'
import { EXIT } from '../exit.ts'
import { readExtraVars } from '../extra-vars.ts'
import { openInventory, siteFolder } from '../inputs.ts'
import { listenForInterrupt } from '../interrupt.ts'
import { terminalPrompt } from '../prompt.ts'
import { decrypt, redactor } from '../secrets.ts'
import type { CycleFlags } from './cycle.ts'

/** Hosts that are asked at the same time. */
const FORKS = 50

/** `runbook node status`: the module `node_status` on hosts. A host that is off is an answer, not a failure. */
export async function status(patterns: readonly string[], flags: CycleFlags): Promise<number> {
  const path = 'node status'
  const folder = flags.folder ?? siteFolder(flags.inventory)
  const text = `- name: Status
  hosts: ${JSON.stringify(patterns)}
  gather_facts: false
  become: true
  vars:
    control_planes: !cel "'control_plane' in groups ? groups.control_plane : []"
  tasks:
    - node_status:
        kubeconfig: ${JSON.stringify(flags.kubeconfig ?? '')}
        control_planes: "{{ control_planes }}"
`
  const extraVars = await readExtraVars(flags.extraVars)
  const [playbooks, inventory] = await Promise.all([
    loadPlaybooks([path], { extraVars, texts: new Map([[path, text]]), decrypt }),
    openInventory(flags.inventory, []),
  ])
  using journal = openJournal(folder)
  using interrupt = listenForInterrupt(() => {})
  const prompt = terminalPrompt((fn) => fn())
  const becomePassword = flags.askBecomePass ? await prompt?.('become password:', { secret: true }) : undefined
  if (becomePassword) redactor.add(becomePassword)
  const rows: { node: string; message: string; result: Readonly<Record<string, unknown>>; good: boolean }[] = []
  const events = runPlaybooks({
    playbooks,
    inventory,
    tags: { tags: [], skipTags: [] },
    extraVars,
    // A look takes no host's lock: a run may be at work there.
    check: true,
    diff: false,
    forks: FORKS,
    journal,
    connect,
    redactor,
    prompt,
    becomePassword,
    target: {
      ...(flags.user === undefined ? {} : { user: flags.user }),
      ...(flags.privateKey === undefined ? {} : { privateKeyFile: flags.privateKey }),
    },
    baseDir: folder,
    stop: interrupt.stop,
    abort: interrupt.abort,
  })
  for await (const event of events) {
    if (event.type !== 'task_result') continue
    const { changed, failed, skipped, unreachable, msg, ...result } = event.result ?? {}
    rows.push({ node: event.host, message: event.msg || String(msg ?? ''), result, good: event.status === 'ok' })
  }
  rows.sort((a, b) => a.node.localeCompare(b.node))
  const width = Math.max(0, ...rows.map(({ node }) => node.length))
  const shown = flags.json
    ? `${JSON.stringify(
        rows.map(({ node, message, result }) => ({ node, ...result, message })),
        undefined,
        2,
      )}\n`
    : rows.map(({ node, message }) => `${node.padEnd(width)}  ${message}\n`).join('')
  process.stdout.write(redactor.redact(shown))
  if (interrupt.stop.aborted) return EXIT.interrupted
  return rows.every(({ good }) => good) ? EXIT.done : EXIT.failed
}
