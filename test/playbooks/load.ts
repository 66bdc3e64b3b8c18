/** Requests to a service of a lab's cluster, one after the other at a steady rate, and how many were lost. */
import path from 'node:path'
import type { KubernetesLab } from '../lab/kubernetes/index.ts'

export interface Load {
  readonly sent: number
  readonly answered: number
  /** What was said of those that were lost, with its time. */
  readonly errors: readonly string[]
}

/** Seconds that one client sends for. */
const SLICE = 10

/**
 * Waits until a host gets an answer from the URL of a service; throws when there is none for a minute. A connection that is tried
 * before the service has its rules on the host is remembered without them for two minutes (nf_conntrack_tcp_timeout_syn_sent): a later one
 * from the same port would be lost, so these are forgotten.
 */
export async function reaches(lab: KubernetesLab, host: string, url: string): Promise<void> {
  const client = path.join(lab.kubernetes.shared.bin, 'test-server')
  const answer = await lab.lab.exec(host, [client, 'get', url, '60'])
  if (answer.rc !== 0) throw new Error(`${host} does not reach ${url}: ${answer.stderr}`)
  const tried = ['conntrack', '-D', '-p', 'tcp', '--state', 'SYN_SENT', '-d', new URL(url).hostname]
  const { stderr } = await lab.lab.exec(host, tried)
  if (!/\d+ flow entries have been deleted/.test(stderr)) throw new Error(`${tried.join(' ')} on ${host}: ${stderr}`)
}

/**
 * Sends `rate` requests a second to `url` from `host` (not from a pod, which could be evicted), each over a connection of its
 * own and with three seconds to answer, until the function that it gives is called.
 */
export function startLoad(lab: KubernetesLab, host: string, url: string, rate: number): () => Promise<Load> {
  const client = path.join(lab.kubernetes.shared.bin, 'test-server')
  let isOver = false
  const work = (async (): Promise<Load> => {
    let [sent, answered] = [0, 0]
    const errors: string[] = []
    while (!isOver) {
      const { stdout, stderr } = await lab.lab.exec(host, [client, 'load', url, String(SLICE), String(rate)])
      if (stdout === '') throw new Error(`no load from ${host}: ${stderr}`)
      const slice = JSON.parse(stdout) as { sent: number; answered: number; errors: Record<string, string> }
      sent += slice.sent
      answered += slice.answered
      errors.push(...Object.values(slice.errors))
    }
    return { sent, answered, errors }
  })()
  work.catch(() => {}) // told to who stops it
  return () => {
    isOver = true
    return work
  }
}
