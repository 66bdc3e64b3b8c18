#!/bin/busybox sh
# The first process: file systems, drivers, then what the server asked for. Whatever happens, the machine reboots in the
# end, and its server decides what it boots then.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /mnt /sbin /usr/bin /usr/sbin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
exec </dev/console >/dev/console 2>&1
dmesg -n 4
# The kernel asks for more by itself: checksums, character sets.
ln -s /bin/modprobe /sbin/modprobe
echo "runbook installer: $(uname -r)"

# A driver brings a bus with more devices to drive, so it is gone over until nothing new is there.
known=
for _ in 1 2 3 4 5; do
  found=$(find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u)
  [ "$found" = "$known" ] && break
  known=$found
  echo "$found" | xargs modprobe -qa 2>/dev/null
  sleep 1
done
# xfs and btrfs do not load without it, and no table says so.
modprobe -qa crc32c
modprobe -qa sd_mod ext4 xfs btrfs vfat nls_ascii nls_cp437 nls_iso8859_1 efivarfs ipmi_devintf ipmi_si 2>/dev/null
[ -d /sys/firmware/efi ] && mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null

case " $(cat /proc/cmdline) " in
  *' runbook.mode=install '*) sh /runbook/install.sh ;;
  *' runbook.mode=discover '*) sh /runbook/discover.sh ;;
  *) echo 'runbook installer: there is no runbook.mode on the command line, so nothing is done' ;;
esac
sync
echo 'runbook installer: reboots in 5 seconds'
sleep 5
reboot -f
