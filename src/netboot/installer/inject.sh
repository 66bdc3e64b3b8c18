# Makes the image on $disk this machine: cloud-init's seed, or without cloud-init what it would have done.
# Read by install.sh, whose functions it uses.
root=
for part in "/sys/block/$disk/$disk"*; do
  part=${part##*/}
  [ -e "/dev/$part" ] || continue
  for kind in ext4 xfs btrfs; do
    mount -t $kind "/dev/$part" /mnt 2>/dev/null || continue
    for root in /mnt /mnt/@; do
      [ -d $root/etc ] && { [ -e $root/etc/os-release ] || [ -e $root/usr/lib/os-release ]; } && break 3
    done
    root=
    umount /mnt
  done
done
[ -n "$root" ] || fail "no system was found on the partitions of $disk; the profile can say inject: false"

[ "$job_grow" != yes ] || [ -x $root/usr/bin/cloud-init ] || . /runbook/grow.sh
report installing "configures $job_name"
nocloud=$root/var/lib/cloud/seed/nocloud
mkdir -p $nocloud || fail 'the image cannot be written to'
for name in meta-data user-data vendor-data network-config; do
  get_seed $name $nocloud/$name || fail "cannot read $name"
done
chmod 700 $nocloud
get_seed phone-home /run/phone-home || fail 'cannot read phone-home'

if [ -x $root/usr/bin/cloud-init ]; then
  # Nothing else is looked for: no other source of data can take the machine over.
  echo 'datasource_list: [NoCloud, None]' >$root/etc/cloud/cloud.cfg.d/99-runbook.cfg
else
  get_seed ssh-keys /run/ssh-keys || fail 'cannot read ssh-keys'
  if [ -s /run/ssh-keys ]; then
    mkdir -p -m 700 $root/root/.ssh
    cat /run/ssh-keys >$root/root/.ssh/authorized_keys
    chmod 600 $root/root/.ssh/authorized_keys
  fi
  echo "$job_name" >$root/etc/hostname
  if [ -d $root/etc/systemd/network ]; then
    get_seed networkd $root/etc/systemd/network/10-runbook.network || fail 'cannot read networkd'
    ln -sf /lib/systemd/system/systemd-networkd.service $root/etc/systemd/system/multi-user.target.wants/
  fi
  # Keys that came with the image are known to all who have the image.
  rm -f $root/etc/ssh/ssh_host_*
  for dir in dev proc sys; do mount -o bind /$dir $root/$dir; done
  if [ -x $root/usr/bin/ssh-keygen ]; then
    chroot $root /usr/bin/ssh-keygen -A >/dev/null || fail 'no SSH host keys could be made'
  fi
  for dir in dev proc sys; do umount $root/$dir; done
  : >$root/etc/machine-id
  mkdir -p -m 700 $root/var/lib/runbook
  cp /run/phone-home $root/var/lib/runbook/phone-home
  cp /runbook/phone-home.sh $root/var/lib/runbook/phone-home.sh
  cp /runbook/phone-home.service $root/etc/systemd/system/runbook-phone-home.service
  mkdir -p $root/etc/systemd/system/multi-user.target.wants
  ln -sf ../runbook-phone-home.service $root/etc/systemd/system/multi-user.target.wants/
fi
sync
umount /mnt || fail 'the system on the disk cannot be unmounted'
