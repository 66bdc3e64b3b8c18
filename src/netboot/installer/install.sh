# Writes an image to the disk that the profile names. The disk cannot boot until the image's hash has been compared: its
# first MiB, with the partition table, goes on last.
set -o pipefail
. /runbook/common.sh
seed=$(argument runbook.seed)
report=$(argument runbook.report)
CHUNK=8388608

fail() {
  report_surely failed "$1"
  say 'the disk was not made bootable; see the report'
  exit 1
}

network "$report" || exit 1
report installing 'installer runs'
get_seed install /run/job || fail 'cannot read its orders'
while IFS='=' read -r key value; do
  case $key in image | sha256 | disk | wipe | inject | grow | name) eval "job_$key=\$value" ;; esac
done </run/job
[ -n "$job_image" ] && [ -n "$job_sha256" ] && [ -n "$job_disk" ] || fail 'its orders are not whole'

# ── The disk ──
found=
smallest=
for disk in $(disks); do
  size=$(disk_size "$disk")
  case $job_disk in
    smallest)
      if [ -z "$smallest" ] || [ "$size" -lt "$smallest" ]; then
        smallest=$size found=$disk
      elif [ "$size" = "$smallest" ]; then
        found="$found $disk"
      fi
      ;;
    serial:*) [ "$(disk_serial "$disk")" = "${job_disk#*:}" ] && found="$found $disk" ;;
    wwn:*) [ "$(disk_wwn "$disk")" = "${job_disk#*:}" ] && found="$found $disk" ;;
    path:*) [ "$(disk_path "$disk")" = "${job_disk#*:}" ] && found="$found $disk" ;;
    size:*-*)
      range=${job_disk#*:}
      [ "$size" -ge "${range%-*}" ] && [ "$size" -le "${range#*-}" ] && found="$found $disk"
      ;;
  esac
done
# shellcheck disable=SC2086
set -- $found
there=$(for disk in $(disks); do echo "$disk $(disk_size "$disk") B serial $(disk_serial "$disk")"; done | tr '\n' ';')
[ $# = 1 ] || fail "$# disks are $job_disk, so none is written to. There are: $there"
disk=$1
disk_in_use "$disk" && fail "$disk is in use"
if [ "$job_wipe" != yes ] && disk_holds_data "$disk"; then
  fail "$disk ($(disk_serial "$disk")) holds data, and the profile does not say wipe"
fi

# ── The image ──
split_url "$job_image"

# ask FROM TO: a part of the image, to standard output. Fails for what is not that part of the image that was begun with.
ask() {
  # Never at its end for nc, which would close its half of the connection; web servers then stop sending.
  rm -f /run/ask
  mkfifo /run/ask
  (
    exec 3<>/run/ask
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%s-%s\r\nConnection: close\r\n\r\n' "$path" "$host" "$1" "$2" >&3
    timeout 300 nc -w 10 "$host" "$port" <&3
  ) | {
    read -r _ code _
    [ "$code" = 206 ] || exit 1
    tag= range=
    while IFS= read -r line; do
      line=${line%?} # the carriage return
      [ -z "$line" ] && break
      case $line in
        [Ee][Tt][Aa][Gg]:*) tag=${line#*:} ;;
        [Cc]ontent-[Rr]ange:*) range=${line#*:} ;;
      esac
    done
    [ -e /run/tag ] || echo "$tag ${range##*/}" >/run/tag
    if [ "$tag ${range##*/}" != "$(cat /run/tag)" ]; then
      : >/run/changed
      exit 1
    fi
    case $range in *"bytes $1-"*) cat ;; *) exit 1 ;; esac
  }
}

# chunk FROM TO FILE: until the whole part is there, wherever the connection breaks off.
chunk() {
  : >"$3"
  tries=0
  while have=$(stat -c %s "$3") && [ "$have" -lt $(($2 - $1 + 1)) ]; do
    ask $(($1 + have)) "$2" >>"$3" && [ "$(stat -c %s "$3")" = $(($2 - $1 + 1)) ] && break
    [ ! -e /run/changed ] || return 1
    # What came before a break is good; only tries that brought nothing are counted.
    if [ "$(stat -c %s "$3")" = "$have" ]; then
      tries=$((tries + 1))
      [ $tries -lt 120 ] || return 1
      say "the image does not come on at byte $(($1 + have)); tries again"
      sleep 5
    else
      tries=0
    fi
  done
}

# The whole image to standard output, one chunk ahead of who reads it.
stream() {
  at=0 told=0
  end=$((CHUNK < total ? CHUNK : total))
  chunk 0 $((end - 1)) /run/chunk0 || return 1
  turn=0
  while :; do
    next=$((1 - turn)) from=$end
    end=$((from + CHUNK < total ? from + CHUNK : total))
    if [ $from -lt "$total" ]; then chunk $from $((end - 1)) /run/chunk$next & ahead=$!; fi
    cat /run/chunk$turn || return 1
    [ $from -lt "$total" ] || return 0
    wait $ahead || return 1
    now=$(date +%s)
    if [ $((now - told)) -ge 3 ]; then
      told=$now
      report installing "writes $disk: $((from * 100 / total)) %"
    fi
    turn=$next
  done
}

decompress() {
  case $magic in
    1f8b*) gzip -dc ;;
    28b52ffd) zstd -dcq ;;
    *) cat ;;
  esac
}

# Its first bytes say how it is compressed, and how long it is.
chunk 0 3 /run/magic || fail 'the image cannot be read from the server'
magic=$(xxd -p /run/magic)
total=$(awk '{print $NF}' /run/tag)
report installing "wipes $disk ($(disk_serial "$disk"), $(disk_size "$disk") B)"
sectors=$(cat "/sys/block/$disk/size")
dd if=/dev/zero of="/dev/$disk" bs=1M count=1 conv=notrunc,fsync 2>/dev/null || fail "$disk cannot be written to"
dd if=/dev/zero of="/dev/$disk" bs=512 seek=$((sectors - 2048)) count=2048 conv=notrunc,fsync 2>/dev/null ||
  fail "$disk cannot be written to at its end"

report installing "writes $disk: 0 %"
mkfifo /run/sum
sha256sum </run/sum >/run/sha256 &
summing=$!
stream | tee /run/sum | decompress | {
  dd of=/run/first bs=1M count=1 iflag=fullblock 2>/dev/null &&
    dd of="/dev/$disk" bs=1M seek=1 iflag=fullblock conv=notrunc,fsync 2>/run/dd || { cat /run/dd; cat >/dev/null; exit 1; }
} || {
  [ ! -e /run/changed ] || fail 'the image on the server was changed meanwhile'
  fail "the image could not be written to $disk: $(tail -n 1 /run/dd)"
}
wait $summing
got=$(cut -d ' ' -f 1 /run/sha256)
[ "$got" = "$job_sha256" ] || fail "the image has the SHA-256 $got, not $job_sha256"
[ "$(stat -c %s /run/first)" -gt 0 ] || fail 'the image is empty'
rm -f /run/chunk0 /run/chunk1

# ── What makes it this machine ──
report installing 'image verified'
# From here on the disk boots; a power cut before the injection has ended leaves a system that cannot be logged in to, so
# the partition table is taken away again until then.
dd if=/run/first of="/dev/$disk" bs=1M conv=notrunc,fsync 2>/dev/null || fail "$disk cannot be written to"
if [ "$job_inject" = yes ]; then
  blockdev --rereadpt "/dev/$disk" || fail "the kernel cannot read the partition table on $disk"
  dd if=/dev/zero of="/dev/$disk" bs=1M count=1 conv=notrunc,fsync 2>/dev/null
  . /runbook/inject.sh
  [ ! -s /run/table-end ] || dd if=/run/table-end of="/dev/$disk" bs=512 seek=$table_end conv=notrunc,fsync 2>/dev/null ||
    fail "$disk cannot be written to at its end"
  dd if=/run/first of="/dev/$disk" bs=1M conv=notrunc,fsync 2>/dev/null || fail "$disk cannot be written to"
fi
sync
blockdev --flushbufs "/dev/$disk"
report_surely installed "image on $disk"
