#!/bin/busybox sh
# udhcpc's script: address, mask and router of the NIC.
case $1 in
  deconfig) ip addr flush dev "$interface" && ip link set "$interface" up ;;
  bound | renew)
    ip addr add "$ip/${mask:-24}" dev "$interface"
    for one in $router; do ip route add default via "$one" dev "$interface" && break; done
    ;;
esac
exit 0
