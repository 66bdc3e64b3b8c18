/** A runbook that turns its own machine off cannot turn it on again. */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { NodeView } from './nodes.ts'

export interface Machine {
  readonly machineId: string | undefined
  readonly addresses: readonly string[]
}

/** This machine, as other machines see it. */
export function thisMachine(): Machine {
  return {
    machineId: read('/etc/machine-id'),
    addresses: Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .filter(({ internal }) => !internal)
      .map(({ address }) => address),
  }
}

/** Why a node is the machine that the runbook runs on; undefined when it is another one. */
export function whyOwnMachine(
  node: Pick<NodeView, 'addresses' | 'machineId'>,
  own: Machine = thisMachine(),
): string | undefined {
  const address = node.addresses.find((one) => own.addresses.includes(one))
  if (address !== undefined) return `it has this machine's address ${address}`
  if (node.machineId && node.machineId === own.machineId) return `it has this machine's machine-id ${own.machineId}`
  return undefined
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
