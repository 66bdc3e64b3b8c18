/** `npm run demo -- netboot`: a machine with an empty disk, from power-on to an applied playbook, with the live view. */
import { Rack } from '../netboot/rack.ts'

const ends: (() => Promise<void>)[] = []
const say = (text: string): void => void process.stdout.write(`${text}\n`)
const title = (text: string): void => say(`\n\x1b[1m${text}\x1b[0m`)
const end = async (): Promise<void> => {
  for (const one of ends.splice(0).reverse()) await one().catch((error: Error) => say(error.message))
}
process.once('SIGINT', () => void end().then(() => process.exit(130)))

try {
  title('What machines load: loaders, our installer, a small Debian (built once, minutes)')
  let isReady = false
  const rack = await Rack.make(
    { teardown: (one) => void ends.push(one) },
    // The live view says the same, shorter.
    { say: (line) => void (isReady || say(`  ${line}`)) },
  )
  title('runbook netboot serve, on a wire of its own')
  await rack.serve()
  isReady = true
  title('runbook netboot repave n1; runbook power on n1')
  say((await rack.runbook(['netboot', 'repave', 'n1'])).out.trim())
  say((await rack.runbook(['power', 'on', 'n1'])).out.trim())
  title(
    'runbook netboot watch (firmware, loader, installer and the system itself: about three minutes under emulation)',
  )
  const watch = rack.watch()
  await rack.until(/n1 .*site\.yml (applied|ended)/, 900)
  await new Promise((done) => setTimeout(done, 1000))
  watch.kill()
  title('runbook netboot status n1')
  say((await rack.runbook(['netboot', 'status', 'n1'])).out.trim())
  title('ssh n1 cat /etc/hostname /etc/applied')
  say((await rack.ssh('cat /etc/hostname /etc/applied')) ?? 'not reachable')
} finally {
  await end()
}
