/** chrony on real hosts: from the site's mirror of Debian, with the site's time server, which it then follows. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bootLab, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { APT_TOOLS, makeKey, must, scratch, skipWithoutTools } from '../modules/repository.ts'
import { mirrorDebian, serve } from './mirror.ts'
import { ROOT, runbook } from './runbook.ts'

/** Seconds from 1900, where NTP begins, to 1970. */
const NTP_EPOCH = 2_208_988_800

/** A time server of stratum 1 with the machine's own time (RFC 5905, section 7.3). */
async function serveTime(t: Test, address: string): Promise<void> {
  const socket = createSocket('udp4')
  const stamp = () => {
    const seconds = Date.now() / 1000 + NTP_EPOCH
    const whole = Math.floor(seconds)
    return (BigInt(whole) << 32n) | BigInt(Math.floor((seconds - whole) * 2 ** 32))
  }
  socket.on('message', (asked, from) => {
    const answer = Buffer.alloc(48)
    // No leap second, version 4, mode 4 (server); stratum 1; 2^-10 s, as good as Date.now() is.
    answer.set([0x24, 1, asked[2] ?? 6, 0xf6])
    answer.write('LOCL', 12, 'latin1')
    answer.writeBigUInt64BE(stamp(), 16)
    asked.copy(answer, 24, 40, 48)
    answer.writeBigUInt64BE(stamp(), 32)
    answer.writeBigUInt64BE(stamp(), 40)
    socket.send(answer, from.port, from.address)
  })
  socket.bind(123, address)
  await once(socket, 'listening')
  t.teardown(() => socket.close())
}

/** What chrony needs beside what the hosts have. */
function packagesFor(lab: Lab): string[] {
  const status = join(lab.hosts[0]!.rootfs, 'var/lib/dpkg/status')
  const plan = ['apt-get', '-s', '--no-install-recommends', '-o', `Dir::State::status=${status}`, 'install', 'chrony']
  return [...must(plan).matchAll(/^Inst (\S+)/gm)].map(([, name]) => name!)
}

t.setTimeout(300_000)
const skip = skipWithoutLab() || skipWithoutTools(APT_TOOLS)
t.test('time by chrony', { skip, timeout: 300_000 }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })
  const machine = lab.hosts[0]!.address.replace(/\d+$/, '1')
  await serveTime(t, machine)
  const folder = scratch()
  const home = join(folder, 'gnupg')
  writeFileSync(join(folder, 'key.asc'), makeKey(home))
  mirrorDebian(join(folder, 'debian'), packagesFor(lab), home)
  const url = await serve(t, folder, machine)
  const on = async (host: string, script: string) => {
    const { rc, stdout, stderr } = await lab.exec(host, ['sh', '-c', script])
    if (rc !== 0) throw new Error(`${host}: ${script}: ${stdout}${stderr}`)
    return stdout
  }
  for (const { name } of lab.hosts) {
    await on(name, `curl -sSf ${url}/key.asc >/etc/apt/site.asc`)
    await on(name, `echo 'deb [signed-by=/etc/apt/site.asc] ${url}/debian ./' >/etc/apt/sources.list.d/site.list`)
    // -x: the clock is the machine's, and stays as it is.
    await on(name, `echo 'DAEMON_OPTS="-F 1 -x"' >/etc/default/chrony`)
  }
  const plays = mkdtempSync(join(tmpdir(), 'runbook-time-'))
  t.teardown(() => rmSync(plays, { recursive: true, force: true }))
  const playbook = join(plays, 'site.yml')
  const write = (servers: readonly string[]) =>
    writeFileSync(
      playbook,
      `- hosts: all
  become: true
  vars: { kubernetes_host_install_packages: false, kubernetes_host_ntp_servers: ${JSON.stringify(servers)} }
  roles: [${ROOT}/playbooks/roles/kubernetes_host]
`,
    )
  write([machine])
  const first = await runbook(lab, ['apply'], playbook)
  t.match(first, { rc: 0, failed: [] }, JSON.stringify(first.failed))
  for (const { name } of lab.hosts) {
    t.equal(await on(name, 'systemctl is-enabled chrony; systemctl is-active chrony'), 'enabled\nactive\n')
    t.match(await on(name, 'cat /etc/default/chrony'), /-x/, 'what the site had set stays')
    await on(
      name,
      `n=0; until chronyc -n sources | grep -F '^* ${machine} '; do n=$((n + 1)); [ $n -lt 120 ] || exit 1; sleep 1; done`,
    )
    t.match(await on(name, 'chronyc -n tracking'), /^Stratum +: 2$/m, 'it follows the server')
  }
  const pid = await on('n1', 'pgrep -x chronyd')
  const second = await runbook(lab, ['apply'], playbook)
  t.match(second, { rc: 0, failed: [], changed: [] }, 'nothing to do the second time')
  t.equal(await on('n1', 'pgrep -x chronyd'), pid, 'and it is not restarted')

  write([machine, '192.0.2.9'])
  const third = await runbook(lab, ['apply'], playbook)
  t.match(third, { rc: 0, failed: [] }, JSON.stringify(third.failed))
  t.match(await on('n1', 'chronyc -n sources'), /192\.0\.2\.9/, 'another server is taken up')
  t.match(await runbook(lab, ['apply'], playbook), { rc: 0, changed: [] })
})
