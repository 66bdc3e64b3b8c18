/** What runbook asks of a host's power; `src/power/` does it. Actions get one from `ctx.power`. */

/** `unknown`: it cannot be told, or it is changing just now. */
export type PowerState = 'on' | 'off' | 'unknown'

export interface PowerCall {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until what was asked for must be seen; default 5 minutes, as controllers and shutdowns are slow. */
  readonly timeoutMs?: number | undefined
}

/** The power of one host. Methods throw PowerError, and the signal's reason when it aborts. */
export interface HostPower extends AsyncDisposable {
  /** For people: `Redfish https://10.0.0.5/`. */
  readonly description: string
  /** False where nobody tells whether the host is on (Wake-on-LAN). */
  readonly seesPower: boolean
  /** Ethernet addresses (`aa:bb:cc:dd:ee:ff`) that must be armed before the host goes down, or it cannot be woken. */
  readonly wakes: readonly string[]
  state(call?: PowerCall): Promise<PowerState>
  /** Returns `on` once that is seen; `unknown` where it cannot be seen (Wake-on-LAN). Nothing to do is fine. */
  on(call?: PowerCall): Promise<PowerState>
  /** Asks the operating system; with `force` cuts the power. Never cuts it unless told to. Returns as `on` does. */
  off(call: PowerCall & { readonly force: boolean }): Promise<PowerState>
}
