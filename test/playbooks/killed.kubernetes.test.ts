/** A cluster of three control planes is made although the runner is killed again and again, at any step. */
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { allReady, bootSite, converges, nothingToDo, SITE } from './site.ts'

const HOUR = 60 * 60_000
t.setTimeout(2 * HOUR)

const KILLS = 10
/** A run that is left alone takes about a minute on two slow cores: most kills meet kubeadm at work somewhere. */
const LONGEST_MS = 25_000

/** Park and Miller's generator: numbers from 0 to 1, the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

t.test('killed at random steps, and run again', { skip: skipWithoutKubernetes(), timeout: 2 * HOUR }, async (t) => {
  const seed = Number(process.env.KILL_SEED ?? randomInt(1, 2 ** 31 - 1))
  t.comment(`KILL_SEED=${seed} kills at the same times`)
  const random = randomNumbers(seed)
  await using site = await bootSite({ controlPlanes: 3, workers: 1 })
  let killed = 0
  for (let n = 1; n <= KILLS; n++) {
    const { child, ended } = site.start('apply', SITE)
    const ms = Math.round(500 + random() * LONGEST_MS)
    const alone = new AbortController()
    const result = await Promise.race([ended, sleep(ms, undefined, { signal: alone.signal }).catch(() => undefined)])
    alone.abort()
    if (result) {
      t.equal(result.rc, 0, `run ${n} ended by itself${result.rc === 0 ? '' : `: ${result.failed.map((f) => f.msg)}`}`)
      if (result.changed.length === 0) break
      continue
    }
    child.kill('SIGKILL')
    const { output } = await ended
    killed++
    const last = output
      .trim()
      .split('\n')
      .findLast((line) => line.includes('"task":"'))
    t.comment(`run ${n} was killed after ${ms} ms, behind: ${/"task":"([^"]*)"/.exec(last ?? '')?.[1] ?? 'nothing'}`)
  }
  t.ok(killed >= 3, `${killed} runs were killed`)
  await converges(t, site, SITE)
  await nothingToDo(t, site, SITE)
  await allReady(t, site)

  const pki = '/etc/kubernetes/pki/etcd'
  const tls = `--cacert=${pki}/ca.crt --cert=${pki}/peer.crt --key=${pki}/peer.key`
  const list = `${site.lab.kubernetes.shared.bin}/etcdctl --endpoints=https://127.0.0.1:2379 ${tls} member list -w json`
  const { members } = JSON.parse((await site.exec('n1', list)).stdout) as { members: { name: string }[] }
  t.same(members.map(({ name }) => name).sort(), ['n1', 'n2', 'n3'], 'etcd has these three members and no other')
})
