# What install.sh and discover.sh share.

# To standard error: what is written to standard output may be on its way to a disk.
say() { echo "runbook installer: $*" >&2; }

# The value of a word of the kernel's command line.
argument() {
  for word in $(cat /proc/cmdline); do
    case $word in "$1="*) echo "${word#*=}" ;; esac
  done | tail -n 1
}

# A text as it stands between the quotation marks of JSON.
json() { printf %s "$1" | tr -cd '\040-\176' | cut -c 1-400 | sed 's/[\\"]/\\&/g'; }

# http://HOST:PORT/PATH -> host, port, path
split_url() {
  rest=${1#http://}
  path=/${rest#*/}
  host=${rest%%/*}
  port=80
  case $host in *:*) port=${host##*:} host=${host%%:*} ;; esac
}

# Brings up the NIC through which the server of URL $1 is reached.
network() {
  split_url "$1"
  for nic in /sys/class/net/*; do ip link set "${nic##*/}" up 2>/dev/null; done
  round=0
  while [ $round -lt 60 ]; do
    round=$((round + 1))
    for nic in /sys/class/net/*; do
      nic=${nic##*/}
      [ "$nic" != lo ] && [ "$(cat "/sys/class/net/$nic/carrier" 2>/dev/null)" = 1 ] || continue
      udhcpc -i "$nic" -n -q -f -t 3 -T 2 -s /runbook/dhcp.sh >/dev/null 2>&1 || continue
      if get "http://$host:$port/healthz" >/dev/null; then
        say "network: $nic, $(ip -o -4 addr show dev "$nic" | awk '{print $4}')"
        return 0
      fi
      ip addr flush dev "$nic"
    done
    [ $((round % 10)) = 1 ] && say "no NIC reaches $host yet; tries again"
    sleep 1
  done
  say "no NIC reaches $host"
  return 1
}

get() { timeout 20 wget -q -O - "$1"; }

# get_seed NAME FILE: each is given out once, so only what did not reach the server is asked for again.
get_seed() {
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    get "$seed/$1" >"$2" && return 0
    sleep 5
  done
  return 1
}

# post URL BODY
post() { timeout 10 wget -q -O /dev/null --header 'Content-Type: application/json' --post-data "$2" "$1"; }

# report STATUS STEP: at most once, as another follows.
report() {
  say "$2"
  post "$report" "{\"status\": \"$1\", \"step\": \"$(json "$2")\"}" 2>/dev/null || true
}

# What the server must hear: for five minutes.
report_surely() {
  say "$1: $2"
  for _ in $(seq 60); do
    post "$report" "{\"status\": \"$1\", \"step\": \"$(json "$2")\"}" 2>/dev/null && return 0
    sleep 5
  done
  return 1
}

# Names of disks that something could be installed to: neither read-only nor removable nor made of others.
disks() {
  for disk in /sys/block/*; do
    case ${disk##*/} in loop* | ram* | zram* | sr* | fd* | dm-* | md* | nbd* | mtd*) continue ;; esac
    [ "$(cat "$disk/size")" -gt 0 ] && [ "$(cat "$disk/ro")" = 0 ] && [ "$(cat "$disk/removable")" = 0 ] && echo "${disk##*/}"
  done
}

disk_size() { echo $(($(cat "/sys/block/$1/size") * 512)); }
disk_model() { cat "/sys/block/$1/device/model" 2>/dev/null | tr -s ' ' | sed 's/^ //; s/ $//'; }

disk_serial() {
  for file in "/sys/block/$1/serial" "/sys/block/$1/device/serial"; do
    [ -r "$file" ] && tr -cd '\041-\176' <"$file" && return
  done
  # SCSI's "unit serial number" page, four bytes of header first (SPC-4, 7.8.15).
  tail -c +5 "/sys/block/$1/device/vpd_pg80" 2>/dev/null | tr -cd '\041-\176'
}

disk_wwn() { cat "/sys/block/$1/wwid" "/sys/block/$1/device/wwid" 2>/dev/null | head -n 1 | tr -cd '\041-\176'; }

# Where a disk is plugged in, as udev's by-path names have it for NVMe, SATA, virtio and plain SCSI.
disk_path() {
  where=$(readlink -f "/sys/block/$1/device")
  name=
  for part in $(echo "$where" | tr / ' '); do
    case $part in
      [0-9a-f]*:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f].[0-7]) name=pci-$part ;;
      ata[0-9]*) ata=-ata-$(cat /sys/class/ata_port/"$part"/port_no 2>/dev/null) ;;
      [0-9]*:[0-9]*:[0-9]*:[0-9]*) name=$name${ata:--scsi-${part#*:}} ;;
    esac
  done
  case $1 in nvme*) name=$name-nvme-$(cat "/sys/block/$1/nsid" 2>/dev/null) ;; esac
  ata=
  echo "$name"
}

# Whether a disk holds anything: partition tables, file systems, RAID and LVM all have something in its first or last MiB.
# What cannot be read may hold anything. No pipe that stops reading early: with pipefail (install.sh) it fails where there is
# much to read, as if there were nothing.
disk_holds_data() {
  sectors=$(cat "/sys/block/$1/size")
  for skip in 0 $((sectors - 2048)); do
    dd if="/dev/$1" of=/run/look bs=512 skip=$skip count=2048 2>/dev/null || return 0
    [ "$(stat -c %s /run/look)" = 1048576 ] || return 0
    [ "$(tr -d '\0' </run/look | wc -c)" = 0 ] || return 0
  done
  return 1
}

disk_in_use() {
  grep -q "^/dev/$1" /proc/mounts /proc/swaps && return 0
  [ -n "$(ls "/sys/block/$1/holders" "/sys/block/$1"/*/holders 2>/dev/null | grep -v : | tr -d '\n')" ]
}
