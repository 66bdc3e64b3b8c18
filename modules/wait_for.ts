import { args, defineAction, quote, SessionError, TaskFailure, z } from '#module'

/** Seconds that one script waits on the host before it reports back, so that a stop is obeyed and a lost host noticed. */
const ROUND = 10
/** Status of a script that waited in vain, and of one that cannot try. */
const NOT_YET = 100
const CANNOT = 101

export default defineAction({
  summary: 'Wait until a port is open, a path is there or a command succeeds',
  description:
    'Tried on the host itself, many times in one script. A port is tried with bash or nc; with neither only ports of the host’s own can be awaited.',
  args: z
    .strictObject({
      port: z.int().min(1).max(65535).optional().describe('TCP port'),
      host: z
        .string()
        .regex(/^[A-Za-z0-9_.:%-]+$/, 'must be a name or an address')
        .default('127.0.0.1')
        .describe('where the port is, as seen from the host'),
      path: args.path.optional().describe('file or folder'),
      search_regex: args.text.optional().describe('the file must hold a line that matches (as grep -E)'),
      command: args.text.optional().describe('shell command that must succeed'),
      state: z
        .enum(['started', 'stopped', 'present', 'absent'])
        .default('started')
        .describe('started, present: open, there. stopped, absent: closed, gone'),
      delay: args.seconds.default(0).describe('seconds before the first try'),
      sleep: args.seconds.default(1).describe('seconds between tries'),
      timeout: args.seconds.default(300).describe('seconds after which it fails'),
      msg: z.string().optional().describe('what to say when it fails'),
    })
    .refine(
      (a) => [a.port, a.path, a.command].filter((v) => v !== undefined).length === 1,
      'give one of `port`, `path` and `command`; use pause to wait for a time',
    )
    .refine((a) => a.search_regex === undefined || a.path !== undefined, '`search_regex` needs `path`')
    .refine(
      (a) => a.command === undefined || a.state === 'started',
      'a command is awaited to succeed: leave `state` out',
    ),
  returns: { elapsed: 'seconds that it took', stdout: 'what the command printed the last time' },
  examples: [
    { name: 'The API server answers', yaml: 'wait_for:\n  port: 6443\n  timeout: 120' },
    {
      name: 'The node is Ready',
      yaml: 'wait_for:\n  command: kubectl get node $(hostname) | grep -w Ready\n  sleep: 5',
    },
  ],
  preview: async () => ({ changed: false, msg: 'would wait' }),
  run: async (ctx, a) => {
    const started = performance.now()
    const elapsed = (): number => Math.round((performance.now() - started) / 1000)
    const deadline = started + a.timeout * 1000
    if (a.delay > 0) await ctx.sleep(a.delay * 1000)
    for (let round = 1; ; round++) {
      const left = Math.max(0, deadline - performance.now()) / 1000
      let last: string
      try {
        const script = waitScript(a, Math.min(ROUND, left))
        const { rc, stdout, stderr } = await ctx.run(script, { timeoutMs: (left + ROUND) * 1000 })
        if (rc === 0) return { changed: false, data: { elapsed: elapsed(), stdout: stdout.toString('utf8').trimEnd() } }
        last = `${stdout}${stderr}`.trim()
        if (rc === CANNOT) throw new TaskFailure(last)
        if (rc !== NOT_YET) throw new TaskFailure(`waiting ended with status ${rc}: ${last}`, { rc })
      } catch (error) {
        if (!(error instanceof SessionError) || error.kind === 'host_key') throw error
        last = error.message
        await ctx.sleep(Math.min(a.sleep * 1000, Math.max(0, deadline - performance.now())))
      }
      if (performance.now() >= deadline) {
        const what = `${wording(a)} within ${a.timeout} s${last ? `: ${last.slice(-2000)}` : ''}`
        throw new TaskFailure(a.msg ? `${a.msg} (${what})` : what, { elapsed: elapsed() })
      }
      if (round % 3 === 0) ctx.log(`waiting, ${elapsed()} of ${a.timeout} s`)
    }
  },
})

interface Args {
  readonly port?: number | undefined
  readonly host: string
  readonly path?: string | undefined
  readonly search_regex?: string | undefined
  readonly command?: string | undefined
  readonly state: 'started' | 'stopped' | 'present' | 'absent'
  readonly sleep: number
}

function wording({ port, host, path, search_regex, command, state }: Args): string {
  const gone = state === 'stopped' || state === 'absent'
  if (command !== undefined) return `the command did not succeed: ${command}:`
  if (port !== undefined) return `port ${port} of ${host} did not ${gone ? 'close' : 'open'}`
  if (search_regex !== undefined) return `${path} ${gone ? 'kept' : 'got no'} line that matches ${search_regex}`
  return `${path} did not ${gone ? 'go away' : 'appear'}`
}

/**
 * Tries until it succeeds or `seconds` are over. Only the output of the last try is printed. Time is counted in tries and
 * by the clock, for the clock of a host that has just booted may jump.
 */
function waitScript(a: Args, seconds: number): string {
  const pause = Math.max(a.sleep, 0.05)
  return `${PORT_TEST}
rb_try() { ${attempt(a)}
}
rb_n=${Math.max(1, Math.ceil(seconds / pause))}
rb_end=$(($(date +%s) + ${Math.ceil(seconds)}))
while :; do
  if rb_said=$( (rb_try) 2>&1 ); then printf '%s\\n' "$rb_said"; exit 0; elif [ $? = ${CANNOT} ]; then printf '%s\\n' "$rb_said"; exit ${CANNOT}; fi
  rb_n=$((rb_n - 1))
  if [ "$rb_n" -le 0 ] || [ "$(date +%s)" -ge "$rb_end" ]; then printf '%s\\n' "$rb_said"; exit ${NOT_YET}; fi
  sleep ${pause}
done`
}

function attempt({ port, host, path, search_regex, command, state }: Args): string {
  const gone = state === 'stopped' || state === 'absent'
  if (command !== undefined)
    return `(eval ${quote(command)}); set -- $?; [ "$1" = 0 ] || { echo "status $1"; return 1; }`
  if (port !== undefined) {
    const open = `rb_open ${quote(host)} ${port}`
    // A port that cannot be tried is not a closed one.
    return gone ? `${open}; case $? in 0) return 1 ;; ${CANNOT}) return ${CANNOT} ;; *) return 0 ;; esac` : open
  }
  const p = quote(path!)
  // The expression may hold a secret: never on a command line.
  const there =
    search_regex === undefined
      ? `[ -e ${p} ] || [ -L ${p} ]`
      : `printf '%s\\n' ${quote(search_regex)} | grep -qsE -f - -- ${p}`
  return gone ? `! { ${there}; }` : there
}

/** nc: OpenBSD's, ncat and traditional know -z; busybox has -e. Without any, the kernel's own table of listeners. */
const PORT_TEST = `
rb_open() {
  if command -v bash >/dev/null; then
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null || return 1
  elif command -v nc >/dev/null && nc -h 2>&1 | grep -q -e '-[a-zA-Z]*z'; then nc -z -w 5 "$1" "$2" >/dev/null 2>&1 || return 1
  elif command -v nc >/dev/null; then nc -w 5 "$1" "$2" -e true </dev/null >/dev/null 2>&1 || return 1
  else
    case $1 in 127.*|localhost|::1) ;; *) echo 'neither bash nor nc is there to try a port of another host'; return ${CANNOT} ;; esac
    grep -qsi ": [0-9A-F]*:$(printf %04X "$2") [0-9A-F]*:0000 0A " /proc/net/tcp /proc/net/tcp6 || return 1
  fi
}`
