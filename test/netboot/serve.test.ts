/** `runbook netboot serve` as an operator starts it, with real clients: from a repave to the phone-home. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { labTest, Namespace } from './lab.ts'

t.setTimeout(180_000)

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const MAC = '52:54:00:77:00:0a'

labTest('udhcpc and curl: repave, a crash of the server, one installer, phone-home', ['busybox', 'curl'], async (t) => {
  const known = join(t.testdirName, 'known_hosts')
  const folder = t.testdir({
    'netboot.yml': `
interfaces: [sv0]
networks: [{subnet: 10.77.0.0/24}]
files: boot
profiles:
  debian: {kernel: linux, cmdline: "seed={{ seed }} report={{ report }}"}
assign: {default: debian}
`,
    'inventory.yml': `all: {hosts: {n1: {ansible_host: 10.77.0.10, netboot_mac: "${MAC}", ansible_ssh_common_args: ${JSON.stringify(`-o UserKnownHostsFile=${known}`)}}}}`,
    boot: { linux: 'kernel', 'ipxe.efi': 'loader' },
  })
  const script = join(folder, 'script')
  writeFileSync(
    script,
    `#!/bin/sh\nenv > ${folder}/told\n[ -z "$ip" ] || ip addr replace "$ip/24" dev "$interface"\n`,
    { mode: 0o755 },
  )
  const server = new Namespace(t)
  const client = new Namespace(t)
  server.join('sv0', '10.77.0.1/24', client, 'cv0')
  client.ip(`link set cv0 address ${MAC}`)
  const files = ['-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml')]
  const runbook = (...args: string[]): string =>
    execFileSync(process.execPath, [BIN, 'netboot', ...args, ...files], { encoding: 'utf8' })
  let out = ''
  const serve = async () => {
    const child = server.start(process.execPath, [BIN, 'netboot', 'serve', ...files])
    let said = ''
    child.stderr?.on('data', (text) => {
      said += text
    })
    await new Promise<void>((done, fail) => {
      child.stdout?.on('data', (text) => {
        said += text
        out += text
        if (said.includes('serving 1 machines on 10.77.0.1')) done()
      })
      child.on('exit', () => fail(new Error(said)))
    })
    return child
  }
  const curl = async (...args: string[]): Promise<string> =>
    (await client.run('curl', ['-sS', '-m', '20', ...args])).out
  const lease = async (...more: string[]): Promise<string | undefined> => {
    const udhcpc = ['udhcpc', '-i', 'cv0', '-f', '-n', '-q', '-t', '5', '-T', '3', '-s', script, '-O', 'bootfile']
    const ended = await client.run('busybox', [
      ...udhcpc,
      '-V',
      'PXEClient:Arch:00007:UNDI:003000',
      '-x',
      '0x5d:0007',
      ...more,
    ])
    t.equal(ended.code, 0, ended.out)
    return /^boot_file=(.*)$/m.exec(readFileSync(join(folder, 'told'), 'utf8'))?.[1]
  }

  let child = await serve()
  t.equal(await lease(), 'ipxe.efi')
  t.equal(await curl('tftp://10.77.0.1/ipxe.efi'), 'loader')
  t.equal(await curl('-r', '1-3', 'http://10.77.0.1/files/linux'), 'ern')
  t.equal(await curl('http://10.77.0.1/files/linux'), 'kernel')
  t.match(await curl('tftp://10.77.0.1/autoexec.ipxe'), /^dhcp \|\| goto local$/m)
  const url = (await lease('-x', '0x4d:69505845'))!
  t.match(url, /^http:\/\/10\.77\.0\.1\/m\/n1\/[\w-]{22}\/boot\.ipxe$/)
  t.match(await curl(url), /no repave pending: booting the local disk/)
  t.match(runbook('repave', 'n1'), /n1: will be installed with profile debian/)
  t.match(
    runbook('explain', '--mac', MAC, '--client', 'ipxe'),
    /seed=http:\/\/10\.77\.0\.1\/seed\/TOKEN\/TOKEN/,
    'uses nothing up',
  )

  const crash = async () => {
    const ended = new Promise((done) => child.once('exit', done))
    child.removeAllListeners('exit')
    child.once('exit', () => {})
    child.kill('SIGKILL')
    await Promise.race([ended, new Promise((done) => setTimeout(done, 500))])
    child = await serve()
  }
  await crash()
  t.equal(await lease('-x', '0x4d:69505845'), url, 'the same after a crash')
  const installer = await curl(url)
  t.match(installer, /^kernel http:\/\/10\.77\.0\.1\/files\/linux seed=/m)
  await crash()
  t.match(await curl(url), /booting the local disk/, 'and not a second one after another crash')
  const [, seed, report] = /seed=(\S+) report=(\S+)/.exec(installer)!
  t.match(JSON.parse(await curl(`${seed}/meta-data`)), { 'local-hostname': 'n1' })
  t.equal(await curl(`${seed}/meta-data`), 'gone')
  t.equal(await curl('-d', '{"status": "installing", "step": "disk"}', report!), 'ok')
  t.match(runbook('status', 'n1'), /n1 +installing .* disk/)
  t.equal(await curl('-d', '{"status": "installed"}', report!), 'ok')
  const home = report!.replace('/report/', '/phone-home/')
  t.equal(await curl('--data-urlencode', `pub_key_ed25519=ssh-ed25519 ${'A'.repeat(68)} root`, home), 'ok')
  const status = runbook('status', 'n1')
  t.match(status, /n1 +reachable/)
  for (let i = 0; i < 200 && !existsSync(known); i++) await new Promise((done) => setTimeout(done, 50))
  t.match(readFileSync(known, 'utf8'), /^10\.77\.0\.10 ssh-ed25519 A{68}$/m, 'where its ssh looks it up')
  t.match(status, /host key ssh-ed25519 AAAA/)
  t.match(out, /n1 +REQUEST \(ipxe\) → ACK 10\.77\.0\.10 http:\/\/10\.77\.0\.1\/m\/n1\/…\/boot\.ipxe/)
  t.match(out, /n1 +is given the installer of profile debian/)
  t.match(out, /n1 +GET \/files\/linux 200/)
  t.notMatch(out, /GET \/files\/linux 206/, 'of an image that is read in parts, not each of them')
  t.notOk(out.includes(seed!.split('/').at(-1)!), 'no token in the log')
})
