/** What a host is, as text that can be compared: files with owner, mode and content, accounts, units, kernel parameters. */
import type { Lab } from '../lab/index.ts'

const SCRIPT = `
find /etc /opt /srv /root /home /data /boot /usr/local /usr/libexec /usr/lib/systemd/system /usr/lib/modules-load.d /usr/lib/sysctl.d \\
  /var/lib /var/log /var/spool/cron -xdev \\
  \\( -path /root/.ansible -o -path /etc/machine-id -o -path '/etc/ssh/ssh_host_*' -o -path /etc/.pwd.lock -o -path '/etc/*-' \\
  -o -path /etc/ld.so.cache -o -path /root/.ssh -o -path /etc/resolv.conf -o -path /etc/hostname -o -path /etc/lab-network \\
  -o -path /root/.cache -o -path '/root/.bash_history' -o -path '/root/.sudo_as_admin_successful' -o -path '/var/lib/dpkg/*' -o -path '/var/lib/apt/*' -o -path '/var/lib/systemd/*' \\
  -o -path '/var/lib/containerd/*' -o -path '/home/*/.ansible' -o -path /var/lib/runbook -o -path '/var/log/*' -o -path '/var/lib/ucf/*' \\) -prune -o -print 2>/dev/null | sort | while IFS= read -r f; do
  if [ -L "$f" ]; then printf '%s link %s\\n' "$f" "$(readlink "$f")"
  # Two programs, two habits: blanks around =, the name in the comment above a job, the order of fields and a field for tools.
  elif case $f in /etc/sysctl*|/etc/cron.d/*) [ -f "$f" ] ;; *) false ;; esac; then
    printf '%s file %s %s\\n' "$f" "$(stat -c '%a %U:%G' "$f")" "$(sed -e 's/ *= */=/' -e 's/^#[A-Za-z]*: /#: /' "$f" | sha256sum | cut -c1-16)"
  elif case $f in /etc/apt/sources.list.d/*.sources) true ;; *) false ;; esac; then
    printf '%s file %s %s\\n' "$f" "$(stat -c '%a %U:%G' "$f")" "$(grep -v '^X-Repolib-Name' "$f" | sort | sha256sum | cut -c1-16)"
  elif [ -d "$f" ]; then printf '%s folder %s\\n' "$f" "$(stat -c '%a %U:%G' "$f")"
  elif [ -f "$f" ]; then printf '%s file %s %s\\n' "$f" "$(stat -c '%a %U:%G %s' "$f")" "$(sha256sum < "$f" | cut -c1-16)"; fi
done
getent passwd | sort | sed 's/^/passwd /'
getent group | sort | sed 's/^/group /'
systemctl list-unit-files --no-legend --no-pager --type=service,socket,target,timer | awk '{ print "unit-file", $1, $2 }' | sort
dpkg-query -W -f 'package \${Package} \${Version} \${db:Status-Status} \${db:Status-Want}\\n' | sort
awk '$1 !~ /^#/ { print "mounted", $1, $2, $3, $4 }' /proc/mounts | grep -vE ' /(run|proc|sys|dev)[/ ]|overlay|containerd' | sort
for t in filter nat; do iptables-save -t $t 2>/dev/null | sed -n 's/^-A/rule &/p'; done
systemctl list-units --all --no-legend --no-pager --plain --type=service,socket,timer | awk '!/user@|user-|ssh@|session-|run-/ { print "unit", $1, $3 }' | sort
sysctl -a 2>/dev/null | grep -E '^(net|kernel|vm|fs)\\.' | grep -vE '^(kernel\\.(random|ns_last_pid|pty\\.nr|domainname|hostname|printk_ratelimit|tainted|sched_domain)|fs\\.(file-nr|inode|dentry|quota|binfmt|mqueue)|net\\.netfilter\\.nf_conntrack_count|vm\\.stat|net\\.ipv[46]\\.(neigh|conf)\\.host)' | sort
`

/** Lines of one host's state; the names and addresses of the host itself are taken out. */
export async function stateOf(lab: Lab, host: string): Promise<string[]> {
  const { stdout, stderr, rc } = await lab.exec(host, ['sh', '-c', SCRIPT])
  if (rc !== 0) throw new Error(`${host}: ${stderr}`)
  return stdout.split('\n').filter((line) => line !== '')
}

/** Lines that only one of two has. */
export function differences(a: readonly string[], b: readonly string[]): string[] {
  const [left, right] = [new Set(a), new Set(b)]
  return [
    ...a.filter((line) => !right.has(line)).map((line) => `- ${line}`),
    ...b.filter((line) => !left.has(line)).map((line) => `+ ${line}`),
  ].sort((x, y) => (x.slice(2) < y.slice(2) ? -1 : 1))
}
