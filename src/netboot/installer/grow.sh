# Gives the system's partition, and its ext4, the space up to the next partition or the end of the disk, as cloud-init does
# where there is one. Read by inject.sh: $part is mounted as $kind at /mnt, and the first MiB of $disk is in /run/first.
table_value() { sed -n "s/^$1: *//p" /run/table; }

grow() {
  if [ "$kind" != ext4 ]; then
    report installing "$part is $kind and keeps its size; only ext4 is grown"
    return
  fi
  umount /mnt || fail "$part cannot be unmounted"
  dd if=/run/first of="/dev/$disk" bs=1M conv=notrunc,fsync 2>/dev/null || fail "$disk cannot be written to"
  # It also moves GPT's second table to the end of the disk, where it belongs.
  echo ', +' | sfdisk -q -N "$(cat "/sys/class/block/$part/partition")" "/dev/$disk" >/run/sfdisk 2>&1 &&
    sfdisk -d "/dev/$disk" >/run/table && blockdev --rereadpt "/dev/$disk" ||
    fail "$part cannot be grown (the profile can say grow: false): $(tail -n 1 /run/sfdisk)"
  # Both tables are kept and taken away again until all is done: an install that breaks off leaves an empty disk.
  dd if="/dev/$disk" of=/run/first bs=1M count=1 2>/dev/null || fail "$disk cannot be read"
  dd if=/dev/zero of="/dev/$disk" bs=1M count=1 conv=notrunc,fsync 2>/dev/null
  if [ "$(table_value label)" = gpt ]; then
    table_end=$((($(table_value last-lba) + 1) * $(table_value sector-size) / 512))
    dd if="/dev/$disk" of=/run/table-end bs=512 skip=$table_end 2>/dev/null || fail "$disk cannot be read at its end"
    dd if=/dev/zero of="/dev/$disk" bs=512 seek=$table_end count=$((sectors - table_end)) conv=notrunc,fsync 2>/dev/null
  fi
  mount -t ext4 "/dev/$part" /mnt && resize2fs "/dev/$part" >/run/resize2fs 2>&1 ||
    fail "the file system on $part cannot be grown (the profile can say grow: false): $(tail -n 1 /run/resize2fs)"
  report installing "$part has $(($(cat "/sys/class/block/$part/size") / 2048)) MiB"
}
grow
