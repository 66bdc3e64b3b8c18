import pkg from '../../modules/package.ts'
import type { Module } from '../../src/module/index.ts'
import type { PackageManager, PackageState } from '../../src/module/reads/packages.ts'
import { table } from './table.ts'

const apt: PackageManager = { manager: 'apt', age: 60, sourcesChanged: false, interrupted: false, canHold: true }
const dnf: PackageManager = { ...apt, manager: 'dnf' }
const gone: PackageState = {
  installed: undefined,
  leftovers: false,
  held: false,
  providedBy: undefined,
  candidate: undefined,
  available: [],
  asked: true,
}
const offered: PackageState = { ...gone, candidate: '2.0-1', available: ['2.0-1', '1.5-1', '1.0-1'] }
const installed: PackageState = { ...offered, installed: '1.0-1' }

table(pkg as Module, [
  {
    name: 'installed is good enough',
    args: { name: 'a' },
    state: { manager: apt, packages: { a: installed } },
    changes: [],
  },
  {
    name: 'one transaction for all, without those that are there',
    args: { name: ['a', 'b', 'c'] },
    state: { manager: apt, packages: { a: offered, b: installed, c: offered } },
    changes: ['install a 2.0-1, install c 2.0-1'],
    check: ([c]) => {
      if (!c?.script?.endsWith(' install a c')) throw new Error(c?.script)
    },
  },
  {
    name: 'old lists do not matter when nothing is needed',
    args: { name: 'a' },
    state: { manager: { ...apt, age: 1e6 }, packages: { a: installed } },
    changes: [],
  },
  {
    name: 'update_cache renews old lists first',
    args: { name: 'a', update_cache: true },
    state: { manager: { ...apt, age: 3601 }, packages: { a: installed } },
    changes: ['update the package lists'],
  },
  {
    name: 'latest after new lists looks at everything again',
    args: { name: ['a', 'b'], update_cache: true, state: 'latest' },
    state: { manager: { ...apt, age: undefined }, packages: { a: installed, b: { ...installed, installed: '2.0-1' } } },
    changes: ['update the package lists', 'replace a 1.0-1 by 2.0-1, upgrade b if there is a newer version'],
  },
  {
    name: 'a package that nobody has, with fresh lists',
    args: { name: 'a' },
    state: { manager: apt, packages: { a: gone } },
    fails: /no repository of this host has a package a/,
  },
  {
    name: 'a package that the lists do not know, after the sources changed',
    args: { name: 'a' },
    state: { manager: { ...apt, sourcesChanged: true }, packages: { a: gone } },
    changes: ['update the package lists', 'install a'],
  },
  {
    name: 'provided by another package',
    args: { name: 'mail-transport-agent' },
    state: { manager: apt, packages: { 'mail-transport-agent': { ...gone, providedBy: 'postfix' } } },
    changes: [],
  },
  {
    name: 'provided by another package, but there is one of that name',
    args: { name: 'apt-transport-https' },
    state: { manager: apt, packages: { 'apt-transport-https': { ...offered, providedBy: 'apt' } } },
    changes: ['install apt-transport-https 2.0-1'],
  },
  {
    name: 'a version pattern takes the newest that matches',
    args: { name: 'a=1.*' },
    state: { manager: apt, packages: { a: offered } },
    changes: ['install a 1.*'],
    check: ([c]) => {
      if (!c?.script?.endsWith(' install a=1.5-1')) throw new Error(c?.script)
    },
  },
  {
    name: 'a version pattern that fits',
    args: { name: 'a=1.*' },
    state: { manager: apt, packages: { a: installed } },
    changes: [],
  },
  {
    name: 'a version that nobody has',
    args: { name: 'a=3.*' },
    state: { manager: apt, packages: { a: installed } },
    fails: /no repository has a 3\.\*; there is 2\.0-1, 1\.5-1/,
  },
  {
    name: 'a held package is not changed by the way',
    args: { name: 'a=2.*' },
    state: { manager: apt, packages: { a: { ...installed, held: true } } },
    fails: /a 1\.0-1 is held/,
  },
  {
    name: 'changed and held again',
    args: { name: 'a=2.*', hold: true },
    state: { manager: apt, packages: { a: { ...installed, held: true } } },
    changes: ['replace a 1.0-1 by 2.*', 'hold a'],
    check: ([c]) => {
      if (!c?.script?.includes('--allow-change-held-packages')) throw new Error(c?.script)
    },
  },
  {
    name: 'an interrupted dpkg matters only when there is something to do',
    args: { name: 'a' },
    state: { manager: { ...apt, interrupted: true }, packages: { a: installed } },
    changes: [],
  },
  {
    name: 'an interrupted dpkg',
    args: { name: 'a' },
    state: { manager: { ...apt, interrupted: true }, packages: { a: offered } },
    fails: /dpkg --configure -a/,
  },
  {
    name: 'purge takes leftovers away too',
    args: { name: 'a', state: 'absent', purge: true },
    state: { manager: apt, packages: { a: { ...offered, leftovers: true } } },
    changes: ['purge a'],
  },
  {
    name: 'dnf: older versions take another command and a word',
    args: { name: 'a=1.0' },
    state: { manager: dnf, packages: { a: { ...installed, installed: '1.5-1' } } },
    fails: /older than what is installed.*allow_downgrade/,
  },
  {
    name: 'dnf without its plugin cannot hold',
    args: { name: 'a', hold: true },
    state: { manager: { ...dnf, canHold: false }, packages: { a: installed } },
    fails: /versionlock plugin/,
  },
  { name: 'latest of a version', args: { name: 'a=1', state: 'latest' }, state: {}, invalid: /contradict/ },
  { name: 'an option in disguise', args: { name: '--reinstall' }, state: {}, invalid: /name of a package/ },
  { name: 'an hourly zero', args: { name: 'a', cache_valid_time: 0 }, state: {}, invalid: /at least 60/ },
])
