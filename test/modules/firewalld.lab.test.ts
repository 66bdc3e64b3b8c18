/** The real firewalld, in the network namespace of a lab host. */
import firewalld from '../../modules/firewalld.ts'
import { onLab } from './on-lab.ts'
import { APT_TOOLS, must, scratch } from './repository.ts'

/** What firewalld needs beside the image with Python; neither polkit nor NetworkManager. */
const PACKAGES = [
  ...['firewalld', 'python3-firewall', 'python3-nftables', 'python3-dbus', 'python3-gi', 'gir1.2-glib-2.0'],
  ...[
    'libgirepository-1.0-1',
    'python3-jsonschema',
    'python3-attr',
    'python3-pyrsistent',
    'libglib2.0-0',
    'libnftables1',
  ],
  ...['libjansson4', 'libdbus-1-3'],
]

onLab(
  'firewalld',
  async (t, host) => {
    const folder = scratch()
    must(['apt-get', 'download', '-qq', ...PACKAGES], { cwd: folder })
    must([
      'sh',
      '-c',
      `mkdir ${host.lab.hosts[0]!.rootfs}/root/debs && cp ${folder}/*.deb ${host.lab.hosts[0]!.rootfs}/root/debs`,
    ])
    await host.sh('dpkg -i --force-depends /root/debs/*.deb >/dev/null 2>&1; systemctl stop firewalld')
    const list = (words: string) => host.sh(`firewall-cmd ${words} | tr '\\n' ' '`)

    const api = { port: '6443/tcp', permanent: true, state: 'enabled' }
    t.same(await host.converge(t, firewalld, api), ['add port 6443/tcp, at every start'], 'while it does not run')
    await t.rejects(host.apply(firewalld, { port: '1/tcp', state: 'enabled' }), /firewalld does not run/)
    await host.sh('systemctl start firewalld')
    t.equal(await list('--list-ports'), '6443/tcp ')
    t.same(await host.check(firewalld, { ...api, immediate: true }), [])
    const both = { permanent: true, immediate: true }
    t.same(await host.converge(t, firewalld, { service: 'https', state: 'enabled', ...both }), [
      'add service https, at every start',
      'add service https, now',
    ])
    t.same(await host.converge(t, firewalld, { ...api, immediate: true, state: 'disabled' }), [
      'remove port 6443/tcp, at every start',
      'remove port 6443/tcp, now',
    ])
    t.same(await host.converge(t, firewalld, { port: '80/tcp', state: 'enabled' }), ['add port 80/tcp, now'])
    await host.converge(t, firewalld, { zone: 'trusted', source: '10.42.0.0/16', state: 'enabled', ...both })
    t.equal(await list('--zone=trusted --list-sources'), '10.42.0.0/16 ')
    await host.converge(t, firewalld, { zone: 'trusted', interface: 'cni0', state: 'enabled' })
    await host.converge(t, firewalld, { zone: 'internal', interface: 'cni0', state: 'enabled' })
    t.equal(await list('--zone=trusted --list-interfaces'), ' ', 'an interface is in one zone')
    await host.converge(t, firewalld, { masquerade: true, state: 'enabled' })
    t.same(await host.check(firewalld, { masquerade: false, state: 'disabled' }), [], 'no and not at all: yes')
    await host.converge(t, firewalld, { masquerade: false, state: 'enabled' })
    const rule = 'rule family="ipv4" source address="10.0.0.0/8" protocol value="vrrp" accept'
    await host.converge(t, firewalld, { rich_rule: rule, state: 'enabled' })
    await host.converge(t, firewalld, { rich_rule: rule, state: 'disabled' })
    const forward = [{ port: 80, proto: 'tcp', toport: 8080 }]
    await host.converge(t, firewalld, { port_forward: forward, state: 'enabled' })
    await host.converge(t, firewalld, { icmp_block: 'echo-request', state: 'enabled' })
    t.match(await list('--list-all'), /port=80:proto=tcp:toport=8080.*icmp-blocks: echo-request/)

    const inside = { zone: 'pods', permanent: true }
    t.equal((await host.check(firewalld, { ...inside, service: 'ssh', state: 'enabled' })).length, 1, 'a zone to come')
    t.same(await host.converge(t, firewalld, { ...inside, state: 'present' }), [
      'create the zone (pods), at every start',
    ])
    t.same(await host.converge(t, firewalld, { ...inside, target: 'ACCEPT', state: 'enabled' }), [
      'set the target ACCEPT (pods), at every start',
    ])
    await host.converge(t, firewalld, { ...inside, target: 'ACCEPT', state: 'disabled' })
    await host.converge(t, firewalld, { ...inside, state: 'absent' })
    await t.rejects(host.apply(firewalld, { service: 'nothing-such', state: 'enabled', ...both }), /INVALID_SERVICE/)
  },
  APT_TOOLS,
  'ansible',
)
