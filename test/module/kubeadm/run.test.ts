import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { kubeadm } from '../../../src/module/index.ts'

const SECRET = 'token: "abcdef.0123456789abcdef" # it\'s secret'

/** A kubeadm that keeps what it was given, prints for a while, and ends with $STATUS. */
const FAKE = `#!/bin/sh
here=\${0%/*}
printf '%s ' "$@" >>"$here/argv"; echo >>"$here/argv"
tr '\\0' ' ' </proc/$$/environ >>"$here/environ"
for word; do last=$word; done
if [ "$last" = /dev/stdin ]; then cat "$last" >>"$here/stdin"; fi
[ "$1" = config ] && exit "\${REFUSE:-0}"
for i in 1 2 3 4 5 6; do echo "[phase] line $i"; sleep "\${PACE:-0}" || exit 1; done
: >"$here/finished"
exit "\${STATUS:-0}"
`

const shells = [['dash'], ['bash', '--posix'], ['busybox', 'sh']] as const

function bench(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-kubeadm-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'kubeadm'), FAKE)
  chmodSync(join(bin, 'kubeadm'), 0o755)
  const read = (name: string) => readFileSync(join(bin, name), 'utf8')
  // The marker stands below /var/lib; here it stands in the folder.
  const script = (options: Parameters<typeof kubeadm.kubeadmScript>[1]) =>
    kubeadm
      .kubeadmScript(['join'], options)
      .replaceAll(kubeadm.MARKER, join(folder, 'marker'))
      .replaceAll(kubeadm.MARKER.replace('/kubeadm', ''), folder)
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` }
  return { folder, read, script, env, has: (name: string) => existsSync(join(name === 'marker' ? folder : bin, name)) }
}

for (const [shell, ...flags] of shells) {
  t.test(`kubeadm by a script (${shell})`, async (t) => {
    await t.test('the configuration goes in by standard input alone', async (t) => {
      const { read, script, env, has } = bench(t)
      const { status, stdout, stderr } = spawnSync(shell, flags, {
        input: `${script({ config: SECRET, validate: true, mark: 'join' })}\n`,
        env,
        encoding: 'utf8',
      })
      t.equal(status, 0, stderr)
      t.equal(stdout, [1, 2, 3, 4, 5, 6].map((n) => `[phase] line ${n}\n`).join(''))
      t.equal(read('argv'), 'config validate --config /dev/stdin \njoin --config /dev/stdin \n')
      t.notMatch(read('environ'), 'abcdef')
      t.equal(read('stdin'), SECRET + SECRET, 'to validate and to join')
      t.notOk(has('marker'), 'what succeeded is not unfinished')
    })

    await t.test('a status is passed on, and the host stays marked', async (t) => {
      const { script, env, has } = bench(t)
      const run = spawnSync(shell, flags, { input: `${script({ mark: 'join' })}\n`, env: { ...env, STATUS: '3' } })
      t.equal(run.status, 3)
      t.ok(has('marker'))
    })

    await t.test('a configuration that is refused changes nothing', async (t) => {
      const { script, env, has, read } = bench(t)
      const input = `${script({ config: 'x', validate: true, mark: 'join' })}\n`
      const { status } = spawnSync(shell, flags, { input, env: { ...env, REFUSE: '1' } })
      t.equal(status, 90)
      t.notOk(has('marker'))
      t.notMatch(read('argv'), 'join')
    })

    await t.test('goes on to its end when nobody reads any more', async (t) => {
      const { script, env, has } = bench(t)
      const child = spawn(shell, flags, { env: { ...env, PACE: '0.2' }, stdio: ['pipe', 'pipe', 'pipe'] })
      child.stdin.end(`${script({ mark: 'join' })}\n`)
      await new Promise((resolve) => child.stdout.once('data', resolve))
      child.stdout.destroy()
      child.stderr.destroy()
      for (let i = 0; i < 100 && !has('finished'); i++) await sleep(50)
      t.ok(has('finished'))
      for (let i = 0; i < 40 && has('marker'); i++) await sleep(50)
      t.notOk(has('marker'), 'it says itself that it has succeeded')
    })
  })
}

t.test('what kubeadm complains about', (t) => {
  const preflight = `W0101 something
[preflight] Running pre-flight checks
error execution phase preflight: [preflight] Some fatal errors occurred:
	[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2
	[ERROR Swap]: running with swap on is not supported. Please disable swap
[preflight] If you know what you are doing, you can make a check non-fatal
To see the stack trace of this error execute with --v=5 or higher`
  t.equal(
    kubeadm.complaintsOf(preflight),
    'NumCPU: the number of available CPUs 1 is less than the required 2; Swap: running with swap on is not supported. Please disable swap',
  )
  t.match(kubeadm.kubeadmFailure('init', { rc: 1, output: preflight }).message, /kubernetes_host/)
  const other =
    '[init] Using Kubernetes version: v1.34.4\nerror: error execution phase wait-control-plane: failed\nTo see the stack trace …\n'
  t.equal(kubeadm.complaintsOf(other), 'error: error execution phase wait-control-plane: failed')
  t.match(kubeadm.kubeadmFailure('join', { rc: -1, output: '', lost: true }).message, /run again to go on/)
  t.end()
})
