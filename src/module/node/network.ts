/** What the controller's own network tells of a host that does not answer any more. */
import { execFile } from 'node:child_process'
import { lookup } from 'node:dns/promises'

/** What is heard of a host: `true` something, `false` nothing, `undefined` cannot be asked from here. */
export interface Heard {
  readonly ping: boolean | undefined
  /** The neighbour table's word, on the same Ethernet only. */
  readonly arp: boolean | undefined
}

const NOTHING: Heard = { ping: undefined, arp: undefined }

/** Asks once. Never throws; takes about a second when nothing answers. */
export async function listen(address: string): Promise<Heard> {
  const ip = await lookup(address).then(
    ({ address: found }) => found,
    () => undefined,
  )
  if (ip === undefined || /^(127\.|::1$)/.test(ip)) return NOTHING
  const pinged = await run('ping', ['-n', '-c', '1', '-W', '1', ip])
  // 1: no answer; anything else (2, no program, no right to) says nothing.
  const ping = pinged.code === 0 ? true : pinged.code === 1 ? false : undefined
  const route = await run('ip', ['-o', 'route', 'get', ip])
  if (route.code !== 0 || / via |^local /.test(route.out)) return { ping, arp: undefined }
  const neighbour = await run('ip', ['-o', 'neigh', 'show', 'to', ip])
  if (neighbour.code !== 0) return { ping, arp: undefined }
  // After a ping the kernel asks anew: an entry that is not confirmed goes from STALE over DELAY and PROBE to FAILED.
  const silent = neighbour.out.trim() === '' || /\b(FAILED|INCOMPLETE)\b/.test(neighbour.out)
  return { ping, arp: !silent }
}

function run(program: string, args: readonly string[]): Promise<{ code: number | undefined; out: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 5000 }, (error, stdout) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined
      resolve({ code, out: stdout })
    })
  })
}

/**
 * Whether a host that is silent may be called off, and the words for it. What could not be heard while the host was on
 * says nothing now.
 */
export function judgeSilence(
  before: Heard,
  now: Heard,
  ssh: string,
): { readonly silent: boolean; readonly words: string } {
  const said: string[] = [`ssh: ${ssh}`]
  let silent = true
  for (const [name, was, is] of [
    ['ping', before.ping, now.ping],
    ['ARP', before.arp, now.arp],
  ] as const) {
    if (was !== true) said.push(`${name}: not heard before either, so it says nothing`)
    else if (is === false) said.push(`${name}: silent`)
    else {
      silent = false
      said.push(`${name}: still answers`)
    }
  }
  return { silent, words: said.join('; ') }
}
