import { defineModule, map, ReadError, read, z } from '#module'

export default defineModule({
  summary: 'Facts: the services of the host and their state',
  description:
    'They stand in `facts.services` from then on, as they were when they were read: after a service has been started, read ' +
    'them again. To make a service so, use service, which looks by itself. Needs systemd; the scripts of System V init, which ' +
    'Ansible lists too, are not in it.',
  args: z.strictObject({}),
  readOnly: true,
  provides: 'facts',
  examples: [
    { name: 'Read them', yaml: 'service_facts: {}' },
    {
      name: 'Only where docker runs',
      yaml: 'service_facts: {}\nregister: now\nfailed_when: has(now.services["docker.service"]) && now.services["docker.service"].state == "running"',
    },
  ],
  returns: {
    services:
      'map of name (with `.service`) to {name, state, status, source}: state is running, stopped, or for what systemd has not ' +
      'loaded inactive or, of a template, unknown; status is enabled, disabled, static, masked, not-found, failed, …; source is systemd',
  },
  probe: () => ({
    services: map(read.script(SCRIPT, ['unit:*', 'file:/etc/systemd/*', 'file:/usr/lib/systemd/*']), ({ out, rc }) => {
      const text = out.toString('utf8')
      if (text.startsWith('!')) {
        const init = text.slice(1).trim()
        throw new ReadError(`this host does not run systemd (its process 1 is ${init}): its services cannot be listed`)
      }
      if (rc !== 0) throw new ReadError(`systemctl cannot list the services: ${text.trim()}`)
      return parseServices(text)
    }),
  }),
  plan: () => [],
  result: (_args, { services }) => ({ services }),
})

/**
 * `u` units that systemd has loaded, `f` unit files, and of those that are not loaded `n` the name and `s` the state: an
 * alias has that of its unit. (A template has none: systemctl would fail.)
 */
const SCRIPT = `
if ! [ -d /run/systemd/system ]; then echo "!$(cat /proc/1/comm)"; exit; fi
export LC_ALL=C SYSTEMD_COLORS=0
u=$(systemctl list-units --all --type=service --plain --no-legend --no-pager 2>&1) || { echo "$u"; exit 1; }
f=$(systemctl list-unit-files --type=service --no-legend --no-pager 2>&1) || { echo "$f"; exit 1; }
printf '%s\\n' "$u" | sed 's/^/u /'
printf '%s\\n' "$f" | sed 's/^/f /'
set -f
set -- $({ printf '%s\\n' "$u"; echo -; printf '%s\\n' "$f"; } | awk '$1 == "-" { files = 1; next } !files { seen[$1] = 1; next } $1 != "" && !($1 in seen) && $1 !~ /@\\.service$/ { print $1 }')
[ $# = 0 ] || { printf 'n %s\\n' "$@"; systemctl show --no-pager -p ActiveState -- "$@" 2>/dev/null | sed -n 's/^ActiveState=/s /p'; }
`

interface Service {
  readonly name: string
  readonly state: string
  status: string
  readonly source: 'systemd'
}

/** These say more of a unit than its file does. */
const BAD: readonly string[] = ['not-found', 'masked', 'failed']

/** Exported for tests: the lines of SCRIPT as Ansible's `services`. */
export function parseServices(text: string): Record<string, Service> {
  const lines = text.split('\n').map((line) => line.split(/\s+/))
  const of = (letter: string) => lines.filter(([first, name]) => first === letter && name?.endsWith('.service'))
  const services = new Map<string, Service>()
  for (const [, name, load = '', active = '', sub] of of('u')) {
    const status = BAD.includes(load) ? load : active
    services.set(name!, { name: name!, state: sub === 'running' ? 'running' : 'stopped', status, source: 'systemd' })
  }
  const states = lines.filter(([first]) => first === 's').map(([, state]) => state)
  const asked = new Map(of('n').map(([, name], i) => [name, states[i]]))
  for (const [, name, status = 'unknown'] of of('f')) {
    const known = services.get(name!)
    if (known && !BAD.includes(known.status)) known.status = status
    if (!known) services.set(name!, { name: name!, state: asked.get(name) ?? 'unknown', status, source: 'systemd' })
  }
  return Object.fromEntries([...services].sort(([a], [b]) => (a < b ? -1 : 1)))
}
