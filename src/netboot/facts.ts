/** What a machine in discovery tells of itself. Untrusted: sizes and characters are bounded, and no more is kept. */
import { z } from 'zod'
import { formatMac, parseMac } from './address.ts'

/** Terminals and inventories show it. */
const text = z
  .string()
  .max(400)
  .transform((value) => value.replace(/[^\x20-\x7e]/g, '?').trim())
const count = z.int().min(0)

const FACTS = z.object({
  vendor: text,
  product: text,
  serial: text,
  uuid: text,
  firmware: z.enum(['bios', 'uefi']),
  firmware_version: text,
  secure_boot: z.boolean(),
  /** `2` for TPM 2.0; empty without one. */
  tpm: text,
  /** Address of the controller; empty where none told it. */
  bmc: text,
  cpu: z.object({ model: text, sockets: count, threads: count }),
  /** Bytes. */
  memory: count,
  disks: z
    .array(
      z.object({
        name: text,
        serial: text,
        wwn: text,
        path: text,
        model: text,
        /** Bytes. */
        size: count,
        rotational: z.boolean(),
      }),
    )
    .max(256),
  nics: z
    .array(
      z.object({
        name: text,
        mac: text,
        driver: text,
        link: z.boolean(),
        /** Mbit/s; null where the driver does not tell. */
        speed: z.number().nullable(),
      }),
    )
    .max(64),
})

export type Facts = z.output<typeof FACTS>

/** Undefined for what is not a report of facts. */
export function parseFacts(body: string): Facts | undefined {
  try {
    return FACTS.parse(JSON.parse(body))
  } catch {
    return undefined
  }
}

/** The machine as a host of an inventory: what netboot reads, and what helps to choose its disk. */
export function hostOf(mac: string, facts: Facts | undefined): Record<string, unknown> {
  if (facts === undefined) return { netboot_mac: mac }
  // The NIC that booted first: it is the one that has the address. InfiniBand's are 20 bytes long, and boot otherwise.
  const others = facts.nics.flatMap((nic) => parseMac(nic.mac) ?? []).map(formatMac)
  const macs = [...new Set([mac, ...others])]
  return {
    netboot_mac: macs.length === 1 ? mac : macs,
    ...(facts.uuid !== '' && { netboot_uuid: facts.uuid }),
    ...(facts.serial !== '' && { netboot_serial: facts.serial }),
  }
}

/** One line for people. */
export function describeFacts({ vendor, product, cpu, memory, disks, nics, firmware, bmc, tpm }: Facts): string {
  return [
    `${vendor} ${product}`.trim(),
    `${cpu.sockets} × ${cpu.model}, ${cpu.threads} threads`,
    `${Math.round(memory / 2 ** 30)} GiB`,
    `disks ${disks.map(({ name, size, serial }) => `${name} ${gigabytes(size)}${serial && ` ${serial}`}`).join(', ') || 'none'}`,
    `${nics.length} NICs`,
    `${firmware}${tpm && `, TPM ${tpm}`}`,
    bmc && `BMC ${bmc}`,
  ]
    .filter(Boolean)
    .join('; ')
}

function gigabytes(bytes: number): string {
  return bytes < 1e12 ? `${Math.round(bytes / 1e9)} GB` : `${(bytes / 1e12).toFixed(1)} TB`
}
