import { type ActionContext, args, defineAction, quote, SessionError, TaskFailure, z } from '#module'

/** Of a boot; proc_sys_kernel(5). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Milliseconds between tries; a host that refuses answers at once, one that is down takes connect_timeout. */
const RETRY_MS = 1000
/** Milliseconds between lines of progress. */
const PROGRESS_MS = 30_000

export default defineAction({
  summary: 'Reboot the host and wait until it is back',
  description:
    'Proved by the kernel: the host counts as rebooted only when it answers with another boot_id. The connection is dropped ' +
    'first, so no stale one is taken for the new boot. A run that was killed after the reboot does not reboot again.',
  args: z.strictObject({
    reboot_timeout: args.seconds.default(600).describe('seconds until it must be back and `test_command` must succeed'),
    connect_timeout: args.seconds.default(10).describe('seconds of one try to connect'),
    pre_reboot_delay: args.seconds.default(0).describe('seconds before the reboot, for users to read `msg`'),
    post_reboot_delay: args.seconds.default(0).describe('seconds to wait once it answers'),
    reboot_command: args.text
      .optional()
      .describe('instead of systemctl reboot, shutdown -r now or reboot, whichever is there'),
    test_command: args.text
      .default('true')
      .describe('must succeed on the rebooted host, such as systemctl is-system-running --wait'),
    msg: args.text.default('Reboot initiated by runbook').describe('shown to users who are logged in'),
  }),
  returns: { rebooted: 'true', elapsed: 'seconds from the command to the end', boot_id: 'of the new boot' },
  examples: [
    {
      name: 'A new kernel',
      yaml: 'reboot:\n  reboot_timeout: 900\n  test_command: systemctl is-active kubelet\nwhen: kernel.changed',
    },
  ],
  preview: async () => ({ changed: true, msg: 'would reboot', changes: [{ summary: 'reboot' }] }),
  run: async (ctx, a) => {
    const before = await bootId(await ctx.run(`cat ${BOOT_ID}`))
    if (before === undefined) throw new TaskFailure(`the host does not give its boot_id (${BOOT_ID})`)
    const earlier = await ctx.intent('reboot', { boot_id: before })
    const started = performance.now()
    const deadline = started + a.reboot_timeout * 1000
    let after = before
    if (typeof earlier?.boot_id === 'string' && earlier.boot_id !== before) {
      ctx.log('the reboot that an earlier run began has happened')
    } else {
      await send(ctx, a)
      await ctx.disconnect()
      after = await newBoot(ctx, before, deadline, a)
    }
    if (a.post_reboot_delay > 0) await ctx.sleep(a.post_reboot_delay * 1000)
    await test(ctx, a.test_command, deadline)
    const elapsed = Math.round((performance.now() - started) / 1000)
    return {
      changed: true,
      msg: `rebooted in ${elapsed} s`,
      changes: [{ summary: 'reboot', diff: { kind: 'value', from: `boot ${before}`, to: `boot ${after}` } }],
      data: { rebooted: true, elapsed, boot_id: after },
    }
  },
})

interface Args {
  readonly reboot_timeout: number
  readonly connect_timeout: number
  readonly pre_reboot_delay: number
  readonly reboot_command?: string | undefined
  readonly msg: string
}

/** The boot_id when the answer is one: an error text was once taken for one (ansible#83018). */
function bootId({ rc, stdout }: { rc: number; stdout: Buffer }): string | undefined {
  const id = stdout.toString('latin1').trim()
  return rc === 0 && UUID.test(id) ? id : undefined
}

/**
 * Detached and two seconds late, so that the command's own status still arrives; under systemd as a timer of the system,
 * for the session and its processes may end before. A connection that breaks meanwhile means that it works.
 */
async function send(ctx: ActionContext, a: Args): Promise<void> {
  const choose =
    a.reboot_command === undefined
      ? `if [ -d /run/systemd/system ]; then c='systemctl reboot'
elif command -v shutdown >/dev/null; then c='shutdown -r now'
else c=reboot; fi`
      : `c=${quote(a.reboot_command)}`
  const script = `${choose}
set -- $c
command -v "$1" >/dev/null || { echo "there is no $1" >&2; exit 127; }
[ "$(id -u)" = 0 ] || { echo 'only root may reboot: become: true is missing' >&2; exit 1; }
if command -v wall >/dev/null; then printf '%s\\n' ${quote(a.msg)} | wall 2>/dev/null; fi
sync
if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null &&
  systemd-run -q --collect --on-active=${a.pre_reboot_delay + 2} --timer-property=AccuracySec=100ms sh -c "$c" 2>/dev/null; then exit 0; fi
d=; if command -v setsid >/dev/null; then d=setsid; fi
$d sh -c 'trap "" HUP; sleep '${a.pre_reboot_delay + 2}'; eval "$1"' sh "$c" </dev/null >/dev/null 2>&1 &
exit 0`
  try {
    const { rc, stderr } = await ctx.run(script, { timeoutMs: 30_000 })
    if (rc !== 0) throw new TaskFailure(`the reboot was refused: ${stderr.toString('utf8').trim()}`, { rc })
  } catch (error) {
    if (!(error instanceof SessionError) || error.kind !== 'lost') throw error
  }
}

/** Tries to connect until a shell gives another boot_id. */
async function newBoot(ctx: ActionContext, before: string, deadline: number, a: Args): Promise<string> {
  const started = performance.now()
  let said = started
  let last = 'it has not been asked yet'
  await ctx.sleep(Math.min(a.pre_reboot_delay * 1000 + RETRY_MS, Math.max(0, deadline - performance.now())))
  while (performance.now() < deadline) {
    ctx.signal.throwIfAborted()
    try {
      await using connection = await ctx.tryConnect(a.connect_timeout * 1000)
      const shell = await connection.shell()
      const id = bootId(await shell.run(`cat ${BOOT_ID}`, { timeoutMs: a.connect_timeout * 1000, signal: ctx.signal }))
      if (id !== undefined && id !== before) return id
      last = id === before ? 'it still answers from the old boot' : 'it answers without a boot_id'
    } catch (error) {
      // Early in the boot pam_nologin refuses logins, so `auth` is no reason to give up; another host key is.
      if (!(error instanceof SessionError) || error.kind === 'host_key') throw error
      last = error.message
    }
    if (performance.now() - said >= PROGRESS_MS) {
      said = performance.now()
      ctx.log(`waiting for the reboot, ${Math.round((said - started) / 1000)} of ${a.reboot_timeout} s: ${last}`)
    }
    await ctx.sleep(RETRY_MS)
  }
  throw new TaskFailure(
    `the host did not come back from its reboot within ${a.reboot_timeout} s: ${last}. Look at its console: a failed ` +
      'fsck or mount ends in emergency mode, which has no sshd',
    { rebooted: false },
  )
}

async function test(ctx: ActionContext, command: string, deadline: number): Promise<void> {
  for (;;) {
    const left = deadline - performance.now()
    let said: string
    try {
      const { rc, stdout, stderr } = await ctx.run(`eval ${quote(command)}`, { timeoutMs: Math.max(1000, left) })
      if (rc === 0) return
      said = `status ${rc}: ${`${stdout}${stderr}`.trim()}`
    } catch (error) {
      if (!(error instanceof SessionError) || error.kind === 'host_key') throw error
      await ctx.disconnect()
      said = error.message
    }
    if (performance.now() + RETRY_MS >= deadline) {
      throw new TaskFailure(`the host rebooted, but test_command failed to the end: ${command}: ${said}`, {
        rebooted: true,
      })
    }
    await ctx.sleep(RETRY_MS)
  }
}
