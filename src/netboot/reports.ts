/** What machines tell: steps of installers, cloud-init's events, phone-home. Untrusted, so it becomes a few short words. */
import { z } from 'zod'

export type Report =
  | { readonly type: 'progress'; readonly step: string }
  | { readonly type: 'installed' }
  | { readonly type: 'failed'; readonly reason: string }

const text = z.string().max(500)
/** Our own form: `{"status": "installing", "step": "partitions"}`. */
const OURS = z.object({ status: z.enum(['installing', 'installed', 'failed']), step: text.optional() })
/** cloud-init's webhook (cloudinit/reporting/events.py): `{"name": "modules-final", "event_type": "start", …}`. */
const CLOUD_INIT = z.object({ name: text, event_type: z.enum(['start', 'finish']), result: text.optional() })

/** Undefined for a body that is neither of the two forms. */
export function parseReport(body: string): Report | undefined {
  let data: unknown
  try {
    data = JSON.parse(body)
  } catch {
    return undefined
  }
  const ours = OURS.safeParse(data)
  if (ours.success) {
    const { status, step = '' } = ours.data
    if (status === 'installed') return { type: 'installed' }
    return status === 'failed'
      ? { type: 'failed', reason: printable(step) }
      : { type: 'progress', step: printable(step) }
  }
  const cloudInit = CLOUD_INIT.safeParse(data)
  if (!cloudInit.success) return undefined
  const { name, event_type, result } = cloudInit.data
  const outcome = event_type === 'finish' ? (result ?? 'done') : 'begins'
  return { type: 'progress', step: printable(`cloud-init ${name} ${outcome}`) }
}

/** SSH host keys of cloud-init's phone_home (a form; keys are `pub_key_…`), without their comments. */
export function parseHostKeys(body: string): string[] {
  const keys = [...new URLSearchParams(body)].flatMap(([name, value]) => {
    const match = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]{40,2000}={0,2})(?:\s|$)/.exec(
      value,
    )
    return name.startsWith('pub_key_') && match ? [`${match[1]} ${match[2]}`] : []
  })
  return keys.slice(0, 8)
}

/** Terminals and logs show it, so it has no control characters. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
}
