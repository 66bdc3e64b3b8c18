/** `runbook netboot serve` while the world changes: an inventory that grows, another site, a restart through power control. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { labTest, Namespace } from './lab.ts'

t.setTimeout(180_000)

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const mac = (last: string): string => `52:54:00:77:00:${last}`

labTest('udhcpc and curl: another site, a machine that is added, a reboot', ['busybox', 'curl'], async (t) => {
  const folder = t.testdir({
    'netboot.yml': `
interfaces: [sv0]
unknown: pool
networks: [{subnet: 10.77.0.0/24, pool: 10.77.0.100-10.77.0.110}]
files: boot
`,
    power:
      '#!/bin/sh\ncd "$(dirname "$0")"\necho $ACTION >> log\ncase $ACTION in state) cat state;; *off) echo off > state;; on) echo on > state;; esac\n',
    state: 'on\n',
    log: '',
    boot: {},
  })
  execFileSync('chmod', ['+x', join(folder, 'power')])
  const host = (name: string, last: string, site: string): string =>
    `    ${name}: {netboot_mac: "${mac(last)}", netboot_site: ${site}, netboot_address: 10.77.0.${10 + Number(last)}, runbook_power: {type: command, command: ["${folder}/power"]}}\n`
  const inventory = (...hosts: string[]): void =>
    writeFileSync(join(folder, 'inventory.yml'), `all:\n  hosts:\n${hosts.join('')}`)
  const [n1, n2, n3] = [host('n1', '01', 'bern'), host('n2', '02', 'zurich'), host('n3', '03', 'bern')] as const
  inventory(n1, n2)
  writeFileSync(join(folder, 'script'), `#!/bin/sh\nenv > ${folder}/told\n`, { mode: 0o755 })
  const server = new Namespace(t)
  const client = new Namespace(t)
  server.join('sv0', '10.77.0.1/24', client, 'cv0', '10.77.0.9/24')
  const files = ['-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml'), '--site', 'bern']
  let out = ''
  const serve = (...more: string[]): ChildProcess => {
    const child = server.start(process.execPath, [BIN, 'netboot', 'serve', ...files, ...more])
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text) => {
        out += text
      })
    return child
  }
  const child = serve()
  const until = async (wanted: RegExp): Promise<void> => {
    for (let i = 0; i < 1200 && !wanted.test(out); i++) await new Promise((done) => setTimeout(done, 50))
    t.match(out, wanted)
  }
  const runbook = (...args: string[]): string =>
    execFileSync(process.execPath, [BIN, 'netboot', ...args, ...files], { encoding: 'utf8' })
  /** What iPXE with this MAC address is told; undefined: no answer. */
  const ask = async (last: string): Promise<{ address: string | undefined; url: string | undefined } | undefined> => {
    client.ip('link set cv0 down')
    client.ip(`link set cv0 address ${mac(last)}`)
    client.ip('link set cv0 up')
    const udhcpc = ['udhcpc', '-i', 'cv0', '-f', '-n', '-q', '-t', '3', '-T', '2', '-s', join(folder, 'script')]
    const ipxe = ['-O', 'bootfile', '-V', 'PXEClient:Arch:00007:UNDI:003000', '-x', '0x5d:0007', '-x', '0x4d:69505845']
    const { code } = await client.run('busybox', [...udhcpc, ...ipxe])
    if (code !== 0) return undefined
    const told = readFileSync(join(folder, 'told'), 'utf8')
    return { address: /^ip=(.*)$/m.exec(told)?.[1], url: /^boot_file=(.*)$/m.exec(told)?.[1] }
  }

  await until(/serving 1 machines on 10\.77\.0\.1/)
  t.match(await ask('01'), { address: '10.77.0.11' })
  t.equal(await ask('02'), undefined, 'of another site: no answer, not even from the pool')
  t.match(await ask('03'), { address: /^10\.77\.0\.10\d$/ }, 'nobody knows it')

  inventory(n1, n2, n3)
  await until(/the inventory was read again: 2 machines; new: n3/)
  t.match(await ask('03'), { address: '10.77.0.13' })
  writeFileSync(join(folder, 'inventory.yml'), 'all: {hosts: {n1: {netboot_mac: x}}}')
  await until(/the inventory has changed and cannot be used, so the old one is/)
  const { url } = (await ask('03'))!
  t.match(url, /\/m\/n3\//)
  inventory(n1, n2, n3)

  t.match(runbook('reboot', 'n3'), /n3: runbook netboot serve restarts it/)
  await until(/n3 +is restarted from the network through command /)
  for (let i = 0; i < 1200 && !/^on$/m.test(readFileSync(join(folder, 'log'), 'utf8')); i++) {
    await new Promise((done) => setTimeout(done, 50))
  }
  const acts = readFileSync(join(folder, 'log'), 'utf8').split('\n')
  t.strictSame(
    acts.filter((act) => act !== '' && act !== 'state'),
    ['boot-pxe', 'soft-off', 'on'],
  )
  t.match(runbook('status', 'n3'), /its network boot \(gives up in \S/)
  t.match((await client.run('curl', ['-sS', '-m', '20', url!])).out, /booting the local disk/)
  t.match(runbook('status', 'n3'), /n3 .* restarted, boots its local disk/)
  const [status] = JSON.parse(runbook('status', 'n3', '--json'))
  t.match(status, { name: 'n3', phase: 'discovered', history: [{ what: /./ }] })
  t.ok(Date.parse(status.history.at(-1).at))

  child.kill('SIGTERM')
  await once(child, 'close')
  out = ''
  serve('--json')
  await until(/serving 2 machines/)
  writeFileSync(join(folder, 'inventory.yml'), 'all: {hosts: {n1: {netboot_mac: x}}}')
  await until(/"event":"warning","what":"the inventory has changed/)
  await ask('03')
  await until(/"event":"dhcp"/)
  await client.run('curl', ['-sS', '-m', '20', url!])
  await until(/"event":"http"/)
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  for (const { time } of lines) t.ok(Date.parse(time))
  t.match(
    lines.find(({ event }) => event === 'dhcp'),
    { machine: 'n3', mac: mac('03'), message: 'DISCOVER', answer: 'OFFER', address: '10.77.0.13', client: 'ipxe' },
  )
  const [, tag] = /\/m\/n3\/([^/]+)/.exec(url!)!
  t.match(
    lines.find(({ event }) => event === 'http'),
    { client: '10.77.0.9', method: 'GET', path: '/m/n3/…/boot.ipxe', status: 200, complete: true },
  )
  t.notOk(out.includes(tag!), 'a tag is for its machine alone')
})
