# Says what this machine is, and waits. Nothing here opens a disk.
. /runbook/common.sh
report=$(argument runbook.report)

fact() { printf '"%s": "%s"' "$1" "$(json "$2")"; }
dmi() { cat "/sys/class/dmi/id/$1" 2>/dev/null; }
# Joins lines with commas.
list() { paste -s -d , -; }

one_disk() {
  printf '{%s, %s, %s, %s, %s, "size": %s, "rotational": %s}\n' "$(fact name "$1")" "$(fact serial "$(disk_serial "$1")")" \
    "$(fact wwn "$(disk_wwn "$1")")" "$(fact path "$(disk_path "$1")")" "$(fact model "$(disk_model "$1")")" \
    "$(disk_size "$1")" "$([ "$(cat "/sys/block/$1/queue/rotational")" = 1 ] && echo true || echo false)"
}

one_nic() {
  nic=/sys/class/net/$1
  link=$([ "$(cat "$nic/carrier" 2>/dev/null)" = 1 ] && echo true || echo false)
  speed=$(cat "$nic/speed" 2>/dev/null)
  [ "${speed:--1}" -gt 0 ] 2>/dev/null || speed=null
  driver=$(readlink "$nic/device/driver")
  printf '{%s, %s, %s, "link": %s, "speed": %s}\n' "$(fact name "$1")" "$(fact mac "$(cat "$nic/address")")" \
    "$(fact driver "${driver##*/}")" "$link" "$speed"
}

facts() {
  firmware=bios secure=false
  if [ -d /sys/firmware/efi ]; then
    firmware=uefi
    # Four bytes of attributes, then the value (UEFI 2.10, 3.3: SecureBoot of the global variables).
    variable=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
    [ "$(tail -c +5 $variable 2>/dev/null | xxd -p)" = 01 ] && secure=true
  fi
  tpm=$(cat /sys/class/tpm/tpm0/tpm_version_major 2>/dev/null)
  bmc=
  for channel in 1 2 3 8; do
    [ -e /dev/ipmi0 ] || break
    bmc=$(timeout 20 ipmitool lan print $channel 2>/dev/null | sed -n 's/^IP Address *: *//p')
    case $bmc in '' | 0.0.0.0) bmc= ;; *) break ;; esac
  done
  printf '{%s, %s, %s, %s, %s, ' "$(fact vendor "$(dmi sys_vendor)")" "$(fact product "$(dmi product_name)")" \
    "$(fact serial "$(dmi product_serial)")" "$(fact uuid "$(dmi product_uuid)")" "$(fact firmware_version "$(dmi bios_version)")"
  printf '%s, "secure_boot": %s, %s, %s, ' "$(fact firmware $firmware)" $secure "$(fact tpm "$tpm")" "$(fact bmc "$bmc")"
  printf '"cpu": {%s, "sockets": %s, "threads": %s}, "memory": %s, ' \
    "$(fact model "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)")" \
    "$(cat /sys/devices/system/cpu/cpu*/topology/physical_package_id | sort -u | wc -l)" "$(nproc)" \
    $(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))
  printf '"disks": [%s], ' "$(for disk in $(disks); do one_disk "$disk"; done | list)"
  printf '"nics": [%s]}' "$(for nic in /sys/class/net/*; do [ -e "$nic/device" ] && one_nic "${nic##*/}"; done | list)"
}

network "$report" || exit 1
say 'discovery: looks at this machine, and writes to no disk'
until post "$report" "$(facts)" 2>/dev/null; do
  say 'the server does not take the report; tries again'
  sleep 10
done
say 'discovery: reported; put this machine into the inventory, restart the server, and it reboots by itself'
while [ "$(get "$report" 2>/dev/null)" != reboot ]; do sleep 15; done
