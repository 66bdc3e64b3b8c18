/** What Ansible's modules mean where ours would mean something else: defaults, states, and words that do not exist here. */
import { isMap, isScalar, isSeq, type Scalar, visit } from 'yaml'
import { type Call, keyValues } from './call.ts'
import { entriesOf, entry, isText } from './document.ts'
import { isTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import { pythonRegex } from './regex.ts'

export function service(call: Call): void {
  const reload = call.flag('daemon_reload')
  const scope = call.text('scope')
  if (scope !== undefined && scope !== 'system') {
    call.refuseArgument('scope', `scope: ${scope}`, 'use command: systemctl --user')
    return
  }
  call.drop('scope')
  const isReload = !['state', 'enabled', 'masked'].some((name) => call.has(name)) && !call.hasKeyword('register')
  if ((isReload || !call.has('name')) && call.has('daemon_reload') && reload !== false) {
    for (const name of call.names) call.drop(name)
    call.become('command')
    call.set('cmd', 'systemctl daemon-reload')
    call.keyword('changed_when', false)
    return
  }
  if (!['state', 'enabled', 'masked'].some((name) => call.has(name))) {
    call.refuse('a unit that is only asked about', 'use service_facts, or command: systemctl show')
    return
  }
  // systemd is told of new unit files by our module itself.
  call.drop('daemon_reload')
  const name = call.node('name')
  if (isText(name) && /[*?[]/.test(name.value)) call.refuseArgument('name', 'a pattern of units', 'name the units')
}

export function file(call: Call): void {
  if (call.has('follow') && call.flag('follow') === false)
    call.check('links are followed', 'state: link and absent never follow them')
  if (call.text('state') === 'directory' || call.text('state') === 'absent' || call.text('state') === 'touch') {
    if (call.has('src')) call.drop('src')
  }
  // Linux has no modes of links, and Ansible leaves the file behind one as it is.
  if (call.text('state') === 'link') call.drop('mode')
}

export function copy(call: Call): void {
  const content = call.node('content')
  if (isMap(content)) call.refuseArgument('content', 'a map as content', 'write content: !cel json(…)')
  if (call.has('decrypt') || call.has('checksum'))
    call.check('checksum and decrypt are not looked at', 'nothing, if the files are yours')
}

/** The template itself is rewritten beside it. */
export function template(call: Call): void {
  const src = call.node('src')
  if (isText(src)) {
    // A name that is computed may end so, too.
    const [, computed] = /^\{\{([^{}]*)\}\}$/.exec(src.value.trim()) ?? []
    if (computed === undefined) src.value = src.value.replace(/\.j2$/, '.hbs')
    else src.value = `{{ (${computed}) | regex_replace('\\.j2$', '.hbs') }}`
  }
  const dest = call.text('dest')
  if (dest?.endsWith('/'))
    call.refuseArgument('dest', 'a folder as dest: the file would lose its .j2', 'write the name of the file')
  if (call.has('newline_sequence'))
    call.refuseArgument('newline_sequence', 'other ends of lines', 'write them in the template')
}

export function lineinfile(call: Call): void {
  for (const name of ['regexp', 'insertafter', 'insertbefore']) {
    const node = call.node(name)
    if (!isText(node) || isTemplate(node.value) || /^(EOF|BOF)$/.test(node.value)) continue
    node.value = pythonRegex(node.value, true)
  }
}

export function blockinfile(call: Call): void {
  call.meant('marker', "'# {mark} ANSIBLE MANAGED BLOCK'")
  if (!call.has('marker')) call.set('marker', '# {mark} ANSIBLE MANAGED BLOCK')
  lineinfile(call)
}

/** Ansible's default file is another one than ours, and `sysctl_set` is what ours does anyway. */
export function sysctl(call: Call): void {
  if (call.flag('reload') === false && call.flag('sysctl_set') !== true)
    call.check('the running kernel gets the value, too', 'nothing, unless it must wait for a reboot')
  if (call.flag('ignoreerrors'))
    call.check(
      'a parameter that the kernel does not have is a failure',
      'put a condition on the task, or ignore_errors',
    )
  call.drop('reload', 'sysctl_set', 'ignoreerrors')
  call.meant('sysctl_file', "'/etc/sysctl.conf'")
  if (!call.has('sysctl_file')) call.set('sysctl_file', '/etc/sysctl.conf')
}

export function modprobe(call: Call): void {
  const persistent = call.text('persistent')
  if (call.isTemplate('persistent')) {
    call.refuseArgument('persistent', 'a computed "persistent"', 'write true or false')
    return
  }
  call.set('persistent', persistent === 'present')
  // Ansible writes a file for each module.
  if (persistent === 'present') {
    const name = call.text('name')
    if (name !== undefined) call.set('file', name)
  }
  if (persistent === 'absent' && call.text('state') !== 'absent')
    call.refuseArgument(
      'persistent',
      'loaded now and not at boot, by removing files',
      'remove the file below /etc/modules-load.d',
    )
}

export function mount(call: Call): void {
  const name = call.text('path')
  // Swap has no mount point: its lines are found by what stands in that field.
  if (call.text('fstype') === 'swap' || name === 'swap' || name === 'none') {
    if (call.text('state') !== 'absent' || call.has('src') || name === undefined) {
      call.refuse('swap, which has no mount point', 'use swap')
      return
    }
    for (const one of call.names) call.drop(one)
    call.become('lineinfile')
    call.set('path', '/etc/fstab')
    call.set('regexp', `^\\s*[^#\\s]\\S*\\s+${name}\\s`)
    call.set('state', 'absent')
    return
  }
  const state = call.text('state')
  if (state === 'absent_from_fstab') call.refuseArgument('state', state, 'use lineinfile on /etc/fstab')
}

/** Ansible takes a user out of all groups that a task does not name; ours does not, unless told. */
export function user(call: Call): void {
  if (!call.has('group') && call.text('state') !== 'absent' && makesGroups(call))
    call.check(
      'a new user whose name a group has already gets that one as its first; in Ansible it gets the one of useradd, which is users',
      'nothing, unless users is meant: then write group: users',
    )
  call.meant('append', 'false')
  if (call.has('groups') && !call.has('append')) call.set('append', false)
  const node = call.node('groups')
  if (isText(node) && !isTemplate(node.value) && node.value.includes(',')) call.set('groups', call.items('groups'))
}

/** Whether a task of the same file makes groups. */
function makesGroups(call: Call): boolean {
  let found = false
  visit(call.doc.root, {
    Pair(_, { key, value }) {
      if (!isText(key) || !/^(ansible\.builtin\.)?group$/.test(key.value)) return undefined
      if (!(isMap(value) ? entry(value, 'name') : isText(value) && keyValues(value.value)?.name)) return undefined
      found = true
      return visit.BREAK
    },
  })
  return found
}

export function authorizedKey(call: Call): void {
  if (/^https?:/.test(call.text('key') ?? '')) call.refuseArgument('key', 'keys from a URL', 'write the keys')
}

export function cron(call: Call): void {
  if (!call.has('name')) call.refuse('cron without a name', 'give the job a name')
  const job = call.node('job')
  if (isText(job)) job.value = job.value.replace(/^[\r\n]+|[\r\n]+$/g, '')
}

export function getUrl(call: Call): void {
  const checksum = call.text('checksum')
  if (checksum !== undefined && !call.isTemplate('checksum') && !/^\w+:/.test(checksum))
    call.refuseArgument('checksum', 'a checksum without its kind', 'write sha256:…')
  call.meant('timeout', '10')
  if (!call.has('timeout')) call.set('timeout', 10)
}

export function unarchive(call: Call): void {
  const copyFlag = call.flag('copy')
  if (call.has('copy')) {
    call.drop('copy')
    if (copyFlag === false) call.set('remote_src', true)
  }
  const options = call.node('extra_opts')
  if (options) {
    const words = call.items('extra_opts') ?? []
    const strip = /^--strip(?:-components)?=(\d+)$/.exec(words.join(' '))
    if (!strip) {
      call.refuseArgument('extra_opts', 'options of tar', 'use include, exclude and strip_components')
      return
    }
    call.drop('extra_opts')
    call.set('strip_components', Number(strip[1]))
  }
  // tar of root keeps the owners and groups that the archive names, but for what the task names itself.
  if (['owner', 'group'].some((name) => !call.has(name) || call.mayBeOmitted(name))) call.set('same_owner', true)
}

export function uri(call: Call): void {
  const follow = call.text('follow_redirects')
  if (follow === undefined) return
  if (/^(safe|all|yes|true|True|urllib2)$/.test(follow)) call.drop('follow_redirects')
  else call.set('follow_redirects', false)
}

/** Ansible's command expands variables and ~ in words; ours passes them as they are. */
export function command(call: Call): void {
  const expands = call.flag('expand_argument_vars') !== false
  call.drop('expand_argument_vars')
  const words = call.text('cmd') ?? call.items('argv')?.join(' ') ?? ''
  const bare = words.replace(/\{\{[\s\S]*?\}\}/g, 'x')
  if (expands && /\$\{?[A-Za-z_]|(^|\s)~/.test(bare))
    throw new Refused('a command with $NAME or ~, which Ansible expands', 'use shell, or write the value')
  if (call.has('executable')) call.refuseArgument('executable', 'a shell for command', 'use shell')
}

export function setFact(call: Call): void {
  if (call.has('cacheable')) {
    if (call.flag('cacheable')) call.check('facts are not kept for other runs', 'set it in every run that needs it')
    call.drop('cacheable')
  }
  for (const { key } of entriesOf(call.args))
    if (/^ansible_facts$/.test(key.value))
      throw new Refused('facts that a playbook changes', 'use variables of its own')
    else if (isTemplate(key.value)) throw new Refused('a fact whose name is computed', 'use a map')
}

export function waitFor(call: Call): void {
  const state = call.text('state')
  if (state === 'drained') call.refuseArgument('state', 'state: drained', 'use command with ss')
  if (call.has('search_regex') && !call.has('path'))
    call.refuseArgument('search_regex', 'a pattern for a connection', 'use command')
  const regex = call.text('search_regex')
  if (regex !== undefined && /\\[a-zA-Z]|\(\?|[*+?}]\?/.test(regex))
    call.refuseArgument('search_regex', 'more than grep -E knows', 'use [[:space:]] and its like')
  if (!call.has('port') && !call.has('path')) {
    const seconds = call.node('timeout')
    if (!isScalar(seconds)) {
      call.refuse('waiting without anything to wait for', 'use pause')
      return
    }
    call.rename('timeout', 'seconds')
    call.become('pause')
  }
}

export function stat(call: Call): void {
  if (call.flag('get_checksum')) call.check('the checksum is SHA-256, not SHA-1', 'compare it with another SHA-256')
  // Ansible's default is to read it all; who wants the sum of it must say so.
}

export function find(call: Call): void {
  if (call.isTemplate('use_regex')) call.refuseArgument('use_regex', 'a computed "use_regex"', 'write true or false')
  // Python's match begins at the beginning.
  if (call.flag('use_regex'))
    for (const name of ['patterns', 'excludes']) {
      const items = call.isTemplate(name) ? undefined : call.items(name)
      if (items)
        call.set(
          name,
          items.map((one) => `^(?:${pythonRegex(one, true)})`),
        )
      else if (call.has(name)) call.refuseArgument(name, 'computed patterns', 'write the patterns')
    }
  else if (!call.isTemplate('use_regex')) call.drop('use_regex')
  if (call.has('contains')) call.refuseArgument('contains', 'looking into files', 'use command: grep -l')
  const node = call.node('patterns')
  if (isText(node) && !isTemplate(node.value) && node.value.includes(',') && !call.flag('use_regex'))
    call.set('patterns', call.items('patterns'))
}

export function ufw(call: Call): void {
  const state = call.text('state')
  if (state === 'reloaded' || state === 'reset')
    call.refuseArgument('state', `state: ${state}, which is done at each run`, 'use command: ufw … in a handler')
  for (const name of ['insert', 'insert_relative_to'])
    if (call.has(name)) call.refuseArgument(name, 'a rule at a certain place', 'add the rules in their order')
}

/** Ansible waits for no other iptables and takes away one of several rules that are alike. */
export function iptables(call: Call): void {
  if (call.text('state') === 'absent' && !call.has('chain_management'))
    call.check('all rules of its like go, not the first of them', 'nothing, unless one of them is to stay')
  const chainAlone = call.names.every((name) => /^(chain|table|state|ip_version|wait)$/.test(name))
  if (chainAlone && !call.has('chain_management'))
    call.refuse('a chain that is neither made nor taken away', 'write chain_management: true, or what the rule is')
}

export function setup(call: Call): void {
  if (call.has('filter') || call.has('gather_subset'))
    call.check('all facts are read', 'nothing: they come with one script')
}

export function ping(call: Call): void {
  call.become('command')
  call.drop('data')
  call.set('cmd', 'true')
  call.keyword('changed_when', false)
}

const META = /^(flush_handlers|end_host|end_batch|end_play|clear_facts|reset_connection|noop)$/

export function meta(call: Call): void {
  const action = call.text('action') ?? ''
  if (!META.test(action)) call.refuseArgument('action', `meta: ${action}`, 'see docs/modules/meta.md')
}

/** A boolean is written as Python prints it. */
export function iniFile(call: Call): void {
  const value = call.node('value')
  if (isScalar(value) && typeof value.value === 'boolean') call.set('value', value.value ? 'True' : 'False')
}

/** Lines of a message: how they look is all that differs. */
export function message(call: Call): void {
  for (const name of ['msg', 'fail_msg', 'success_msg']) {
    const node = call.node(name)
    if (!isSeq(node) || !node.items.every((item) => isScalar(item))) continue
    call.set(name, node.items.map((item) => String((item as { value: unknown }).value)).join('\n'))
    ;(call.node(name) as Scalar).type = 'QUOTE_DOUBLE'
  }
}
