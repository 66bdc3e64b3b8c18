import upgrade from '../../modules/package_upgrade.ts'
import { onLab } from './on-lab.ts'
import { APT_TOOLS, buildDeb, indexRepository, must, scratch } from './repository.ts'

onLab(
  'package_upgrade',
  async (t, host) => {
    const folder = scratch()
    const publish = async () => {
      indexRepository(folder)
      must(['tar', '-C', folder, '-cf', `${host.lab.hosts[0]!.rootfs}/root/repo.tar`, '.'])
      await host.sh('mkdir -p /srv/repo && tar -xf /root/repo.tar -C /srv/repo && rm /root/repo.tar')
    }
    for (const name of ['rb-one', 'rb-held']) buildDeb(folder, { name, version: '1.0' })
    await publish()
    await host.sh('echo "deb [trusted=yes] copy:/srv/repo ./" > /etc/apt/sources.list.d/lab.list')
    await host.sh('apt-get update -q && apt-get install -yq rb-one rb-held && apt-mark hold rb-held')
    await host.apply(upgrade, {})
    for (const name of ['rb-one', 'rb-held']) buildDeb(folder, { name, version: '1.1' })
    await publish()
    t.same(await host.check(upgrade, {}), [])
    await host.sh('apt-get update -q')
    t.same(await host.converge(t, upgrade, {}), ['upgrade rb-one 1.1'])
    t.equal(await host.sh(`dpkg-query -W -f='\${Version} ' rb-held rb-one`), '1.0 1.1 ')
    await host.sh('touch /run/reboot-required')
    t.same((await host.apply(upgrade, {})).result, { reboot_required: true, upgradable: [] })
  },
  APT_TOOLS,
)
