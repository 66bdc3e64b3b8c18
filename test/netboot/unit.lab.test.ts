/** The server as a service of a real systemd, as a user without rights but those that its unit gives. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'

t.setTimeout(600_000) // the first run on a machine builds the image

const ROOT = resolve(import.meta.dirname, '../..')
/** Where the user of the service may read it, wherever the checkout stands. */
const INSTALLED = '/opt/runbook'

t.test('installed, started, watched, reloaded, stopped', { skip: skipWithoutLab() }, async (t) => {
  const modules = realpathSync(join(ROOT, 'node_modules'))
  const readOnly = modules.startsWith(`${ROOT}/`) ? [ROOT] : [ROOT, modules]
  await using lab = await bootLab({ hosts: 1, readOnly })
  const [{ rootfs, address }] = lab.hosts as [(typeof lab.hosts)[0]]
  const sh = async (script: string): Promise<string> => {
    const { stdout, stderr, rc } = await lab.exec('n1', ['sh', '-c', script])
    if (rc !== 0) throw new Error(`${script}: ${rc}\n${stdout}${stderr}`)
    return stdout.trim()
  }
  const until = async (script: string, wanted: RegExp): Promise<string> => {
    for (const end = Date.now() + 120_000; ; await new Promise((done) => setTimeout(done, 500))) {
      const { stdout } = await lab.exec('n1', ['sh', '-c', script])
      if (wanted.test(stdout)) return stdout.trim()
      if (Date.now() > end) throw new Error(`${script}: ${stdout}\n${await sh('journalctl -u runbook-netboot -n 50')}`)
    }
  }

  await sh(`mkdir ${INSTALLED} && mount --bind '${ROOT}' ${INSTALLED}`)
  const node = process.execPath.replace(`${ROOT}/`, `${INSTALLED}/`)
  const nic = await sh(`ip -o -4 addr | awk '$4 ~ "^${address}/" { sub("@.*", "", $2); print $2 }'`)
  mkdirSync(join(rootfs, 'srv/netboot/boot'), { recursive: true })
  const network = address.replace(/\d+$/, '0/24')
  const config = `interfaces: [${nic}]\nmode: proxy\nrouter_advertisement: true\nnetworks: [{subnet: ${network}}]\nfiles: boot\n`
  writeFileSync(join(rootfs, 'srv/netboot/netboot.yml'), config)
  const inventory = (hosts: string): void =>
    writeFileSync(join(rootfs, 'srv/netboot/inventory.yml'), `all: {hosts: {${hosts}}}\n`)
  inventory('m1: {netboot_mac: "52:54:00:77:00:0a"}')
  await sh('useradd --system --create-home runbook && chown -R runbook: /srv/netboot')
  const said = await sh(`cd /srv/netboot && ${node} ${INSTALLED}/bin/runbook.js netboot install --user runbook`)
  t.match(said, /wrote \/etc\/systemd\/system\/runbook-netboot\.service/)
  await sh('mkdir -p /etc/systemd/system/runbook-netboot.service.d')
  await sh('printf "[Service]\\nWatchdogSec=15\\n" > /etc/systemd/system/runbook-netboot.service.d/test.conf')
  await sh('systemctl daemon-reload && systemctl start runbook-netboot')

  // Type=notify: `start` ends when the server says that it is ready.
  t.equal(await sh('systemctl is-active runbook-netboot'), 'active')
  t.equal(await sh(`curl -fsS http://${address}/healthz`), 'ok')
  t.match(await sh('ss -ulpn'), /:67 /)
  const show = (property: string): Promise<string> => sh(`systemctl show -P ${property} runbook-netboot`)
  const pid = await show('MainPID')
  const status = await sh(`cat /proc/${pid}/status`)
  // CAP_NET_BIND_SERVICE is 10, CAP_NET_RAW 13.
  for (const set of ['CapEff', 'CapPrm', 'CapBnd']) t.match(status, new RegExp(`^${set}:\\s+0000000000002400$`, 'm'))
  t.match(status, /^NoNewPrivs:\s+1$/m)
  t.equal(await sh(`stat -c %U /proc/${pid}`), 'runbook')
  await until('pgrep -u runbook -x perl', /\d/)
  t.notMatch(await sh('journalctl -u runbook-netboot'), /Router Advertisements:/)

  inventory('m1: {netboot_mac: "52:54:00:77:00:0a"}, m2: {netboot_mac: "52:54:00:77:00:0b"}')
  await sh('systemctl reload runbook-netboot')
  await until('journalctl -u runbook-netboot', /the inventory was read again: 2 machines; new: m2/)
  t.equal(await show('MainPID'), pid)

  await sh(`kill -STOP ${pid}`)
  await until('systemctl show -P NRestarts runbook-netboot', /^1$/m)
  await until(`curl -fsS -m 3 http://${address}/healthz`, /ok/)
  t.match(await sh('journalctl -u runbook-netboot'), /[Ww]atchdog timeout/)

  await sh('systemctl stop runbook-netboot')
  t.equal(await show('Result'), 'success')
  t.equal(await sh('pgrep -c -u runbook . || true'), '0', 'nothing is left')
})
