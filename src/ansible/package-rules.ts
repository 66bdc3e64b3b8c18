/** What Ansible’s package managers mean where ours would mean something else. */
import { createHash } from 'node:crypto'
import type { Call } from './call.ts'
import { isText } from './document.ts'
import { isTemplate } from './jinja/template.ts'

const STATES: Readonly<Record<string, string>> = {
  installed: 'present',
  removed: 'absent',
  present: 'present',
  absent: 'absent',
  latest: 'latest',
}

const NO_FORCE: Readonly<Record<string, string>> = {
  force: 'write allow_downgrade: true if an older version is meant',
  allow_unauthenticated: 'give the repository its key',
  allow_change_held_packages: 'write hold: true (changed, and held again) or hold: false if they are held',
}

export function package_(call: Call): void {
  const state = call.text('state')
  // Ours takes the hold off and puts it back where the task says `hold`, and fails where it does not.
  for (const name of ['force', 'allow_unauthenticated', 'allow_change_held_packages']) {
    if (call.flag(name) !== false && call.has(name))
      call.check(`${name} is not known: packages must be signed, and held ones stay`, NO_FORCE[name]!)
    call.drop(name)
  }
  if (call.items('name')?.join() === '*' && state === 'latest' && !call.has('autoremove')) {
    call.drop('name', 'state', 'install_recommends', 'allow_downgrade')
    call.become('package_upgrade')
    return
  }
  if (state !== undefined && !call.isTemplate('state')) {
    const ours = STATES[state]
    if (ours) call.set('state', ours)
    else call.refuseArgument('state', `the state "${state}"`, 'use package_upgrade, or package with a version')
  }
  for (const item of call.items('name') ?? []) {
    // What is computed is looked at when it runs.
    const name = item.replace(/\{\{[\s\S]*?\}\}/g, '')
    if (/^@|^https?:|^\/|\.(deb|rpm)$|[<>]/.test(name))
      call.refuseArgument('name', `"${name}" is no name of a package`, 'use get_url and command')
    if (/^[^=]*[*?[]/.test(name) && name !== '*')
      call.refuseArgument('name', `"${name}" is a pattern`, 'name the packages')
    if (name === '*') call.refuseArgument('name', 'all packages', 'use package_upgrade')
  }
  const node = call.node('name')
  if (isText(node) && !isTemplate(node.value) && node.value.includes(',')) call.set('name', call.items('name'))
}

export function apt(call: Call): void {
  package_(call)
  if (call.pair.key.value === 'package_upgrade') return
  const update = call.flag('update_cache')
  const upgrade = call.text('upgrade')
  if (upgrade !== undefined && !/^(no|False|false)$/.test(upgrade)) {
    if (!/^(yes|safe|True|true)$/.test(upgrade) || call.has('name')) {
      call.refuseArgument('upgrade', `upgrade: ${upgrade}`, 'use package_upgrade, which removes nothing')
      return
    }
    if (call.flag('autoremove') !== false && call.has('autoremove'))
      call.check('package_upgrade removes nothing', 'shell: apt-get -q -y autoremove, if unneeded packages are to go')
    call.drop('upgrade', 'state', 'autoremove')
    call.become('package_upgrade')
    return
  }
  call.drop('upgrade')
  if (call.has('name')) call.drop('autoclean', 'clean')
  if (call.has('dpkg_options')) {
    if (
      call.text('dpkg_options') === 'force-confold,force-confdef' ||
      call.text('dpkg_options') === 'force-confdef,force-confold'
    )
      call.drop('dpkg_options')
    else call.refuseArgument('dpkg_options', 'options of dpkg', 'use conffiles: keep or replace')
  }
  if (!call.has('name')) {
    if (!['autoremove', 'autoclean', 'clean'].some((name) => call.flag(name) !== undefined)) listsOnly(call)
    else tidy(call)
    return
  }
  if (update !== false && call.has('update_cache') && call.hasKeyword('notify'))
    call.check(
      'package lists that are brought up to date count as a change, and so notify',
      'give update_cache to a task of its own, unless the handler may run then, too',
    )
  call.meant('cache_valid_time', '60')
  if (call.has('cache_valid_time') && update === undefined) call.set('update_cache', true)
  // Ansible reads the lists each time unless the task says for how long they are new enough; a minute is the least here.
  else if (update && !call.has('cache_valid_time')) call.set('cache_valid_time', 60)
}

/** `apt: autoremove: true` and its like alone. What apt-get keeps of packages that it fetched is no change of the host. */
function tidy(call: Call): void {
  const words = ['autoremove', 'autoclean', 'clean'].filter((name) => call.flag(name))
  const purges = call.flag('purge')
  for (const name of call.names) call.drop(name)
  call.become('shell')
  call.set(
    'cmd',
    words.map((word) => `apt-get -q -y ${purges && word === 'autoremove' ? '--purge ' : ''}${word}`).join(' && ') ||
      'true',
  )
  if (call.hasKeyword('changed_when')) return
  if (!words.includes('autoremove')) call.keyword('changed_when', false)
  else if (!call.hasKeyword('register')) {
    call.keyword('register', 'tidied')
    call.keyword('environment', { LC_ALL: 'C' })
    call.keyword('changed_when', '!contains(tidied.stdout, "\\n0 upgraded, 0 newly installed, 0 to remove")')
  }
}

/** `apt: update_cache: true` alone. */
function listsOnly(call: Call): void {
  if (call.has('autoremove') || !(call.flag('update_cache') || call.has('cache_valid_time'))) {
    call.refuse('apt without a package', 'use command: apt-get …')
    return
  }
  const maximum = call.text('cache_valid_time')
  for (const name of call.names) call.drop(name)
  call.become('command')
  call.set('cmd', 'apt-get update -q')
  if (maximum !== undefined)
    call.check(
      'the package lists are read every time',
      'package reads them by itself when they are old: take the task away',
    )
  if (!call.hasKeyword('notify') && !call.hasKeyword('register')) call.keyword('changed_when', false)
}

export function dpkgSelections(call: Call): void {
  const selection = call.text('selection')
  if (selection !== 'hold' && selection !== 'install') {
    call.refuse(`the selection "${selection}"`, 'use package: {name: …, hold: true}')
    return
  }
  call.drop('selection')
  call.set('hold', selection === 'hold')
  call.check('package also installs it when it is not there', 'nothing to do when another task installs it')
}

/** Ours looks for the line in all lists, as Ansible's does, and derives the name of the file in the same way. */
export function aptRepository(call: Call): void {
  if (call.text('repo')?.startsWith('ppa:'))
    call.refuse('a PPA, whose key and address come from Launchpad', 'write uris, suites, components and signed_by')
}

/**
 * A key that counts for all repositories becomes a file of its own in trusted.gpg.d, where apt-key(8) would add it to trusted.gpg;
 * apt reads an armoured key from .asc alone, so a keyring must be named so.
 */
export function aptKey(call: Call): void {
  const state = call.text('state') ?? 'present'
  const keyring = call.text('keyring')
  const [source, ...others] = ['url', 'data', 'file'].filter((name) => call.has(name))
  if (state !== 'present') call.refuse('a key that is taken away', 'use file: state: absent on the file of the key')
  else if (call.has('keyserver') || source === undefined || others.length > 0)
    call.refuse(
      'a key from a key server',
      'fetch it once, and put it beside the playbook: apt_repository with key_file',
    )
  else if (call.has('id'))
    call.refuseArgument('id', 'a key that must have this id', 'write checksum: sha256:… of the file instead')
  else if (keyring !== undefined && !/\.asc$/.test(keyring))
    call.refuse(
      'a keyring, which apt-key makes of a key',
      'use get_url to FILE.asc, and signed-by=FILE.asc in the line of the repository',
    )
  else {
    call.check(
      'the key is downloaded unchecked into a file of its own; an armoured one must end in .asc, any other in .gpg',
      'nothing, unless apt does not know the key: write the ending; better: a checksum, or apt_repository with key_file',
    )
    keyFile(call, source, keyring)
  }
}

function keyFile(call: Call, source: string, keyring: string | undefined): void {
  const text = call.text(source)!
  call.drop('state', 'keyring')
  call.set(
    'dest',
    keyring ?? `/etc/apt/trusted.gpg.d/${source === 'data' ? `key_${digest(text)}.asc` : nameOfKey(text)}`,
  )
  if (source === 'url') call.set('timeout', 10)
  else call.become('copy')
  if (source === 'file') call.set('remote_src', true)
  if (source !== 'url') call.rename(source, source === 'data' ? 'content' : 'src')
  call.set('mode', '0644')
}

/** Two keys never get one name, whatever their tasks are called. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/** Letters and digits of where a key comes from; what is a template stays one. */
function nameOfKey(from: string): string {
  const words = from
    .replace(/^https?:\/\//, '')
    .split(/(\{\{[\s\S]*?\}\})/)
    .map((part) => {
      const [, expression] = /^\{\{([\s\S]*)\}\}$/.exec(part) ?? []
      return expression === undefined
        ? part.replace(/[^A-Za-z0-9]+/g, '_')
        : `{{ (${expression}) | regex_replace('[^A-Za-z0-9]+', '_') }}`
    })
  return `${words.join('').replace(/_gpg$/, '')}.${/\.gpg$/.test(from) ? 'gpg' : 'asc'}`
}

export function deb822(call: Call): void {
  const key = call.text('signed_by')
  const isUrl = key !== undefined && (/^https?:/.test(key) || (call.isTemplate('signed_by') && !key.startsWith('/')))
  if (isUrl)
    call.refuseArgument(
      'signed_by',
      'a key that is downloaded unchecked',
      'write key_url and key_checksum, or key_file',
    )
  call.set('update_cache', false)
}

export function packageFacts(call: Call): void {
  const managers = call.items('manager') ?? []
  if (managers.length > 1 || (managers[0] !== undefined && !/^(auto|apt|rpm)$/.test(managers[0])))
    call.refuseArgument('manager', 'other kinds of packages', 'write auto, apt or rpm')
  else if (managers[0] !== undefined) call.set('manager', managers[0])
}
