/** What Ansible’s package managers mean where ours would mean something else. */
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

export function package_(call: Call): void {
  const state = call.text('state')
  if (state !== undefined && !call.isTemplate('state')) {
    const ours = STATES[state]
    if (ours) call.set('state', ours)
    else call.refuseArgument('state', `the state "${state}"`, 'use package_upgrade, or package with a version')
  }
  for (const name of call.items('name') ?? []) {
    if (/^@|^https?:|^\/|\.(deb|rpm)$|[<>]/.test(name))
      call.refuseArgument('name', `"${name}" is no name of a package`, 'use get_url and command')
    if (name === '*') call.refuseArgument('name', 'all packages', 'use package_upgrade')
  }
  const node = call.node('name')
  if (isText(node) && !isTemplate(node.value) && node.value.includes(',')) call.set('name', call.items('name'))
}

export function apt(call: Call): void {
  package_(call)
  const update = call.flag('update_cache')
  const upgrade = call.text('upgrade')
  if (upgrade !== undefined && !/^(no|False|false)$/.test(upgrade)) {
    if (!/^(yes|safe|True|true)$/.test(upgrade) || call.has('name')) {
      call.refuseArgument('upgrade', `upgrade: ${upgrade}`, 'use package_upgrade, which removes nothing')
      return
    }
    call.drop('upgrade', 'state', 'autoremove')
    call.become('package_upgrade')
    return
  }
  call.drop('upgrade')
  if (call.has('dpkg_options')) {
    if (
      call.text('dpkg_options') === 'force-confold,force-confdef' ||
      call.text('dpkg_options') === 'force-confdef,force-confold'
    )
      call.drop('dpkg_options')
    else call.refuseArgument('dpkg_options', 'options of dpkg', 'use conffiles: keep or replace')
  }
  if (!call.has('name')) {
    listsOnly(call)
    return
  }
  if (call.has('cache_valid_time') && update === undefined) call.set('update_cache', true)
  // Ansible reads the lists each time unless the task says for how long they are new enough; a minute is the least here.
  else if (update && !call.has('cache_valid_time')) call.set('cache_valid_time', 60)
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

/** The one-line form stays one line in sources.list.d, as Ansible writes it. */
export function aptRepository(call: Call): void {
  const [repo, filename] = [call.text('repo'), call.text('filename')]
  if (
    repo === undefined ||
    filename === undefined ||
    repo.startsWith('ppa:') ||
    call.isTemplate('filename') ||
    (call.text('state') ?? 'present') !== 'present'
  ) {
    call.refuse('apt_repository in one line', 'write uris, suites, components and signed_by')
    return
  }
  call.check(
    'the package lists are not read again after it',
    'package reads them by itself when they do not know a package',
  )
  call.become('copy')
  call.drop('update_cache', 'filename', 'state')
  call.rename('repo', 'content')
  const node = call.node('content')
  if (isText(node)) node.value = `${node.value.trim()}\n`
  call.set('dest', `/etc/apt/sources.list.d/${filename}.list`)
  if (!call.has('mode')) call.set('mode', '0644')
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
