/** Power control by IPMI 2.0 over LAN, through ipmitool: RMCP+ is a protocol nobody should write again. */
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { BootOverride, BootTarget, DriverContext, PowerAction, PowerDriver } from './driver.ts'
import { PowerError } from './errors.ts'

export interface IpmiSettings {
  readonly address: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** RMCP+ cipher suite; 17 (SHA-256) and then 3 (SHA-1) when undefined. */
  readonly cipher?: number | undefined
  /** What the session asks for; users that may no more than work the power need `operator`. */
  readonly privilege: 'administrator' | 'operator'
  readonly firmware: 'uefi' | 'legacy'
}

const ACTIONS: Readonly<Record<PowerAction, string>> = {
  on: 'on',
  'soft-off': 'soft',
  'hard-off': 'off',
  reset: 'reset',
}

/** ipmitool's words, and the boot device selector (IPMI 2.0, table 28-14, parameter 5, data 2 bits 5:2). */
const DEVICES: Readonly<Partial<Record<BootTarget, { word: string; selector: number }>>> = {
  none: { word: 'none', selector: 0 },
  pxe: { word: 'pxe', selector: 1 },
  disk: { word: 'disk', selector: 2 },
  cd: { word: 'cdrom', selector: 5 },
  bios: { word: 'bios', selector: 6 },
}

/** Milliseconds; ipmitool gives up by itself before (10 s for one that is silent, several messages a command). */
const COMMAND_TIMEOUT_MS = 60_000

export function ipmiDriver(settings: IpmiSettings, context: DriverContext): PowerDriver {
  const { address, port, password } = settings
  const { host } = context
  context.addSecret(password)
  let cipher = settings.cipher ?? 17

  const run = async (signal: AbortSignal, ...command: string[]): Promise<string> => {
    const result = await ipmitool(settings, cipher, host, command, signal)
    if (result.code === 0) return result.stdout
    const said = lastLines(result.stderr)
    // A controller without suite 17 mostly says so; one that says nothing at all may be dead, which a ping tells sooner.
    const mayLackSuite = async (): Promise<boolean> =>
      isNoSuite(result.stderr) || (isNoSession(result.stderr) && (await answersPing(address, port, signal)))
    if (settings.cipher === undefined && cipher === 17 && (await mayLackSuite())) {
      cipher = 3
      try {
        return await run(signal, ...command)
      } catch (error) {
        cipher = 17
        throw error
      }
    }
    throw await failure(settings, host, result.stderr, said, command, signal)
  }

  return {
    description: `IPMI ${address}${port === 623 ? '' : ` port ${port}`}`,
    seesPower: true,
    async state(signal) {
      const text = await run(signal, 'chassis', 'power', 'status')
      const state = /Chassis Power is (on|off)/i.exec(text)?.[1]?.toLowerCase()
      return state === 'on' || state === 'off' ? state : 'unknown'
    },
    async act(action, signal) {
      await run(signal, 'chassis', 'power', ACTIONS[action])
    },
    async boot(target, signal) {
      const device = DEVICES[target]
      if (!device) {
        throw new PowerError('unsupported', host, `IPMI cannot boot from ${target}`, {
          hint: `it knows ${Object.keys(DEVICES).join(', ')}; Redfish knows more`,
        })
      }
      // A choice is dropped after 60 s without a boot unless parameter 3 says otherwise (IPMI 2.0, table 28-14): bit 3
      // keeps it, and a shutdown takes longer. Not all controllers have the parameter.
      await run(signal, 'raw', '0x00', '0x08', '0x03', '0x08').catch((error: unknown) => {
        if (!(error instanceof PowerError) || error.kind !== 'refused') throw error
      })
      const options = settings.firmware === 'uefi' && target !== 'none' ? ['options=efiboot'] : []
      await run(signal, 'chassis', 'bootdev', device.word, ...options)
      const flags = parseBootFlags(await run(signal, 'chassis', 'bootparam', 'get', '5'))
      return judge(host, target, device.selector, flags, settings.firmware)
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Boot flags (IPMI 2.0, table 28-14, parameter 5). */
export interface BootFlags {
  readonly valid: boolean
  /** For every boot. */
  readonly persistent: boolean
  readonly uefi: boolean
  readonly selector: number
}

/** From `ipmitool chassis bootparam get 5`; undefined when it has none. */
export function parseBootFlags(text: string): BootFlags | undefined {
  const data = /^Boot parameter data:\s*([0-9a-f]{10})\s*$/im.exec(text)?.[1]
  if (!data) return undefined
  const [first = 0, second = 0] = Buffer.from(data, 'hex')
  return {
    valid: (first & 0x80) !== 0,
    persistent: (first & 0x40) !== 0,
    uefi: (first & 0x20) !== 0,
    selector: (second >> 2) & 0x0f,
  }
}

function judge(
  host: string,
  target: BootTarget,
  selector: number,
  flags: BootFlags | undefined,
  firmware: 'uefi' | 'legacy',
): BootOverride {
  if (!flags) throw new PowerError('protocol', host, 'ipmitool does not show the boot flags that were set')
  const reads = `device ${flags.selector}, ${flags.valid ? 'valid' : 'not valid'}`
  if (target === 'none') {
    if (!flags.valid || flags.selector === 0) return { target, once: false, notes: [] }
    throw new PowerError('ignored', host, `the controller keeps its boot device: it reads ${reads}`)
  }
  if (flags.selector !== selector) {
    throw new PowerError('ignored', host, `the controller does not keep boot from ${target}: it reads ${reads}`, {
      hint: 'set it by hand in its web interface, put network boot first in the firmware, or try type redfish',
    })
  }
  const notes: string[] = []
  // The device is there but its mark is not. Some controllers (and ipmi_sim) never show the mark, so the boot decides.
  if (!flags.valid) notes.push(`the controller holds ${target} but does not mark it as valid: watch whether it comes`)
  if (firmware === 'uefi' && !flags.uefi) notes.push('the controller did not keep the UEFI flag: watch how it boots')
  if (flags.persistent)
    notes.push(`the controller keeps ${target} for every boot: take it back after the host has booted`)
  return { target, once: !flags.persistent, notes }
}

interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function ipmitool(
  { address, port, user, password, privilege }: IpmiSettings,
  cipher: number,
  host: string,
  command: readonly string[],
  signal: AbortSignal,
): Promise<Result> {
  const args = ['-I', 'lanplus', '-H', address, '-p', String(port), '-U', user, '-C', String(cipher)]
  args.push('-L', privilege.toUpperCase(), '-N', '2', '-R', '2', '-E', ...command)
  // IPMITOOL_PASSWORD would win over ours.
  const { IPMITOOL_PASSWORD: _, ...inherited } = process.env
  const env = { ...inherited, LC_ALL: 'C', IPMI_PASSWORD: password }
  const timeout = AbortSignal.timeout(COMMAND_TIMEOUT_MS)
  return new Promise((resolve, reject) => {
    const child = spawn('ipmitool', args, {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: AbortSignal.any([signal, timeout]),
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (signal.aborted) reject(signal.reason)
      else if (error.code === 'ENOENT') {
        reject(
          new PowerError('unsupported', host, 'ipmitool is not installed on this machine', {
            hint: 'apt-get install ipmitool, or your system’s package of that name',
          }),
        )
      } else if (timeout.aborted) {
        const message = `ipmitool ${command.join(' ')} did not end within ${COMMAND_TIMEOUT_MS / 1000} s`
        reject(new PowerError('unreachable', host, message, { cause: error }))
      } else reject(error)
    })
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

const isNoSession = (stderr: string): boolean => /Unable to establish/i.test(stderr) || isNoSuite(stderr)
const isNoSuite = (stderr: string): boolean =>
  /(authentication|integrity|confidentiality) algorithm|cipher suite/i.test(stderr)

/** ipmitool says "unable to establish" of a dead address and of a wrong password alike; a ping tells them apart. */
async function failure(
  settings: IpmiSettings,
  host: string,
  stderr: string,
  said: string,
  command: readonly string[],
  signal: AbortSignal,
): Promise<PowerError> {
  const { address, port, user } = settings
  const where = `${address} port ${port}`
  if (/Address lookup|Could not open socket/i.test(stderr)) {
    return new PowerError('unreachable', host, `${where} cannot be reached: ${said}`, { hint: 'check the address' })
  }
  if (/insufficient privilege|privilege level/i.test(stderr)) {
    return new PowerError('auth', host, `the user ${user} may not do that: ${said}`, {
      hint: `it asks for ${settings.privilege}: set privilege: operator, or give the user more rights`,
    })
  }
  if (/Close Session command failed|no response|timeout/i.test(stderr)) {
    return new PowerError('unreachable', host, `${where} fell silent during ipmitool ${command.join(' ')}: ${said}`)
  }
  if (!isNoSession(stderr)) {
    return new PowerError('refused', host, `ipmitool ${command.join(' ')}: ${said || 'failed without a word'}`)
  }
  if (await answersPing(address, port, signal)) {
    return new PowerError('auth', host, `the controller at ${where} does not let ${user} in`, {
      hint: 'check user and password, whether IPMI over LAN is allowed for that user, and cipher (17, 3); some lock the account after wrong ones',
    })
  }
  return new PowerError('unreachable', host, `nothing answers to IPMI at ${where} (UDP)`, {
    hint: 'check address and firewall, and whether IPMI over LAN is enabled: many controllers come with it off',
  })
}

/** RMCP header (version 6, no sequence, class ASF) and an ASF presence ping (ASF 2.0, 3.2.4.2). */
const ASF_PING = Buffer.from('0600ff06000011be80000000', 'hex')

async function answersPing(address: string, port: number, signal: AbortSignal): Promise<boolean> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(3_000)])
  try {
    return await new Promise<boolean>((resolve) => {
      const ask = (): void => socket.send(ASF_PING, port, address, () => {})
      const again = setInterval(ask, 700)
      const end = (answer: boolean): void => {
        clearInterval(again)
        resolve(answer)
      }
      socket.on('message', () => end(true))
      socket.on('error', () => end(false))
      timeout.addEventListener('abort', () => end(false))
      ask()
    })
  } finally {
    socket.close()
  }
}

const lastLines = (stderr: string): string =>
  stderr
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .slice(-3)
    .join('; ')
