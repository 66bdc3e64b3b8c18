/**
 * From power-on with an empty disk to sshd of the installed system, OVMF under QEMU: `runbook netboot serve` beside dnsmasq
 * (DHCP, TFTP) and nginx (HTTP) with the same loader, installer and image; and once more with Router
 * Advertisements. Installs from Debian what it needs, as root.
 *
 *   npm run bench -- first-boot [ROUNDS]
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSubnet } from '../src/netboot/address.ts'
import { ipxeLoad, ipxeLocal } from '../src/netboot/scripts.ts'
import { INSTALLER_SEED_NAMES, makeInstallerSeed, makeSeed, SEED_NAMES } from '../src/netboot/seed.ts'
import { ensureNetbootFiles, type NetbootFiles } from '../test/netboot/disk-image.ts'
import { install } from '../test/netboot/namespace.ts'
import { ADDRESS, MAC, RACK_COMMANDS, Rack } from '../test/netboot/rack.ts'
import { Bench, load, median, printTable } from './netboot-lab.ts'

/** What the machine's console shows, in order; the second boot begins after `installed`, by PXE and iPXE. */
const MARKS: readonly (readonly [string, RegExp])[] = [
  ['iPXE runs', /iPXE initialising/],
  ['iPXE has its script', /runbook: n1 installs/],
  ['installer runs', /runbook installer: \d/],
  ['image begins', /writes vda: 0 %/],
  ['image verified', /image verified/],
  ['installed', /installed: image on vda/],
  ['GRUB of the disk', /Welcome to GRUB/],
]
const SECONDS = 1200
const BASE = 'http://10.77.0.1'

const rounds = Number(process.argv[2] ?? 1)
install('nginx', 'dnsmasq', ...RACK_COMMANDS)
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const files = await ensureNetbootFiles(say)

/** Seconds from power-on to each mark, sshd last. `installed` is called when the machine has said so. */
async function timeLine(rack: Rack, installed: () => void): Promise<number[]> {
  const times: number[] = []
  const started = performance.now()
  const seconds = (): number => (performance.now() - started) / 1000
  let at = 0
  await rack.power('on')
  const look = async (done: () => boolean | Promise<boolean>, what: string): Promise<void> => {
    while (!(await done())) {
      if (seconds() > SECONDS) throw new Error(`${what}: not seen in ${SECONDS} s\n${rack.console.slice(-2000)}`)
      await new Promise((wait) => setTimeout(wait, 50))
    }
    times.push(seconds())
    say(`  ${times.at(-1)!.toFixed(1)} s  ${what}`)
  }
  for (const [name, mark] of MARKS) {
    await look(() => {
      const found = mark.exec(rack.console.slice(at))
      if (found) at += found.index + found[0].length
      return found !== null
    }, name)
    if (name === 'installed') installed()
  }
  const banner = ['-c', 'exec 3<>/dev/tcp/$0/22 && read -r -t 5 line <&3 && [ "${line%%-*}" = SSH ]', ADDRESS]
  await look(async () => (await rack.space.run('timeout', ['6', 'bash', ...banner])).code === 0, 'sshd')
  return times
}

async function ours(config = ''): Promise<number[]> {
  await using bench = new Bench()
  const rack = await Rack.make(bench, { config })
  await rack.serve()
  await rack.runbook(['netboot', 'repave', 'n1'])
  return await timeLine(rack, () => {})
}

/** What one would set up by hand: static files, and a script that a person takes away after the installation. */
async function theirs(): Promise<number[]> {
  await using bench = new Bench()
  const rack = await Rack.make(bench)
  const root = join(rack.folder, 'www')
  mkdirSync(join(root, 'seed'), { recursive: true })
  symlinkSync(files.folder, join(root, 'files'))
  writeSeed(join(root, 'seed'), files)
  const script = join(root, 'boot.ipxe')
  const order = {
    title: 'n1 installs',
    kernel: `${BASE}/files/installer/linux`,
    initrd: [`${BASE}/files/installer/initrd`],
    cmdline: `runbook.mode=install runbook.seed=${BASE}/seed runbook.report=${BASE}/report console=ttyS0`,
  }
  writeFileSync(script, ipxeLoad(order))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const paths = temporary.map((one) => `${one}_temp_path ${rack.folder}/${one};`).join(' ')
  writeFileSync(
    join(rack.folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${rack.folder}/nginx.pid; error_log stderr; user root;
events { worker_connections 1024; }
http { access_log off; sendfile on; ${paths}
  server { listen 10.77.0.1:80; root ${root}; location /healthz { return 200; } location /report { return 200; } } }
`,
  )
  rack.space.start('nginx', ['-c', join(rack.folder, 'nginx.conf')])
  rack.space.start('dnsmasq', [
    ...['-k', '--conf-file=/dev/null', '--port=0', '--no-ping', '--user=root', '-i', 'br0', '--dhcp-authoritative'],
    ...[`--dhcp-leasefile=${rack.folder}/leases`, '--dhcp-range=10.77.0.50,10.77.0.60'],
    ...[`--dhcp-host=${MAC},${ADDRESS}`, '--enable-tftp', `--tftp-root=${files.folder}`],
    ...['--dhcp-userclass=set:ipxe,iPXE', '--dhcp-boot=tag:!ipxe,ipxe.efi', `--dhcp-boot=tag:ipxe,${BASE}/boot.ipxe`],
  ])
  await new Promise((done) => setTimeout(done, 2000))
  return await timeLine(rack, () => writeFileSync(script, ipxeLocal('n1 is installed')))
}

function writeSeed(folder: string, { image, sha256 }: NetbootFiles): void {
  const context = {
    machine: { name: 'n1', macs: [MAC], address: ADDRESS, groups: [], sshKeys: [] },
    repave: 'bench',
    network: { name: 'rack', subnet: parseSubnet('10.77.0.0/24')! },
    report: `${BASE}/report`,
    phoneHome: `${BASE}/report`,
  }
  const orders = { file: image, sha256, disk: 'serial:ROOT-1', wipe: false, inject: true, grow: true }
  for (const name of SEED_NAMES) writeFileSync(join(folder, name), makeSeed(name, context))
  for (const name of INSTALLER_SEED_NAMES) {
    writeFileSync(join(folder, name), makeInstallerSeed(name, context, orders, `${BASE}/files/${image}`))
  }
}

const servers: Readonly<Record<string, () => Promise<number[]>>> = {
  'dnsmasq and nginx': theirs,
  runbook: ours,
  'runbook, `router_advertisement: true`': () => ours('router_advertisement: true'),
}
const results = Object.entries(servers).map(([name, run]) => ({ name, run, all: [] as number[][] }))
for (let round = 0; round < rounds; round++) {
  for (const { name, run, all } of results) {
    say(name)
    all.push(await run())
  }
}
console.log(`load average ${load()}, ${rounds} rounds, medians; seconds after power-on\n`)
const cell = (all: number[][], i: number): string => median(all.map((times) => times[i]!)).toFixed(1)
printTable(
  ['', ...results.map(({ name }) => name)],
  [...MARKS.map(([name]) => name), 'sshd'].map((name, i) => [name, ...results.map(({ all }) => cell(all, i))]),
)
