/** Why nothing boots: what can be looked at from this machine, before anybody walks to the rack. Changes nothing. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { addressesOf, formatIp4, formatSubnet, inSubnet, parseIp4 } from './address.ts'
import type { NetbootConfig } from './config.ts'
import { BOOT_SERVER_PORT, SERVER_PORT } from './dhcp/addressing.ts'
import { probe } from './dhcp/probe.ts'

export interface Finding {
  readonly what: string
  /** `unknown`: it could not be looked at. */
  readonly verdict: 'ok' | 'wrong' | 'unknown'
  /** What was seen. */
  readonly seen: string
  readonly hint?: string | undefined
}

const TFTP_PORT = 69

/** All findings, the first cause first. Takes about five seconds, and the time to read the images. */
export async function examine(config: NetbootConfig): Promise<Finding[]> {
  const addresses = addressesOf(config.interfaces)
  const served = await Promise.all(addresses.map((address) => isServing(address, config.http.port)))
  return [
    ...interfaces(config),
    ...relays(config, addresses),
    ...elsewhere(config),
    ...(await ports(config, addresses, served)),
    ...(await firewall(config)),
    ...(await others(config)),
    ...(await files(config)),
  ]
}

function interfaces({ interfaces, dhcp }: NetbootConfig): Finding[] {
  const known = networkInterfaces()
  return interfaces.map((name): Finding => {
    const what = `interface ${name}`
    const found = (known[name] ?? []).filter(({ family }) => family === 'IPv4').map(({ address }) => address)
    if (found.length === 0) {
      const hint = `give it one: ip addr add ${formatIp4(dhcp.networks[0]!.subnet.address + 1)}/${dhcp.networks[0]!.subnet.prefix} dev ${name}; is the cable in?`
      return { what, verdict: 'wrong', seen: 'it is not there, is down, or has no IPv4 address', hint }
    }
    const inside = found.filter((one) => dhcp.networks.some(({ subnet }) => inSubnet(subnet, parseIp4(one)!)))
    if (inside.length > 0) return { what, verdict: 'ok', seen: inside.join(', ') }
    const nets = dhcp.networks.map(({ subnet }) => formatSubnet(subnet)).join(', ')
    return {
      what,
      verdict: 'wrong',
      seen: `${found.join(', ')} is in none of ${nets}`,
      hint: 'networks: in netboot.yml',
    }
  })
}

/** Networks that none of our interfaces is in are reached through relays, which may say what they like. */
function relays({ dhcp }: NetbootConfig, addresses: readonly string[]): Finding[] {
  const what = 'relays'
  const { networks, relays } = dhcp
  const far = networks.filter(({ subnet }) => !addresses.some((one) => inSubnet(subnet, parseIp4(one)!)))
  if (relays === undefined) {
    if (far.length === 0) return []
    const seen = `whoever sends from inside the networks is believed to be one; ${far.map(({ name }) => name).join(', ')} is behind one`
    return [{ what, verdict: 'unknown', seen, hint: 'name those that there are: relays: in netboot.yml' }]
  }
  const listed = relays.map((one) => (one.prefix === 32 ? formatIp4(one.address) : formatSubnet(one))).join(', ')
  if (far.length === 0 || relays.length > 0)
    return [{ what, verdict: 'ok', seen: listed ? `believed: ${listed}` : 'none is believed' }]
  const seen = `none is believed, and ${far.map(({ name }) => name).join(', ')} is on none of our interfaces`
  return [{ what, verdict: 'wrong', seen, hint: 'relays: in netboot.yml, or an address there for an interface' }]
}

/** Whether one of us answers at an address of ours. */
export async function isServing(address: string, port: number): Promise<boolean> {
  const response = await fetch(`http://${address}:${port}/healthz`, { signal: AbortSignal.timeout(3000) }).catch(
    () => undefined,
  )
  return response?.status === 200 && (await response.text()) === 'ok'
}

/** Node cannot tell on which interface a broadcast came in; those of others are strangers' of ours. */
function elsewhere({ interfaces, dhcp }: NetbootConfig): Finding[] {
  if (dhcp.unknown === 'ignore') return []
  const others = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    !interfaces.includes(name) && addresses.some(({ family, internal }) => family === 'IPv4' && !internal)
      ? [name]
      : [],
  )
  if (others.length === 0) return []
  const seen = `${others.join(', ')}: who asks for an address there is heard too, and taken for a stranger`
  const hint = `drop UDP port ${SERVER_PORT} from there, e.g. nft add rule inet filter input iifname ${others[0]} udp dport ${SERVER_PORT} drop`
  return [{ what: 'other interfaces', verdict: 'unknown', seen, hint }]
}

async function ports(config: NetbootConfig, addresses: string[], served: boolean[]): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [i, address] of addresses.entries()) {
    const url = `http://${address}:${config.http.port}`
    if (served[i]) {
      findings.push({ what: 'the server', verdict: 'ok', seen: `answers at ${url}, as machines see it` })
      continue
    }
    findings.push({
      what: 'the server',
      verdict: 'wrong',
      seen: `nothing answers at ${url}/healthz`,
      hint: 'runbook netboot serve',
    })
    for (const port of [SERVER_PORT, TFTP_PORT, BOOT_SERVER_PORT]) {
      const why = await cannotBind(address, port)
      const what = `UDP port ${port} on ${address}`
      if (why === undefined) findings.push({ what, verdict: 'ok', seen: 'free' })
      else if (why === 'EACCES')
        findings.push({ what, verdict: 'unknown', seen: 'only root may look', hint: 'use sudo' })
      else
        findings.push({ what, verdict: 'wrong', seen: 'another program has it', hint: `ss -ulpn 'sport = :${port}'` })
    }
  }
  return findings
}

/** The error's code; undefined when the port is free. */
function cannotBind(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4' })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close()
      resolve(error.code ?? error.message)
    })
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)))
  })
}

/** Input chains that drop what no rule of theirs names. Whether a rule lets us through, people read better than we do. */
async function firewall({ http }: NetbootConfig): Promise<Finding[]> {
  const what = 'firewall'
  let text: string
  try {
    text = (await promisify(execFile)('nft', ['list', 'ruleset'], { timeout: 5000 })).stdout
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const seen = code === 'ENOENT' ? 'there is no nft to ask' : 'only root may look'
    return [{ what, verdict: 'unknown', seen }]
  }
  const drops = /hook input[^;]*;\s*policy drop/.test(text)
  const wanted = `UDP ${SERVER_PORT}, ${TFTP_PORT}, ${BOOT_SERVER_PORT} and TCP ${http.port}`
  if (!drops) return [{ what, verdict: 'ok', seen: 'no input chain of nftables drops by default' }]
  const named = [SERVER_PORT, TFTP_PORT, BOOT_SERVER_PORT, http.port].filter(
    (port) => !new RegExp(`dport[^\\n]*\\b${port}\\b`).test(text),
  )
  if (named.length === 0) return [{ what, verdict: 'ok', seen: `drops by default, and has rules for ${wanted}` }]
  const seen = `drops by default, and no rule names port ${named.join(', ')}`
  return [{ what, verdict: 'wrong', seen, hint: `let in ${wanted} from the rack's interface: nft list ruleset` }]
}

async function others({ interfaces, dhcp }: NetbootConfig): Promise<Finding[]> {
  const what = 'other DHCP servers'
  try {
    const found = await probe(interfaces)
    const addresses = found.filter(({ offered }) => offered !== 0)
    const names = found.map(({ server, interface: name }) => `${formatIp4(server)} on ${name}`).join(', ')
    if (dhcp.mode === 'proxy') {
      if (addresses.length > 0) return [{ what, verdict: 'ok', seen: `${names} gives addresses, as mode: proxy needs` }]
      return [
        { what, verdict: 'wrong', seen: 'none answers, and mode: proxy gives no addresses', hint: 'mode: server' },
      ]
    }
    if (found.length === 0) return [{ what, verdict: 'ok', seen: 'none answers' }]
    return [{ what, verdict: 'wrong', seen: names, hint: 'stop it, or set mode: proxy' }]
  } catch (error) {
    return [{ what, verdict: 'unknown', seen: (error as Error).message, hint: 'use sudo' }]
  }
}

async function files({ files: root, profiles, secureBoot }: NetbootConfig): Promise<Finding[]> {
  const look = async (what: string, name: string, hint: string): Promise<Finding> => {
    const found = await stat(join(root, name)).catch(() => undefined)
    const seen = found?.isFile() ? `${name}, ${found.size} B` : `there is no ${name} in ${root}`
    return { what, verdict: found?.isFile() ? 'ok' : 'wrong', seen, hint: found ? undefined : hint }
  }
  const findings: Finding[] = []
  for (const name of secureBoot ? ['shimx64.efi', 'grubx64.efi'] : ['ipxe.efi', 'undionly.kpxe']) {
    findings.push(await look('loader', name, 'runbook netboot fetch-bootfiles'))
  }
  for (const [name, profile] of profiles) {
    if (profile.kind === 'local') continue
    const what = `profile ${name}`
    const mend = profile.kind === 'kernel' && profile.image ? 'runbook netboot build-installer' : 'put it there'
    const wanted = profile.kind === 'uki' ? [profile.uki] : [profile.kernel, ...profile.initrd]
    for (const file of wanted) findings.push(await look(what, file, mend))
    if (profile.kind === 'kernel' && profile.image) {
      const { file, sha256 } = profile.image
      const found = await look(what, file, 'put it there')
      if (found.verdict === 'ok' && (await hashOf(join(root, file))) !== sha256) {
        findings.push({
          what,
          verdict: 'wrong',
          seen: `${file} has another SHA-256 than the profile`,
          hint: 'sha256sum',
        })
      } else findings.push(found)
    }
  }
  return findings
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(part as Buffer)
  return hash.digest('hex')
}
