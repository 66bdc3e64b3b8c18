/** `npm run demo -- netboot`: a machine with an empty disk, from power-on to an applied playbook, with the live view. */
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Rack } from '../netboot/rack.ts'
import { title } from './demo-step.ts'

const ends: (() => Promise<void>)[] = []
const say = (text: string): void => void process.stdout.write(`${text}\n`)
const step = (text: string, command: string): void => {
  title(text)
  say(`  $ ${command}\n`)
}

let watch: ChildProcess | undefined
let ended: Promise<void> | undefined
/** Once, whoever asks. */
function end(): Promise<void> {
  ended ??= (async () => {
    watch?.kill()
    for (const one of ends.reverse()) await one().catch((error: Error) => say(error.message))
  })()
  return ended
}
let isInterrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (isInterrupted) return
    isInterrupted = true
    say('\nInterrupted: the machine, its wire and its files go')
    void end().then(() => process.exit(130))
  })
}

try {
  title('What machines load: loaders, our installer, a small Debian (built once, for some minutes; then kept)')
  let isReady = false
  const rack = await Rack.make(
    { teardown: (one) => void ends.push(one) },
    // The live view says the same, shorter.
    { say: (line) => void (isReady || isInterrupted || say(`  ${line}`)) },
  )
  const run = async (text: string, args: string[]): Promise<void> => {
    step(text, `runbook ${args.join(' ')}`)
    say((await rack.runbook(args)).out.trimEnd())
  }
  step('A rack of one machine (QEMU, UEFI firmware, an empty disk), and what it is to be', 'cat netboot.yml')
  say(readFileSync(join(rack.folder, 'netboot.yml'), 'utf8').replaceAll(/^\n/gm, '').trimEnd())
  step('The server, alone on a wire with the machine', 'runbook netboot serve')
  await rack.serve()
  isReady = true
  await run('An installer is given out only where one was asked for', ['netboot', 'repave', 'n1'])
  await run('Power on', ['power', 'on', 'n1'])
  step('Firmware, loader, installer, reboot, the playbook: two to five minutes', 'runbook netboot watch')
  watch = rack.watch()
  await rack.until(/n1 .*site\.yml (applied|ended)/, 900)
  await new Promise((done) => setTimeout(done, 1000))
  watch.kill()
  await run('What happened', ['netboot', 'status', 'n1'])
  step(
    'What the playbook left on the machine, over ssh with the host keys that it told of',
    'ssh n1 cat /etc/hostname /etc/applied',
  )
  say((await rack.ssh('cat /etc/hostname /etc/applied')) ?? 'not reachable')
} catch (error) {
  if (!isInterrupted) throw error
} finally {
  await end()
}
