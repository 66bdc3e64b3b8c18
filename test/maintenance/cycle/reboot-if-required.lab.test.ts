/** playbooks/reboot-if-required.yml and rollback.yml on real hosts. */
import { join } from 'node:path'
import t from 'tap'
import { CORDON_ANNOTATION } from '../../../src/kubernetes/drain/cordon.ts'
import { runbook } from '../../acceptance/support.ts'
import { serve } from '../../kubernetes/drain/server.ts'
import { World } from '../../kubernetes/drain/world.ts'
import { bootLab } from '../../lab/index.ts'
import { skipWithoutLab } from '../../lab/skip.ts'
import { bootId, inside, NODE, nodeCommand } from './site.ts'

t.setTimeout(600_000)
const PLAYBOOKS = join(import.meta.dirname, '../../../playbooks')

t.test('reboot if required', { skip: skipWithoutLab(), timeout: 600_000 }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })
  const folder = t.testdir({})
  const node = nodeCommand(lab, folder, {})
  const command = ['--playbook', join(PLAYBOOKS, 'reboot-if-required.yml'), '--reason', 'new kernel']
  const sh = (script: string) => inside(lab, 'n1', script)
  const boots = async () => (await sh('cat /srv/log/boots')).trim().split('\n').length
  await sh(NODE)
  const first = await bootId(lab, 'n1')

  await t.test('one that wants none is not touched', async (t) => {
    const { code, stdout } = await node(['maintain', 'n1', ...command])
    t.equal(code, 0, stdout)
    t.notMatch(stdout, /n1 +(Stop services|Reboot)/)
    t.equal(await bootId(lab, 'n1'), first)
    t.equal((await sh('systemctl is-active kubelet containerd')).trim(), 'active\nactive')
    t.notOk(JSON.parse((await node(['status', 'n1', '--json'])).stdout)[0].cycle, 'nothing is left to go on with')
  })

  await t.test('a dry run touches nothing', async (t) => {
    await sh('touch /run/reboot-required; echo linux-image-6.1 >/run/reboot-required.pkgs')
    const { code, stdout } = await node(['maintain', 'n1', ...command, '--dry-run'])
    t.equal(code, 0, stdout)
    t.match(stdout, /kubelet: kubelet\.service[\s\S]*reboot, and wait for a new boot/)
    t.equal(await bootId(lab, 'n1'), first)
  })

  await t.test('one that wants it is rebooted, once, also when the runner is killed', async (t) => {
    let killed = false
    const dead = await node(['maintain', 'n1', ...command], {
      during: (child, said) => {
        if (!killed && /n1: reboot: sent/.test(said)) killed = child.kill('SIGKILL')
      },
    })
    t.ok(killed, dead.stdout + dead.stderr)
    const { code, stdout } = await node(['maintain', 'n1', 'n2', ...command])
    t.equal(code, 0, stdout)
    t.not(await bootId(lab, 'n1'), first)
    t.equal(await boots(), 2, 'one more boot than before, not two')
    t.equal((await sh('ls /run | grep -c reboot-required || :')).trim(), '0')
    t.equal((await sh('systemctl is-active kubelet containerd')).trim(), 'active\nactive')
    t.match(stdout, /n1: done \(\d+ s\): boot, systemd, root, [\s\S]*n2: done/)
  })

  await t.test('again: nothing is left to do', async (t) => {
    const before = await bootId(lab, 'n1')
    const { code, stdout } = await node(['maintain', 'n1', 'n2', ...command])
    t.equal(code, 0, stdout)
    t.equal(await bootId(lab, 'n1'), before)
  })

  await t.test('rollback: what runbook cordoned takes pods again, and the cycle is over', async (t) => {
    const mark = { run: 'r1', at: '2026-01-01T00:00:00Z', before: false }
    const annotations = { [CORDON_ANNOTATION]: JSON.stringify(mark) }
    const world = new World().node('n1', { unschedulable: true, annotations }).node('n2', { unschedulable: true })
    const server = await serve(world, t.testdir({}))
    if (!server) return void t.comment('no openssl')
    t.teardown(() => server.close())
    const vars = JSON.stringify({ nodes: 'n1,n2', node_kubeconfig: server.kubeconfig })
    const { code, stdout, stderr } = await runbook(
      ['apply', join(PLAYBOOKS, 'rollback.yml'), '-i', lab.inventoryFile, '-e', vars],
      { cwd: folder },
    )
    t.equal(code, 0, stdout + stderr)
    t.notOk(world.nodes.get('n1')!.spec.unschedulable)
    t.ok(world.nodes.get('n2')!.spec.unschedulable, 'a person cordoned it')
  })
})
