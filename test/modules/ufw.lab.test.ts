/** The real ufw, which asks for Python and therefore for the image that has it. */
import ufw from '../../modules/ufw.ts'
import { onLab } from './on-lab.ts'
import { APT_TOOLS, must, scratch } from './repository.ts'

onLab(
  'ufw',
  async (t, host) => {
    const folder = scratch()
    must(['apt-get', 'download', '-qq', 'ufw'], { cwd: folder })
    must(['sh', '-c', `cp ${folder}/ufw_*.deb ${host.lab.hosts[0]!.rootfs}/root/ufw.deb`])
    await host.sh('dpkg -i /root/ufw.deb >/dev/null')
    const added = () => host.sh('ufw show added | grep ^ufw || true')

    const api = { rule: 'allow', from_ip: '10.0.0.0/8', to_port: 6443, proto: 'tcp' }
    t.same(await host.converge(t, ufw, api), ['add the rule: allow from 10.0.0.0/8 to any port 6443 proto tcp'])
    t.equal(await added(), 'ufw allow from 10.0.0.0/8 to any port 6443 proto tcp\n')
    t.same(await host.check(ufw, api), [])
    t.equal((await host.converge(t, ufw, { ...api, comment: 'the API' })).length, 1, 'a comment is part of the rule')
    t.match(await added(), /comment 'the API'/)
    t.equal((await host.converge(t, ufw, { ...api, rule: 'deny' })).length, 1, 'the other action takes its place')
    t.equal(await added(), 'ufw deny from 10.0.0.0/8 to any port 6443 proto tcp\n')

    await host.sh('ufw allow 22/tcp')
    t.same(await host.check(ufw, { rule: 'allow', port: 22, proto: 'tcp' }), [], 'the short form is the same rule')
    t.same(await host.converge(t, ufw, { ...api, rule: 'deny', delete: true }), [
      'delete the rule: deny from 10.0.0.0/8 to any port 6443 proto tcp',
    ])
    t.same(await host.check(ufw, { ...api, rule: 'deny', delete: true }), [])
    t.equal(await added(), 'ufw allow 22/tcp\n')

    t.same(await host.converge(t, ufw, { default: 'allow', direction: 'routed' }), ['allow what is routed'])
    t.same(await host.converge(t, ufw, { logging: 'medium' }), ['log: medium'])
    t.same(await host.converge(t, ufw, { state: 'enabled' }), ['enabled ufw'])
    t.match(
      await host.sh('ufw status verbose'),
      /Status: active\nLogging: on \(medium\)\nDefault: deny \(incoming\), allow \(outgoing\)/,
    )
    t.equal(
      (await host.converge(t, ufw, { rule: 'allow', route: true, interface_in: 'host0' })).length,
      1,
      'while it is on',
    )
    await t.rejects(host.apply(ufw, { rule: 'allow', name: 'Nothing' }), /profile/, 'an application that is not there')
    t.same(await host.converge(t, ufw, { state: 'disabled' }), ['disabled ufw'])
  },
  APT_TOOLS,
  'ansible',
)
