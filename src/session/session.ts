/**
 * A shell on a host. Three transports stand behind these interfaces: `ssh2` (the default), `openssh` (the system's ssh
 * program) and `local`.
 */

/** What a script printed and how it ended. Output is bytes: it may be binary and need not end with a newline. */
export interface ScriptResult {
  /** Exit status; 128 + n when the script died of signal n. */
  readonly rc: number
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly elapsedMs: number
  /** True when output beyond `maxOutput` was thrown away (the script went on). */
  readonly truncated: boolean
}

export interface RunOptions {
  /** Milliseconds; the script is killed on the host and a SessionError `timeout` is thrown. No limit without it. */
  timeoutMs?: number | undefined
  /** Kills the script on the host and throws the signal's reason. */
  signal?: AbortSignal | undefined
  /** Output as it comes, besides the result. */
  onOutput?: ((stream: 'stdout' | 'stderr', chunk: Buffer) => void) | undefined
  /** Bytes a stream that are kept; default 16 MiB. */
  maxOutput?: number | undefined
}

export interface UploadOptions {
  /** Permission bits. Without it the mode of the file that is replaced, else 0o600. */
  mode?: number | undefined
  /** User name or id, group name or id. Without them those of the file that is replaced, else the shell's user. */
  owner?: string | undefined
  group?: string | undefined
  /** Nothing is taken over from a file that is replaced: it may be somebody else's, planted under a name that can be guessed. */
  fresh?: boolean | undefined
  signal?: AbortSignal | undefined
}

/** One persistent `sh` as one user on one host. Scripts run one after another, in the order of the calls. */
export interface Shell {
  /** The remote user, as asked for. */
  readonly user: string
  /** How many scripts this shell has run: the `round_trips` of the recap. */
  readonly scripts: number
  /**
   * Runs a POSIX sh script in a subshell with standard input from /dev/null. A script that fails to parse gives rc 2 and
   * leaves the shell usable. A non-zero rc is a result, not an error.
   */
  run(script: string, options?: RunOptions): Promise<ScriptResult>
  /**
   * Streams bytes to `path` over a channel of its own: to a temporary name beside the target, SHA-256 verified on the
   * host, mode and owner set, renamed into place. Nothing is left behind when it fails.
   */
  upload(
    content: Buffer | AsyncIterable<Uint8Array>,
    path: string,
    options?: UploadOptions,
  ): Promise<{ sha256: string; bytes: number }>
  /** Streams a file from the host. Rejects (on the first read) when it cannot be read. */
  download(path: string, options?: { signal?: AbortSignal | undefined }): AsyncIterable<Buffer>
}

/** How to become another user. The password is asked for at most once a connection and never leaves the process in clear view. */
export interface Become {
  readonly method: 'sudo' | 'doas' | 'su'
  readonly user: string
  readonly password?: string | undefined
}

/** One connection to one host; all shells share it. */
export interface Connection extends AsyncDisposable {
  readonly host: string
  /** The shell of the login user, or of another one; become the login user is no becoming. The same shell for the same user each time. */
  shell(become?: Become): Promise<Shell>
  /**
   * Takes the run lock of this host for this connection's lifetime: that of the login user, or root's where `become` is
   * root, which then takes the place of the other. Throws SessionError `locked` with the holder's words.
   */
  lock(holder: string, become?: Become): Promise<void>
  /** Settles when the connection is gone for whatever reason. */
  readonly closed: Promise<void>
  /** Ends at once, without waiting for scripts. Never throws. */
  close(): Promise<void>
}

/**
 * - `unreachable`: no connection could be made (refused, no route, name unknown, timeout while connecting)
 * - `auth`: the host answers but does not let us in
 * - `host_key`: the host's key is unknown, changed or revoked
 * - `become`: the other user's shell could not be had
 * - `lost`: the connection ended while it was in use
 * - `timeout`: a script or channel passed its time limit (the connection may still be good)
 * - `locked`: another run holds this host
 * - `upload`: a file did not arrive whole
 */
export type SessionErrorKind = 'unreachable' | 'auth' | 'host_key' | 'become' | 'lost' | 'timeout' | 'locked' | 'upload'

export class SessionError extends Error {
  readonly kind: SessionErrorKind
  readonly host: string
  /** What to do about it. */
  readonly hint: string | undefined
  /** What a script whose time was over had printed by then. */
  said: { readonly stdout: string; readonly stderr: string } | undefined

  constructor(kind: SessionErrorKind, host: string, message: string, options?: ErrorOptions & { hint?: string }) {
    super(message, options)
    this.name = 'SessionError'
    this.kind = kind
    this.host = host
    this.hint = options?.hint
  }
}

/** Where and how to connect; built from the inventory's variables and the command line. */
export interface Target {
  /** The inventory's name of the host. */
  readonly name: string
  readonly connection: 'ssh2' | 'openssh' | 'local'
  /** `ansible_host`; the name when absent. Looked up in ~/.ssh/config like `ssh NAME` does. */
  readonly address: string
  readonly port?: number | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly privateKeyFile?: string | undefined
  readonly privateKeyPassphrase?: string | undefined
  /** Milliseconds to a working shell; default 10 s. */
  readonly connectTimeoutMs?: number | undefined
  /** Milliseconds; a dead peer is noticed after three missed ones. Default 15 s. */
  readonly keepaliveMs?: number | undefined
  readonly hostKeys?: 'check' | 'accept-new' | undefined
  /** Instead of ~/.ssh/config; `none` reads no configuration. */
  readonly sshConfigFile?: string | undefined
  readonly knownHostsFile?: string | undefined
  /** As `-o NAME=VALUE` of ssh: they win over the configuration files. Names in lower case. */
  readonly sshOptions?: readonly (readonly [name: string, value: string])[] | undefined
}

/** Asks the user; only called when a terminal is there. Rejects when nobody can be asked. */
export type Prompt = (question: string, options: { secret: boolean }) => Promise<string>

export interface ConnectOptions {
  prompt?: Prompt | undefined
  signal?: AbortSignal | undefined
  /** Told of every password and passphrase, before its use. */
  addSecret?: ((secret: string) => void) | undefined
  /** Log in anew: not over a connection that ssh keeps, which would have the groups and limits of its own login. */
  anew?: boolean | undefined
  /** Told what somebody should know who watches. */
  note?: ((msg: string) => void) | undefined
}

export type Connect = (target: Target, options?: ConnectOptions) => Promise<Connection>
