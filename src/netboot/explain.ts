/** What a machine would be told now, step by step, without a packet and without using anything up. */
import { formatIp4, type Ip4 } from './address.ts'
import { Desk, type DeskOptions } from './boot.ts'
import { architectureOf } from './dhcp/client.ts'
import { describe, explain as explainOffer } from './dhcp/explain.ts'
import { LeaseTable } from './dhcp/leases.ts'
import { messageName, OPTION, readText } from './dhcp/options.ts'
import type { Question } from './dhcp/request.ts'
import { ipxeLocal } from './scripts.ts'

export interface BootExplanation {
  readonly machine: string | undefined
  readonly profile: string | undefined
  readonly client: string
  /** One for each of our addresses that would answer. */
  readonly offers: readonly BootOffer[]
}

export interface BootOffer {
  /** Undefined: silence. */
  readonly answer: string | undefined
  readonly reason: string
  /** The packet, in lines. */
  readonly packet: readonly string[]
  readonly file: string | undefined
  /** What iPXE runs in the end; undefined when nothing is booted, or a UKI at once. */
  readonly script: string | undefined
}

/** Undefined when the MAC address is none. Pool addresses are shown as for a server without leases. */
export function explainBoot(
  question: Question,
  options: DeskOptions,
  locals: readonly Ip4[],
): BootExplanation | undefined {
  const { config, directory, now = Date.now } = options
  const desk = new Desk({ ...options, onEvent: undefined })
  const leases = new LeaseTable((address) => directory.reserved(address))
  const found = explainOffer(question, {
    settings: config.dhcp,
    locals,
    leases,
    machine: (client) => directory.machineOf(client),
    boot: desk.offer,
    now: now(),
  })
  if (found === undefined) return undefined
  const { client, machine, decisions } = found
  const known = machine && directory.machines.get(machine.name)
  const arch = architectureOf(client.arch)
  return {
    machine: machine?.name,
    profile: known && directory.profileOf(known)?.name,
    client: [client.kind, arch && `${arch.firmware} ${arch.cpu}`].filter(Boolean).join(', '),
    offers: decisions.map(({ reply, reason }) => {
      if (reply === undefined) return { answer: undefined, reason, packet: [], file: undefined, script: undefined }
      const file = readText(reply.options, OPTION.bootfileName) ?? (reply.file || undefined)
      const base = desk.base(formatIp4(reply.siaddr))
      const script = machine
        ? desk.preview(machine.name, 'ipxe', base)
        : config.discover
          ? desk.discoveryScript(client.mac, 'ipxe', base)
          : ipxeLocal('this machine is not in the inventory')
      const answer = messageName(reply.options.get(OPTION.messageType)?.[0])
      return {
        answer,
        reason,
        packet: describe(reply),
        file,
        script: file?.endsWith('/uki.efi') ? undefined : file && script,
      }
    }),
  }
}
