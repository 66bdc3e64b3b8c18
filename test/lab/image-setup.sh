# Runs once inside a new image, as root, by `sh -eu` with PASSWORD in the environment. What must differ from host to
# host (machine-id, host keys, names, addresses) is written when a host is made.

for user in admin ops; do
  useradd --create-home --shell /bin/bash "$user"
done
usermod --append --groups sudo admin
printf '%s\n' "root:$PASSWORD" "admin:$PASSWORD" "ops:$PASSWORD" | chpasswd --crypt-method SHA512
chmod 0440 /etc/sudoers.d/lab
chmod 0400 /etc/doas.conf
chmod 0755 /usr/local/lib/runbook-lab/*
install -d -m 0700 /root/.ssh
install -d -m 0700 -o admin -g admin /home/admin/.ssh
install -d -m 0700 -o ops -g ops /home/ops/.ssh

rm -f /etc/ssh/ssh_host_* /etc/apt/apt.conf.d/99mmdebstrap
# Hosts have no way out: without sources `apt-get update` ends at once instead of waiting for names to resolve.
rm -f /etc/apt/sources.list.d/*
: >/etc/apt/sources.list
: >/etc/machine-id

# A host's /proc/sys outside net.* is the machine's own, so booting a host must not set it.
rm -f /usr/lib/sysctl.d/*.conf
# With a writable /sys, udev would replay the events of the machine's devices.
systemctl mask --quiet systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
  systemd-udev-trigger.service systemd-udev-settle.service
# Not needed on a lab host; every unit costs boot time on each host of each suite.
systemctl mask --quiet console-getty.service getty.target systemd-update-utmp.service systemd-update-utmp-runlevel.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
  systemd-networkd.service systemd-networkd.socket systemd-pstore.service kmod-static-nodes.service \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount
# Installed, not running: turning it on is a playbook's work.
systemctl disable --quiet containerd.service
systemctl enable --quiet lab-cgroups.service lab-network.service ssh.service
systemctl set-default --quiet multi-user.target
