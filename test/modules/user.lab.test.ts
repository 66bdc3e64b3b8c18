import group from '../../modules/group.ts'
import user from '../../modules/user.ts'
import { onLab } from './on-lab.ts'

const HASH = '$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.'
const OTHER = '$6$other$WQJWCbj7PbUVMpMSVYhAsCyjDPbJPGO3gXjMLsTbHJhLWkCPWi5R8y3gbGYRUAbXHHJyQC9LbvMwJUvqBSXAR1'

onLab('user and group', async (t, host) => {
  t.same(await host.converge(t, group, { name: 'rbgroup', gid: 4242 }), ['create group rbgroup (gid 4242)'])
  t.same(await host.converge(t, group, { name: 'rbgroup', gid: 4243 }), ['change the gid of group rbgroup to 4243'])
  const args = { name: 'rbuser', groups: ['rbgroup', 'adm'], password: HASH, shell: '/bin/sh', comment: 'Kim O’Neil' }
  t.same(await host.converge(t, user, args), ['create user rbuser (groups rbgroup, adm)', 'set the password of rbuser'])
  t.match(await host.sh('id -nG rbuser'), /^rbuser adm rbgroup$/m)
  t.equal(await host.sh('getent shadow rbuser | cut -d: -f2'), `${HASH}\n`)
  t.match(await host.sh('stat -c "%U %a" /home/rbuser; ls -A /home/rbuser'), /^rbuser 7[05][05]\n.*\.bashrc/s)
  const more = {
    name: 'rbuser',
    groups: 'rbgroup',
    append: false,
    expires: '2031-02-03',
    password_lock: true,
    home: '/srv/rbuser',
    move_home: true,
  }
  t.same(await host.converge(t, user, more), [
    'change user rbuser: home, expires, groups',
    'lock the password of rbuser',
  ])
  t.match(
    await host.sh('id -nG rbuser; chage -l rbuser; ls -A /srv/rbuser; getent shadow rbuser'),
    /^rbuser rbgroup\n.*Feb 03, 2031.*\.bashrc.*:!\$6/s,
  )
  t.same(await host.converge(t, user, { name: 'rbuser', password: OTHER }), [
    'set the password of rbuser',
    'lock the password of rbuser as before',
  ])
  await host.converge(t, user, { name: 'rbuser', expires: 'never', password_lock: false })
  t.match(await host.sh('getent shadow rbuser'), /^rbuser:\$6\$other.*::::*$/m)
  const aging = { name: 'rbuser', password_expire_max: 60, password_expire_min: -1, password_expire_account_disable: 5 }
  t.same(await host.converge(t, user, aging), ['change the age of the password of rbuser: min -1, max 60, inactive 5'])
  t.match(await host.sh('getent shadow rbuser'), /:\d+::60:7:5::$/m)
  await host.sh('rm -r /srv/rbuser')
  t.same(await host.converge(t, user, { name: 'rbuser' }), ['create home folder /srv/rbuser of rbuser'])
  t.equal(await host.sh('stat -c "%U:%G %a" /srv/rbuser /srv/rbuser/.bashrc'), 'rbuser:rbuser 700\nrbuser:rbuser 644\n')
  await t.rejects(host.apply(user, { name: 'rbother', uid: 0 }), /4: the uid is that of another user/)
  await t.rejects(host.apply(group, { name: 'rbuser', state: 'absent' }), /8: it is the primary group of a user/)
  await host.converge(t, user, { name: 'rbdaemon', system: true, home: '/var/lib/rb', shell: '/usr/sbin/nologin' })
  t.equal(await host.sh('test -e /var/lib/rb || echo none'), 'none\n')
  t.same(await host.converge(t, user, { name: 'rbuser', state: 'absent', remove: true }), [
    'remove user rbuser and its home folder',
  ])
  await host.converge(t, group, { name: 'rbgroup', state: 'absent' })
  t.equal(await host.sh('getent passwd rbuser; getent group rbgroup; ls /srv'), '')
})
