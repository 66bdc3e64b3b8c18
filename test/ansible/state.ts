/** What a host is, as text that can be compared: files with owner, mode and content, accounts, units, kernel parameters. */
import type { Lab } from '../lab/index.ts'

const SCRIPT = `
find /etc /opt /srv /root /home /data /usr/local /var/spool/cron /var/lib/node-agent.log -xdev \\
  \\( -path /root/.ansible -o -path /etc/machine-id -o -path '/etc/ssh/ssh_host_*' -o -path /etc/.pwd.lock -o -path '/etc/*-' \\
  -o -path /etc/ld.so.cache -o -path /root/.ssh -o -path /etc/resolv.conf -o -path /etc/hostname -o -path /etc/lab-network \\) -prune -o -print 2>/dev/null | sort | while IFS= read -r f; do
  if [ -L "$f" ]; then printf '%s link %s\\n' "$f" "$(readlink "$f")"
  # Two programs, two habits: blanks around = and the name in the comment above a job.
  elif case $f in /etc/sysctl*|/etc/cron.d/*) [ -f "$f" ] ;; *) false ;; esac; then
    printf '%s file %s %s\\n' "$f" "$(stat -c '%a %U:%G' "$f")" "$(sed -e 's/ *= */=/' -e 's/^#[A-Za-z]*: /#: /' "$f" | sha256sum | cut -c1-16)"
  elif [ -d "$f" ]; then printf '%s folder %s\\n' "$f" "$(stat -c '%a %U:%G' "$f")"
  elif [ -f "$f" ]; then printf '%s file %s %s\\n' "$f" "$(stat -c '%a %U:%G %s' "$f")" "$(sha256sum < "$f" | cut -c1-16)"; fi
done
getent passwd | sort | sed 's/^/passwd /'
getent group | sort | sed 's/^/group /'
systemctl list-unit-files --no-legend --no-pager --type=service,socket,target,timer | awk '{ print "unit-file", $1, $2 }' | sort
systemctl list-units --all --no-legend --no-pager --plain --type=service,socket,timer | awk '!/user@|user-|ssh@|session-|run-/ { print "unit", $1, $3 }' | sort
sysctl -a 2>/dev/null | grep -E '^net\\.(ipv4\\.(ip_forward|conf\\.(all|default)\\.|tcp_)|ipv6\\.conf\\.(all|default)\\.|core\\.)' | sort
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
