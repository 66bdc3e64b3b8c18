# Makes the image on $disk this machine: cloud-init's seed, or without cloud-init what it would have done.
# Read by install.sh, whose functions it uses.
root=
for part in "/sys/block/$disk/$disk"*; do
  part=${part##*/}
  [ -e "/dev/$part" ] || continue
  for kind in ext4 xfs btrfs; do
    mount -t $kind "/dev/$part" /mnt 2>/dev/null || continue
    # The top of the file system, or the subvolume that openSUSE and Ubuntu (@) or Fedora (root) boot.
    for root in /mnt /mnt/@ /mnt/root; do
      [ -d $root/etc ] && { [ -e $root/etc/os-release ] || [ -e $root/usr/lib/os-release ]; } && break 3
    done
    root=
    umount /mnt
  done
done

# What $1, a partition or the beginning of one, holds: for who has to make another image.
contents() {
  case $(dd if="$1" bs=512 count=4 2>/dev/null | tr -cd '\040-\176') in
    *LABELONE*LVM2*) echo LVM && return ;;
    LUKS*) echo 'encrypted (LUKS)' && return ;;
    XFSB*) echo 'an xfs' && return ;;
  esac
  # The superblock of md, version 1.2, is at 4 KiB.
  [ "$(xxd -p -s 4096 -l 4 "$1")" != fc4e2ba9 ] || { echo 'software RAID' && return; }
  echo 'something else'
}

if [ -z "$root" ]; then
  held=$(for part in "/sys/block/$disk/$disk"*; do
    part=${part##*/}
    [ ! -e "/dev/$part" ] || echo "$part is $(contents "/dev/$part")"
  done)
  if [ -z "$held" ]; then
    sector=$(cat "/sys/block/$disk/queue/logical_block_size")
    why="its sectors have $sector bytes: is the image made for such a disk?"
    [ "$(contents /run/first)" = 'something else' ] || why="all of it is $(contents /run/first)."
    fail "no partitions were found on $disk: $why The profile can say inject: false"
  fi
  held=$(echo "$held" | tr '\n' ',' | sed 's/,$//; s/,/, /g')
  fail "no system was found: $held. Only ext4, xfs and btrfs on a partition are looked into; the profile can say inject: false"
fi

[ "$job_grow" != yes ] || [ -x $root/usr/bin/cloud-init ] || . /runbook/grow.sh
report installing "configures $job_name"
# A /var of its own would hide what is written below the system's.
var=$(awk '$2 == "/var" { print $1, $3, $4 }' $root/etc/fstab 2>/dev/null | head -n 1)
if [ -n "$var" ]; then
  # shellcheck disable=SC2086
  set -- $var
  device=$1
  case $1 in UUID=* | LABEL=*) device=$(findfs "$1") ;; esac
  # A subvolume of the same file system; what else stands there is not for us.
  subvolume=$(echo "$3" | tr , '\n' | grep '^subvol=') || :
  # Another disk may hold an older copy of this image.
  [ -n "$device" ] && [ -e "/sys/block/$disk/${device##*/}" ] ||
    fail "the image has a /var of its own, $1, which is not on $disk; the profile can say inject: false"
  mount -t "$2" ${subvolume:+-o "$subvolume"} "$device" $root/var || fail "$1, the image's /var, cannot be mounted"
fi
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
# What is written here has no labels, and is denied to most of such a system, until it has labelled all of itself.
grep -Eq '^SELINUX=(enforcing|permissive)' $root/etc/selinux/config 2>/dev/null && : >$root/.autorelabel
sync
[ -z "$var" ] || umount $root/var || fail "the image's /var cannot be unmounted"
umount /mnt || fail 'the system on the disk cannot be unmounted'
