import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import authorizedKey from '../../modules/authorized_key.ts'
import { onLab } from './on-lab.ts'

const ED = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5cFGHBu8eJjPB4xkQF8sqKbkoRFGQxd4Jz9B8KHeXz'
const ED2 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

onLab('authorized_key', async (t, host) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-keys-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'real', '-f', join(folder, 'id')])
  const real = readFileSync(join(folder, 'id.pub'), 'utf8')
  await host.sh('useradd -m rbkey; useradd -m rblink; useradd -m rbroot')
  const modes = (user: string) => host.sh(`stat -c '%U %a' /home/${user}/.ssh /home/${user}/.ssh/authorized_keys`)

  await host.converge(t, authorizedKey, { user: 'rbkey', key: real })
  t.equal(await modes('rbkey'), 'rbkey 700\nrbkey 600\n')
  const ssh = [
    '-F',
    'none',
    '-i',
    join(folder, 'id'),
    '-o',
    'IdentitiesOnly=yes',
    '-o',
    'BatchMode=yes',
    '-o',
    `UserKnownHostsFile=${host.lab.knownHostsFile}`,
  ]
  const login = () =>
    spawnSync('ssh', [...ssh, `rbkey@${host.lab.hosts[0]!.address}`, 'id -un'], { encoding: 'utf8' }).stdout
  t.equal(login(), 'rbkey\n', 'sshd takes it')
  await host.converge(t, authorizedKey, { user: 'rbkey', key: [ED, ED2], exclusive: true, key_options: 'no-pty' })
  t.equal(await host.sh('cat /home/rbkey/.ssh/authorized_keys'), `no-pty ${ED}\nno-pty ${ED2}\n`)
  t.equal(login(), '')
  await host.converge(t, authorizedKey, { user: 'rbkey', key: ED, state: 'absent' })

  await t.test('links lead nowhere that the user could not go', async (t) => {
    await host.sh('mkdir -m 700 /root/trap; echo old > /root/trap/authorized_keys; ln -s /root/trap /home/rblink/.ssh')
    await t.rejects(host.apply(authorizedKey, { user: 'rblink', key: ED }))
    t.equal(await host.sh('cat /root/trap/authorized_keys; stat -c "%U %a" /root/trap'), 'old\nroot 700\n')
    await host.sh(
      'rm /home/rblink/.ssh; install -d -o rblink -g rblink -m 700 /home/rblink/.ssh /home/rblink/keys; ln -s /etc/shadow /home/rblink/.ssh/authorized_keys; chown -h rblink: /home/rblink/.ssh/authorized_keys',
    )
    const shadow = await host.sh('sha256sum /etc/shadow')
    await t.rejects(host.apply(authorizedKey, { user: 'rblink', key: ED }))
    t.equal(await host.sh('sha256sum /etc/shadow'), shadow)
    await host.sh('rm -r /home/rblink/.ssh; ln -s keys /home/rblink/.ssh')
    await host.converge(t, authorizedKey, { user: 'rblink', key: ED })
    t.equal(await host.sh('cat /home/rblink/keys/authorized_keys'), `${ED}\n`, 'a link of their own is followed')
  })

  await t.test('a folder of root’s, a file elsewhere', async (t) => {
    await host.sh('mkdir -m 755 /home/rbroot/.ssh')
    t.match((await host.converge(t, authorizedKey, { user: 'rbroot', key: ED })).join(), /chown rbroot .*add SHA256/)
    t.equal(await modes('rbroot'), 'rbroot 700\nrbroot 600\n')
    await host.sh('mkdir -p /etc/ssh/keys')
    await host.converge(t, authorizedKey, { user: 'rbroot', key: ED, path: '/etc/ssh/keys/rbroot' })
    t.equal(await host.sh('stat -c "%U %a" /etc/ssh/keys /etc/ssh/keys/rbroot'), 'root 755\nroot 644\n')
    await t.rejects(host.check(authorizedKey, { user: 'nobody-here', key: ED }), /no user nobody-here/)
  })
})
