import { args, type Change, change, defineModule, read, z } from '#module'

export default defineModule({
  summary: 'Upgrade all packages',
  description:
    'For apt, dnf and yum. Nothing is removed for it: what could only be upgraded by removing another package stays as it ' +
    'is (apt). Held packages stay too. Services are not restarted beyond what the packages do themselves.',
  args: z.strictObject({
    update_cache: args.boolean
      .default(true)
      .describe('bring the package lists up to date first when older than `cache_valid_time`'),
    cache_valid_time: z
      .int()
      .min(60, 'must be at least 60 seconds')
      .default(3600)
      .describe('seconds for which they are new enough'),
    conffiles: z
      .enum(['keep', 'replace'])
      .default('keep')
      .describe('a configuration file changed both here and by the new package (apt)'),
    lock_timeout: z.int().nonnegative().default(300).describe('seconds to wait for another apt or dpkg'),
  }),
  examples: [
    {
      name: 'Patch, and reboot when it is needed',
      yaml: 'package_upgrade: {}\nregister: patched',
    },
  ],
  returns: {
    reboot_required: 'true when a package asks for a reboot, or a newer kernel is installed than the one that runs',
    upgradable: 'packages that could still be upgraded: none',
  },
  probe: () => ({ manager: read.packageManager(), upgrades: read.upgradable() }),
  plan: (a, { manager, upgrades: { packages } }) => {
    const old = manager.age === undefined || manager.age > a.cache_valid_time || manager.sourcesChanged
    const refresh = a.update_cache && old
    if (!refresh && packages.length === 0) return []
    const names = packages.map((p) => `${p.name} ${p.to}`)
    const options = {
      summary: refresh
        ? `upgrade all packages${names.length > 0 ? `: at least ${names.join(', ')}` : ' if there are newer versions'}`
        : `upgrade ${names.join(', ')}`,
      diff: {
        kind: 'value' as const,
        from: Object.fromEntries(packages.map((p) => [p.name, p.from])),
        to: Object.fromEntries(packages.map((p) => [p.name, p.to])),
      },
    }
    const { lock_timeout: lockTimeout, conffiles } = a
    const upgrade: Change =
      manager.manager === 'apt'
        ? change.apt(['--with-new-pkgs', 'upgrade'], { lockTimeout, conffiles }, options)
        : change.rpmManager(manager.manager, ['upgrade'], options)
    return [...(refresh ? [change.refreshLists(manager.manager, lockTimeout)] : []), upgrade]
  },
  result: (_args, { upgrades }) => ({
    reboot_required: upgrades.rebootRequired,
    upgradable: upgrades.packages.map((p) => p.name),
  }),
})
