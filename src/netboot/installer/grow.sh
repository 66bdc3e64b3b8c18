# Gives the system's partition, and its file system, the space up to the next partition or the end of the disk, as cloud-init does
# where there is one. Read by inject.sh: $part is mounted as $kind at /mnt, and the first MiB of $disk is in /run/first.
table_value() { sed -n "s/^$1: *//p" /run/table; }

# All three while they are mounted; xfs and btrfs know no other way.
grow_file_system() {
  case $kind in
    ext4) resize2fs "/dev/$part" ;;
    xfs) xfs_growfs /mnt ;;
    btrfs) btrfs filesystem resize max /mnt ;;
  esac
}

grow() {
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
  mount -t "$kind" "/dev/$part" /mnt && grow_file_system >/run/resize 2>&1 ||
    fail "the $kind on $part cannot be grown (the profile can say grow: false): $(tr '\n' ' ' </run/resize)"
  report installing "$part ($kind) has $(($(cat "/sys/class/block/$part/size") / 2048)) MiB"
}
grow
