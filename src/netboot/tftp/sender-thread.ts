/** A thread that sends: what `senders.ts` starts. */
import { parentPort, workerData } from 'node:worker_threads'
import { type Handover, Sender } from './sender.ts'

/** What the thread is told. */
export type Order =
  | { readonly what: 'take'; readonly handover: Handover }
  | { readonly what: 'stop'; readonly id: number }
  | { readonly what: 'close' }

const { cache } = workerData as { cache: number }
const port = parentPort!
const sender = new Sender({ cache, say: (said) => port.postMessage(said) })
port.on('message', (order: Order) => {
  if (order.what === 'take') void sender.take(order.handover)
  else if (order.what === 'stop') sender.stop(order.id)
  else {
    sender.close()
    port.close()
  }
})
