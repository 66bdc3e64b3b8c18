import { defineModule, map, ReadError, read, z } from '#module'

export default defineModule({
  summary: 'Facts: the packages that are installed',
  description:
    'They stand in `facts.packages` from then on, as they were when they were read. A thousand packages a host is much for ' +
    'thousands of hosts: to make a package so use package, which looks by itself.',
  args: z.strictObject({
    manager: z
      .enum(['auto', 'apt', 'rpm'])
      .default('auto')
      .describe('whose packages; auto: those of the host’s package manager'),
  }),
  readOnly: true,
  provides: 'facts',
  examples: [
    {
      name: 'Refuse hosts with a package',
      yaml: 'package_facts: {}\nregister: now\nfailed_when: has(now.packages.docker)',
    },
  ],
  returns: {
    packages:
      'map of name to a list of {name, version, release, epoch, arch, source}: several where versions or architectures are side ' +
      'by side; source is apt or rpm; release and epoch stand apart for rpm only, and epoch is a number or null',
  },
  probe: ({ manager }) => ({
    packages: map(
      read.script(`rb_want=${manager}\n${SCRIPT}`, ['package:*', 'file:/var/lib/dpkg/*', 'file:/var/lib/rpm/*']),
      ({ out, rc }) => {
        if (rc !== 0) throw new ReadError(out.toString('utf8').trim() || 'the packages cannot be listed')
        return parsePackages(out.toString('utf8'))
      },
    ),
  }),
  plan: () => [],
  result: (_args, { packages }) => ({ packages }),
})

/** A tab stands in no name and no version. What is half installed, or removed with its configuration left, is not installed. */
const SCRIPT = `
if [ $rb_want = auto ]; then
  if [ -s /var/lib/dpkg/status ] && command -v dpkg-query >/dev/null; then rb_want=apt
  elif command -v rpm >/dev/null; then rb_want=rpm
  else echo 'the host has neither dpkg nor rpm'; exit 1; fi
fi
case $rb_want in
  apt) command -v dpkg-query >/dev/null || { echo 'the host has no dpkg-query'; exit 1; }
    dpkg-query -W -f '\${db:Status-Status}\\tapt\\t\${Package}\\t\${Version}\\t\\t\\t\${Architecture}\\n' 2>&1 ;;
  rpm) command -v rpm >/dev/null || { echo 'the host has no rpm'; exit 1; }
    rpm -qa --qf 'installed\\trpm\\t%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\n' 2>&1 ;;
esac
`

interface Package {
  readonly name: string
  readonly version: string
  readonly arch: string
  readonly source: string
  readonly release?: string
  readonly epoch?: number | null
}

/** Exported for tests: the lines of SCRIPT as Ansible's `packages`. */
export function parsePackages(text: string): Record<string, Package[]> {
  const packages = new Map<string, Package[]>()
  for (const line of text.split('\n').sort()) {
    const [status, source, name, version, release, epoch, arch] = line.split('\t')
    if (status !== 'installed' || arch === undefined) continue
    // rpm keeps the keys of repositories as packages; they have no architecture.
    const one = { name: name!, version: version!, arch: arch === '(none)' ? '' : arch, source: source! }
    const list = packages.get(one.name) ?? []
    if (source === 'apt') list.push(one)
    else list.push({ ...one, release: release!, epoch: epoch === '(none)' ? null : Number(epoch) })
    packages.set(one.name, list)
  }
  return Object.fromEntries(packages)
}
