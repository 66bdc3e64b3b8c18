/** Tells systemd how the daemon is (sd_notify(3)), through systemd-notify: Node has no datagram sockets of the file system. */
import { execFile } from 'node:child_process'

export interface SdNotify {
  /** False when systemd did not start this process. */
  readonly active: boolean
  /** How often systemd wants to hear of us, milliseconds; undefined: never. */
  readonly watchdog: number | undefined
  send(...words: readonly string[]): void
}

export function sdNotify(env: Readonly<Record<string, string | undefined>> = process.env): SdNotify {
  const active = env.NOTIFY_SOCKET !== undefined
  // WATCHDOG_PID is checked so that a child that inherited the environment does not take it for its own.
  const mine = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === process.pid
  const usec = Number(env.WATCHDOG_USEC ?? 0)
  return {
    active,
    watchdog: active && mine && usec > 0 ? usec / 1000 : undefined,
    send(...words) {
      if (!active) return
      // What it says is a help to systemd; without it (no systemd-notify) the watchdog says so soon enough.
      execFile('systemd-notify', [`--pid=${process.pid}`, ...words], { timeout: 10_000 }, () => {})
    },
  }
}
